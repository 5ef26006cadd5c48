/**
 * @file SIGTERM and SIGINT: the first finishes the step and saves, within a time; the second leaves at once. A cluster
 * sends SIGTERM some 30 s before it kills.
 */
import { constants } from "node:os";
import type { LiveLine } from "../metrics/live-output.js";
import { leave } from "./leave.js";

const SIGNALS: readonly NodeJS.Signals[] = ["SIGINT", "SIGTERM"];

export interface SignalOptions {
  /** Seconds from the first signal to the exit, whatever is still going on. */
  graceSeconds: number;
  log(line: string): void;
  /** Taken away before the process is left. */
  live?: Pick<LiveLine, "clear"> | undefined;
  /** Leave the process, whatever it computes; injectable. */
  exit?(code: number): void;
}

export interface SignalWatch {
  /** Aborted by the first signal. */
  readonly signal: AbortSignal;
  /** 143 for SIGTERM, 130 for SIGINT; 0 while there was none. */
  exitCode(): number;
  /** Let signals do again what they do. */
  release(): void;
}

/** Watch for signals until released. */
export function watchSignals({ graceSeconds, log, live, exit = leave }: SignalOptions): SignalWatch {
  const controller = new AbortController();
  let code = 0;
  let timer: NodeJS.Timeout | undefined;
  const exitNow = (status: number) => {
    live?.clear();
    exit(status);
  };
  const handler = (signal: NodeJS.Signals) => {
    const wanted = 128 + constants.signals[signal];
    if (code !== 0) {
      exitNow(wanted);
      return;
    }
    code = wanted;
    log(`${signal}: finishing this step and saving; once more leaves at once`);
    timer = setTimeout(() => {
      log(
        `ERROR: ${signal}: the step and its checkpoint were not done within ${graceSeconds} s (--grace-seconds). ` +
          "Leaving now: earlier checkpoints are whole, and --resume continues from the last",
      );
      exitNow(code);
    }, 1000 * graceSeconds);
    controller.abort();
  };
  for (const signal of SIGNALS) process.on(signal, handler);
  return {
    signal: controller.signal,
    exitCode: () => code,
    release() {
      clearTimeout(timer);
      for (const signal of SIGNALS) process.off(signal, handler);
    },
  };
}
