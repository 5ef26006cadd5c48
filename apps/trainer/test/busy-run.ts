/** A process whose signals are watched while a native call of many seconds lies on one of libuv's threads. */
import { pbkdf2 } from "node:crypto";
import { watchSignals } from "../src/train/signals.js";

/** Iterations that take ten seconds and more. */
const LONG = 4e7;

/** @param args seconds of grace, and how many characters to print behind every line. */
export async function main([graceSeconds, padding]: string[]): Promise<void> {
  watchSignals({
    graceSeconds: Number(graceSeconds),
    log: (line) => void process.stdout.write(`${line}${".".repeat(Number(padding))}end\n`),
  });
  pbkdf2("", "", LONG, 64, "sha512", () => process.stdout.write("done\n"));
  process.stdout.write("busy\n");
}
