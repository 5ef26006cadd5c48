/** @file What a run plans and what it then takes, by its own account; in a file, so a process, of its own. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { defaultRuntime } from "@insula/ort-session";
import { ensureSampleData } from "@insula/sample-data";
import { afterAll, expect, test } from "vitest";
import { runCli } from "../src/program.js";

const base = mkdtempSync(join(tmpdir(), "insula-plan-"));
afterAll(() => rmSync(base, { recursive: true }));

// The arena's peak is the process's: the smaller runs first.
test.runIf(defaultRuntime() === "capi")("a run takes what its plan said, within 15 %", async () => {
  const { datasetDir } = await ensureSampleData(join(base, "data"), undefined, { episodes: 4 });
  for (const [name, ...more] of [
    ["parts", "gradientAccumulation=2", "flowDraws=3", "emaDecay=null", "model.maxTokenLen=127"],
    // In buckets of text: the longest that the data need counts, not the buffer.
    ["buckets", "emaDecay=0.9", "model.maxTokenLen=400"],
    ["whole", "emaDecay=0.9", "model.maxTokenLen=127"],
  ] as const) {
    const out: string[] = [];
    const args = ["train", "debug_pi05_ki", "--dataset", datasetDir, "--log-dir", join(base, name)];
    const code = await runCli(
      // Graphs that were never optimised before: the first run takes no more than those after it.
      [...args, "--no-cache", "--num-steps", "2", "--batch-size", "4", ...more.flatMap((s) => ["--set", s])],
      { out: (line) => void out.push(line), err: (line) => void out.push(line) },
    );
    expect(code, out.join("\n")).toBe(0);
    const line = out.find((text) => /; planned /.test(text));
    const [, planned, off] = /; planned ([\d.]+) GB, used (?:just so|(\d+) % (?:more|less))$/.exec(line!)!;
    expect(Number(planned)).toBeGreaterThan(0.05);
    expect(Number(off ?? 0), line).toBeLessThanOrEqual(15);
  }
});
