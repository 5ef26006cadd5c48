/** @file What each sub-command of `insula dataset` is. */
import type { Command } from "commander";
import type { Io } from "../command.js";

/** Adds one sub-command to `insula dataset`. */
export type InstallDataset = (dataset: Command, io: Io) => void;
