/** @file Steps whose loss or gradient is not finite: said, explained, counted, and ended when they go on. */
import { InsulaError } from "@insula/model-types";
import type { MetricsRow } from "../metrics/row.js";

export interface SkipGuard {
  /**
   * Look at a step.
   * @param diagnose finds what first went wrong; asked for the first skipped step in a row only, and not when that is
   *   how a loss scale finds its place.
   * @throws InsulaError `train/diverged` when more than `maxSkippedSteps` in a row changed nothing.
   */
  check(row: MetricsRow, diagnose: () => Promise<string | undefined>): Promise<void>;
}

export function createSkipGuard(limit: number, log: (line: string) => void): SkipGuard {
  let inRow = 0;
  return {
    async check(row, diagnose) {
      inRow = row.skipped ? inRow + 1 : 0;
      if (!row.skipped) return;
      const found = (["total", "fast_loss", "action_loss", "grad_norm"] as const).find(
        (key) => row[key] !== undefined && !Number.isFinite(row[key]),
      )!;
      const what = `step ${row.step}: ${found} is ${row[found]}`;
      if (inRow > limit) {
        throw new InsulaError(
          "train/diverged",
          `${what}, and ${inRow} steps in a row changed nothing (maxSkippedSteps ${limit}). The run has diverged: ` +
            "lower lrSchedule.peakLr, or look for outliers in the normalisation statistics. The last checkpoint is untouched",
        );
      }
      const scale =
        row.loss_scale === undefined ? "" : `; the loss scale was ${row.loss_scale} and is halved`;
      const cause = inRow === 1 && !isRoutine(row) ? await diagnose() : undefined;
      log(`warning: ${what}${cause ? `; ${cause}` : ""}: nothing was changed${scale}`);
    },
  };
}

/** float16 gradients overflow now and then, as long as the loss scale can give way. */
const isRoutine = ({ loss_scale: scale, total }: MetricsRow): boolean =>
  scale !== undefined && scale > 1 && Number.isFinite(total);
