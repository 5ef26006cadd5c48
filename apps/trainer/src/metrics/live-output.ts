/**
 * @file A terminal with one line that is rewritten in place while others scroll above it. Where nobody would see that
 * (not a terminal, `NO_COLOR`, `TERM=dumb`) there is no live line and no control character.
 */
import { type Status, statusLine } from "./status-line.js";

/** As much of `process.stdout` as is needed. */
export interface Terminal {
  write(text: string): unknown;
  isTTY?: boolean;
  columns?: number;
}

/** Keeps the live line below everything that is written. */
export interface LiveLine {
  /** Show, replacing what was shown; at most ten times a second, the latest one in the end. */
  update(status: Status): void;
  /** Write a line above, to the terminal or to another stream that shows on the same screen. */
  above(line: string, to?: Terminal): void;
  /** Take the line away. */
  clear(): void;
}

export interface LiveOptions {
  env?: Readonly<Record<string, string | undefined>>;
  /** Milliseconds, monotonic. */
  clock?: () => number;
}

/** Back to the first column, and erase the line. */
const ERASE = "\r\u001b[2K";
const INTERVAL_MS = 100;

/** A live line on `terminal`; undefined where there can be none. */
export function liveLine(terminal: Terminal, options: LiveOptions = {}): LiveLine | undefined {
  const { env = process.env, clock = () => performance.now() } = options;
  if (!terminal.isTTY || env["NO_COLOR"] || env["TERM"] === "dumb") return undefined;
  let latest: Status | undefined;
  let shown = false;
  let drawnAt = Number.NEGATIVE_INFINITY;
  // One column stays free: a full line would wrap on some terminals, and could not be erased.
  const draw = () => {
    terminal.write(`${ERASE}${statusLine(latest!, (terminal.columns ?? 80) - 1)}`);
    shown = true;
    drawnAt = clock();
  };
  const erase = () => {
    if (shown) terminal.write(ERASE);
    shown = false;
  };
  return {
    update(status) {
      const changed = status.activity !== latest?.activity;
      latest = status;
      if (changed || clock() - drawnAt >= INTERVAL_MS) draw();
    },
    above(line, to = terminal) {
      const back = shown;
      erase();
      to.write(`${line}\n`);
      if (back) draw();
    },
    clear() {
      erase();
      latest = undefined;
    },
  };
}
