import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { serializeNormStats } from "../src/index.js";
import { readNormStats, writeNormStats } from "../src/node.js";

const dir = mkdtempSync(join(tmpdir(), "insula-norm-stats-"));
afterAll(() => rmSync(dir, { recursive: true }));

const stats = {
  state: {
    mean: Float64Array.of(0.1),
    std: Float64Array.of(2),
    q01: Float64Array.of(-1),
    q99: Float64Array.of(3),
  },
};

test("written whole, read back", async () => {
  const folder = join(dir, "assets", "droid");
  const path = await writeNormStats(folder, stats);
  expect(path).toBe(join(folder, "norm_stats.json"));
  expect(readdirSync(folder)).toEqual(["norm_stats.json"]);
  expect(readFileSync(path, "utf8")).toBe(serializeNormStats(stats));
  expect(await readNormStats(folder)).toEqual(stats);
  expect(await readNormStats(path)).toEqual(stats);
});

test("a failed write leaves the old file and nothing else", async () => {
  const folder = join(dir, "kept");
  await writeNormStats(folder, stats);
  const bad = { state: { ...stats.state, mean: Float64Array.of(Number.NaN) } };
  await expect(writeNormStats(folder, bad)).rejects.toThrow("cannot write NaN");
  expect(readdirSync(folder)).toEqual(["norm_stats.json"]);
  expect(await readNormStats(folder)).toEqual(stats);
});

test("errors name the file", async () => {
  await expect(readNormStats(join(dir, "none"))).rejects.toThrow(
    `Norm stats file not found at: ${join(dir, "none", "norm_stats.json")}`,
  );
  const path = join(dir, "bad.json");
  writeFileSync(path, "{}");
  await expect(readNormStats(path)).rejects.toThrow(`${path}: expected {"norm_stats"`);
});
