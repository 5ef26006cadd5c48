/** @file Out of the process at once, in the middle of a step, with what has been printed on its way. */
import { exitNow } from "@insula/ort-session";

/** A reader who has not read by then does not want to. */
const FLUSH_MS = 1000;

/**
 * End the process with `code`, without waiting for what is being computed. A pipe that is full takes what was printed
 * later: that is waited for, but not for long.
 */
export function leave(code: number): void {
  const full = [process.stdout, process.stderr].filter((stream) => stream.writableLength > 0);
  if (full.length === 0) exitNow(code);
  let left = full.length;
  for (const stream of full) {
    stream.write("", () => {
      left -= 1;
      if (left === 0) exitNow(code);
    });
  }
  setTimeout(() => exitNow(code), FLUSH_MS);
}
