/** @file The lines of a run: to the console and to `train.log`. */
import { closeSync, openSync, writeSync } from "node:fs";

export interface RunLog {
  line(text: string): void;
  close(): void;
}

/** Append to `path` what `echo` shows. */
export function openLog(path: string, echo: (line: string) => void): RunLog {
  const file = openSync(path, "a");
  return {
    line(text) {
      echo(text);
      writeSync(file, `${text}\n`);
    },
    close: () => closeSync(file),
  };
}
