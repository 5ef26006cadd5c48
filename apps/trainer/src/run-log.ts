/** @file The lines of a run: to the console and to `train.log`. */
import { openSync } from "node:fs";
import { appendTo } from "./append.js";

export interface RunLog {
  line(text: string): void;
  close(): void;
}

/** Append to `path` what `echo` shows. */
export function openLog(path: string, echo: (line: string) => void): RunLog {
  const file = appendTo(openSync(path, "a"));
  return {
    line(text) {
      echo(text);
      file.write(`${text}\n`);
    },
    close: file.close,
  };
}
