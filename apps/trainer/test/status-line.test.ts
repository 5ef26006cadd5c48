import fc from "fast-check";
import { expect, test } from "vitest";
import { liveLine, type Terminal } from "../src/metrics/live-output.js";
import { createPace } from "../src/metrics/pace.js";
import type { MetricsRow } from "../src/metrics/row.js";
import { nextRates, type Rates, type Status, statusLine } from "../src/metrics/status-line.js";

const rates: Rates = {
  ...{ total: 4.1, fastLoss: 3.2, actionLoss: 0.9, samplesPerS: 11.4, dataShare: 0.031 },
};
const status: Status = { step: 1234, totalSteps: 30_000, rates, wallMs: 350 };

test("the line, at several widths: what matters least goes first", () => {
  const lines = [140, 100, 60, 36, 20, 4].map((columns) => statusLine(status, columns));
  expect(lines).toMatchInlineSnapshot(`
    [
      "█▎····························    4%   1234/30000  ETA 2h47m  fast 3.200 action 0.900  11.4 samples/s  data 3%",
      "▉···················    4%   1234/30000  ETA 2h47m  fast 3.200 action 0.900  11.4 samples/s  data 3%",
      "  4%   1234/30000  ETA 2h47m  fast 3.200 action 0.900",
      "  4%   1234/30000  ETA 2h47m",
      "  4%   1234/30000",
      "  4%",
    ]
  `);
  expect(statusLine({ ...status, activity: "validating" }, 120)).toContain("validating  ETA 2h47m");
  expect(statusLine({ step: 0, totalSteps: 200 }, 40)).toMatchInlineSnapshot(
    `"··················    0%    0/200  ETA …"`,
  );
  expect(statusLine({ step: 200, totalSteps: 200, rates }, 30)).toContain("100%  200/200");
});

test("never wider than the terminal, one line, no control characters, whatever the numbers", () => {
  const number = fc.oneof(fc.double(), fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, 0, -1e300));
  fc.assert(
    fc.property(
      fc.nat(300),
      fc.nat(1e6),
      fc.nat(1e6),
      fc.record({
        total: number,
        samplesPerS: number,
        dataShare: number,
        fastLoss: number,
        actionLoss: number,
      }),
      number,
      (columns, step, totalSteps, rates, wallMs) => {
        const line = statusLine({ step, totalSteps, rates, wallMs, activity: "validating" }, columns);
        expect([...line].length).toBeLessThanOrEqual(columns);
        expect([...line].every((character) => character >= " " && character !== "\u007f")).toBe(true);
      },
    ),
  );
});

test("the time to go counts what happens between steps, and not what only the first one does", () => {
  let now = 0;
  const pace = createPace(() => now);
  const end = (step: number, after: number): number => {
    now += after;
    return pace({ step, step_ms: 100 });
  };
  now = 60_000; // opening the graphs
  expect(pace({ step: 301, step_ms: 5000 })).toBe(5000);
  expect(end(302, 100)).toBe(100);
  expect(end(303, 100)).toBe(100);
  expect(end(304, 100 + 1700)).toBe(2000 / 3); // a validation, and a save, after step 303
  expect(end(310, 600)).toBe(2600 / 9);
});

test("means follow the steps, and recover from one that was not finite", () => {
  const row = (total: number, more: Partial<MetricsRow> = {}) =>
    ({ step: 1, total, samples_per_s: 10, step_ms: 100, data_ms: 20, time: 0, ...more }) as MetricsRow;
  let mean = nextRates(undefined, row(4));
  expect(mean).toMatchObject({ total: 4, dataShare: 0.2 });
  mean = nextRates(mean, row(2));
  expect(mean.total).toBeCloseTo(3.8);
  expect(nextRates(mean, row(Number.NaN, { skipped: 1 }))).toEqual(mean);
  expect(nextRates({ ...mean, total: Number.NaN }, row(2)).total).toBe(2);
});

/** A terminal that keeps its screen: `\r`, erase line and line feeds, as a real one does them. */
function screen(columns: number): Terminal & { lines: string[]; writes: string[] } {
  const lines = [""];
  const writes: string[] = [];
  return {
    isTTY: true,
    columns,
    lines,
    writes,
    write(text) {
      writes.push(text);
      for (const [i, line] of text.split("\n").entries()) {
        if (i > 0) lines.push("");
        const [before, after] = line.split("\r\u001b[2K") as [string, string | undefined];
        lines[lines.length - 1] = after ?? lines.at(-1)! + before;
      }
    },
  };
}

test("lines scroll above the live line and do not tear it", () => {
  const terminal = screen(80);
  let now = 0;
  const live = liveLine(terminal, { env: {}, clock: () => now })!;
  live.above("before");
  live.update({ step: 1, totalSteps: 10 });
  live.above("in between");
  now += 1000;
  live.update({ step: 2, totalSteps: 10 });
  expect(terminal.lines.slice(0, 2)).toEqual(["before", "in between"]);
  expect(terminal.lines.at(-1)).toBe(statusLine({ step: 2, totalSteps: 10 }, 79));
  live.clear();
  live.above("after");
  expect(terminal.lines).toEqual(["before", "in between", "after", ""]);
});

test("at most ten times a second, but at once when something else goes on", () => {
  const terminal = screen(80);
  let now = 0;
  const live = liveLine(terminal, { env: {}, clock: () => now })!;
  for (let step = 1; step <= 100; step++) {
    now += 10;
    live.update({ step, totalSteps: 100 });
  }
  expect(terminal.writes.length).toBe(10);
  live.update({ step: 100, totalSteps: 100, activity: "validating" });
  expect(terminal.lines.at(-1)).toContain("validating");
});

test("nothing live where nobody could see it", () => {
  expect(liveLine({ write: () => {} }, { env: {} })).toBeUndefined();
  expect(liveLine(screen(80), { env: { NO_COLOR: "1" } })).toBeUndefined();
  expect(liveLine(screen(80), { env: { TERM: "dumb" } })).toBeUndefined();
  expect(liveLine(screen(80), { env: { TERM: "xterm" } })).toBeDefined();
});
