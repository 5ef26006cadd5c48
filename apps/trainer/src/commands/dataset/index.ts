/** @file `insula dataset`: look at, check, convert and cut up LeRobot datasets. */
import type { Install } from "../command.js";
import { installConvert } from "./convert.js";
import { installInfo } from "./info.js";
import type { InstallDataset } from "./install.js";
import { installMerge } from "./merge.js";
import { installPlot } from "./plot.js";
import { installSplit } from "./split.js";
import { installValidate } from "./validate.js";

const INSTALL: readonly InstallDataset[] = [
  installInfo,
  installValidate,
  installPlot,
  installConvert,
  installSplit,
  installMerge,
];

export const installDataset: Install = (program, io) => {
  const dataset = program
    .command("dataset")
    .description("look at, check, convert, split and merge LeRobot datasets");
  for (const install of INSTALL) install(dataset, io);
};
