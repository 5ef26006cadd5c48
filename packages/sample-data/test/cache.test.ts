import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { ensureSampleData, sampleDataVersion } from "../src/cache.js";
import type { SampleDataPaths } from "../src/generate.js";

const root = mkdtempSync(join(tmpdir(), "insula-cache-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const small = { episodes: 1 };
const version = sampleDataVersion(small);

describe("ensureSampleData", () => {
  const home = join(root, "first");
  let paths: SampleDataPaths;
  beforeAll(async () => {
    paths = await ensureSampleData(home, undefined, small);
  });

  test("generates into a folder named by version and options, leaving nothing else", () => {
    expect(dirname(paths.datasetDir)).toBe(join(home, version));
    expect(readdirSync(home)).toEqual([version]);
    for (const path of Object.values(paths)) expect(existsSync(path)).toBe(true);
  });

  test("the second time it finds it", async () => {
    const progress = vi.fn();
    expect(await ensureSampleData(home, progress, small)).toEqual(paths);
    expect(progress).not.toHaveBeenCalled();
  });

  test("two calls at once generate once", async () => {
    const cache = join(root, "twice");
    const progress = [vi.fn(), vi.fn()];
    const both = await Promise.all(progress.map((p) => ensureSampleData(cache, p, small)));
    expect(both[0]).toEqual(both[1]);
    expect(progress[0]!.mock.calls.length + progress[1]!.mock.calls.length).toBe(1);
  });

  test("another process that finishes first wins, and nothing is left beside", async () => {
    const cache = join(root, "race");
    const copy = () => cpSync(join(home, version), join(cache, version), { recursive: true });
    const found = await ensureSampleData(cache, copy, small);
    expect(existsSync(found.textTokenizerPath)).toBe(true);
    expect(readdirSync(cache)).toEqual([version]);
  });

  test("a folder that somebody has deleted half of is made anew", async () => {
    const cache = join(root, "damaged");
    cpSync(join(home, version), join(cache, version), { recursive: true });
    rmSync(join(cache, version, "text_tokenizer.json"));
    writeFileSync(join(cache, version, "dataset", "meta", "info.json"), "{}");
    const found = await ensureSampleData(cache, undefined, small);
    expect(existsSync(found.textTokenizerPath)).toBe(true);
    expect(readdirSync(cache)).toEqual([version]);
  });

  test("what a killed process left is removed after a day", async () => {
    const cache = join(root, "stale");
    const [old, young] = ["0ld", "y0ung"].map((name) => join(cache, `${version}.partial-${name}`));
    for (const path of [old!, young!]) mkdirSync(path, { recursive: true });
    const yesterday = new Date(Date.now() - 25 * 3600 * 1000);
    utimesSync(old!, yesterday, yesterday);
    await ensureSampleData(cache, undefined, small);
    expect(readdirSync(cache).sort()).toEqual([version, basename(young!)]);
  });

  test("a folder that cannot be written to is refused by name", async () => {
    const file = join(root, "file");
    writeFileSync(file, "");
    await expect(ensureSampleData(join(file, "cache"), undefined, small)).rejects.toMatchObject({
      code: "sample-data/cache",
      message: `${join(file, "cache")}: cannot write the sample data there; name a writable folder with cacheDir`,
    });
  });

  test("by default: XDG_CACHE_HOME, else the temporary directory", async () => {
    const xdg = join(root, "xdg");
    vi.stubEnv("XDG_CACHE_HOME", xdg);
    const inside = await ensureSampleData(undefined, undefined, small);
    expect(dirname(inside.datasetDir)).toBe(join(xdg, "insula", "sample-data", version));

    vi.stubEnv("XDG_CACHE_HOME", join(root, "file")); // a file, not a folder
    vi.stubEnv("TMPDIR", join(root, "tmp"));
    const fallback = await ensureSampleData(undefined, undefined, small);
    expect(fallback.datasetDir.startsWith(join(root, "tmp"))).toBe(true);
    vi.unstubAllEnvs();
  });
});

test("the version depends on every option, and on nothing else", () => {
  const versions = [{}, { seed: 1 }, { episodes: 8 }].map(sampleDataVersion);
  expect(new Set(versions).size).toBe(3);
  expect(sampleDataVersion({ seed: 0, episodes: 64 })).toBe(sampleDataVersion());
});
