import { expect, test } from "vitest";
import type { MetricsRow } from "../src/metrics/row.js";
import { createSkipGuard } from "../src/train/skips.js";

const row = (step: number, more: Partial<MetricsRow> = {}): MetricsRow =>
  ({ step, total: 1, grad_norm: Number.POSITIVE_INFINITY, skipped: 1, ...more }) as MetricsRow;
const fine = (step: number): MetricsRow => ({ step, total: 1, grad_norm: 1 }) as MetricsRow;

/** What a guard says of some rows, and how often it asks for a cause. */
async function told(rows: readonly MetricsRow[], limit = 9): Promise<{ lines: string[]; asked: number }> {
  const lines: string[] = [];
  let asked = 0;
  const guard = createSkipGuard(limit, (line) => lines.push(line));
  for (const each of rows) {
    await guard.check(each, async () => {
      asked += 1;
      return "because";
    });
  }
  return { lines, asked };
}

test("every first skipped step in a row is explained", async () => {
  expect(await told([fine(1), row(2), row(3), fine(4), row(5)])).toEqual({
    lines: [
      "warning: step 2: grad_norm is Infinity; because: nothing was changed",
      "warning: step 3: grad_norm is Infinity: nothing was changed",
      "warning: step 5: grad_norm is Infinity; because: nothing was changed",
    ],
    asked: 2,
  });
});

test("a loss that is not finite is the reason, also where the gradient is", async () => {
  const { lines } = await told([row(1, { total: Number.POSITIVE_INFINITY, fast_loss: 2, grad_norm: 3 })]);
  expect(lines).toEqual(["warning: step 1: total is Infinity; because: nothing was changed"]);
});

test("a loss scale on its way down needs no explanation; one at its end and a loss that overflows do", async () => {
  expect((await told([row(1, { loss_scale: 65536 }), row(2, { loss_scale: 32768 })])).asked).toBe(0);
  expect((await told([row(1, { loss_scale: 1 })])).asked).toBe(1);
  expect((await told([row(1, { loss_scale: 1024, total: Number.NaN })])).asked).toBe(1);
  const { lines } = await told([row(1, { loss_scale: 1024 })]);
  expect(lines).toEqual([
    "warning: step 1: grad_norm is Infinity: nothing was changed; the loss scale was 1024 and is halved",
  ]);
});

test("the limit counts steps in a row", async () => {
  await expect(told([row(1), row(2), row(3)], 2)).rejects.toMatchObject({ code: "train/diverged" });
  expect((await told([row(1), row(2), fine(3), row(4), row(5)], 2)).lines).toHaveLength(4);
});
