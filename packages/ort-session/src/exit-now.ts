/**
 * @file Leaving the process while ONNX Runtime computes. `process.exit` joins libuv's threads, on which native calls of
 * both runtimes lie: it returns when the last of them has, which for a training step can be minutes.
 */
import { koffi } from "./koffi.js";

/**
 * End the process at once, whatever native calls are going on: libc's `_exit`. Nothing else runs, no `exit` listener and
 * no handler of a library; what streams still hold is lost, so flush them first. Where there is no libc (Windows) it is
 * `process.exit`.
 */
export function exitNow(code: number): never {
  try {
    (koffi.load(null).func("void _exit(int status)") as (status: number) => void)(code);
  } catch {
    // no such function here
  }
  process.exit(code);
}
