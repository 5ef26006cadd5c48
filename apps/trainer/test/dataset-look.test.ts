/** @file `insula dataset info | validate | plot`. */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DatasetSummary } from "@insula/lerobot-dataset";
import { ensureSampleData } from "@insula/sample-data";
import { describeShared, sharedPath } from "@insula/test-kit";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { runCli } from "../src/program.js";

const base = mkdtempSync(join(tmpdir(), "insula-look-"));
let sample = "";
beforeAll(async () => {
  sample = (await ensureSampleData()).datasetDir;
}, 120_000);
afterAll(() => rmSync(base, { recursive: true }));

async function insula(...args: string[]) {
  const out: string[] = [];
  const err: string[] = [];
  const code = await runCli(["dataset", ...args], { out: (l) => out.push(l), err: (l) => err.push(l) });
  return { code, out: out.join("\n"), err: err.join("\n") };
}

test("info: the embedded sample data", async () => {
  const { code, out } = await insula("info", sample);
  expect(code).toBe(0);
  for (const text of [
    "LeRobot v3.0",
    "joint_position",
    "cameras",
    "features",
    "tasks",
    "missing   nothing",
  ]) {
    expect(out).toContain(text);
  }
  const json = JSON.parse((await insula("info", sample, "--json", "--no-ranges")).out) as DatasetSummary;
  expect(out).toContain(`${json.frames} at ${json.fps} fps`);
  expect(json.features.every((feature) => feature.min === undefined)).toBe(true);
});

describe("validate", () => {
  test("sound data: 0; broken data: every problem on a line, and 1", async () => {
    expect(await insula("validate", sample)).toEqual({ code: 0, out: "no problems", err: "" });
    const dir = join(base, "broken");
    cpSync(sample, dir, { recursive: true });
    const path = join(dir, "meta/info.json");
    const info = JSON.parse(readFileSync(path, "utf8"));
    info.features.force = { dtype: "float32", shape: [3], names: null };
    info.total_tasks += 1;
    writeFileSync(path, JSON.stringify(info));
    const { code, out } = await insula("validate", dir);
    expect(code).toBe(1);
    const lines = out.split("\n");
    expect(lines[0]).toMatch(
      /^meta\/info\.json: total_tasks: expected \d+, found \d+ in meta\/tasks\.parquet$/,
    );
    expect(lines.at(-1)).toMatch(/^\d+ problems: .*dataset\/missing-key/);

    const limited = (await insula("validate", dir, "--limit", "1")).out.split("\n");
    expect(limited).toHaveLength(3);
    expect(limited[1]).toMatch(/^… and \d+ more/);

    const objects = (await insula("validate", dir, "--json")).out.split("\n").map((line) => JSON.parse(line));
    expect(objects[0]).toMatchObject({ code: "dataset/counts", file: "meta/info.json" });
    expect(objects.at(-1).problems).toBe(lines.length - 1);
  });

  test("what is no dataset, and wrong options", async () => {
    const { code, out } = await insula("validate", base);
    expect([code, out.includes("meta/info.json: not found")]).toEqual([1, true]);
    expect((await insula("validate", sample, "--limit", "0")).code).toBe(2);
    expect((await insula("validate", sample, "--jump", "x")).code).toBe(2);
  });
});

test("plot: a file with a line per number", async () => {
  const file = join(base, "plots/second.svg");
  const { code, out } = await insula("plot", sample, "--episode", "1", "--out", file, "--thumbnails", "2");
  expect([code, out]).toEqual([0, file]);
  const svg = readFileSync(file, "utf8");
  expect(svg).toMatch(/^<svg .*<\/svg>\n$/s);
  expect(svg.match(/data-feature="actions"/g)).toHaveLength(8);
  expect(svg.match(/<image /g)!.length).toBeGreaterThanOrEqual(2);
  expect(readdirSync(join(base, "plots"))).toEqual(["second.svg"]);

  const only = await insula("plot", sample, "--out", file, "--cameras", "none", "--features", "actions");
  expect(only.code).toBe(0);
  expect(readFileSync(file, "utf8")).not.toContain("<image ");
  expect((await insula("plot", sample, "--features", "joint", "--out", file)).err).toContain("[cli/feature]");
  expect((await insula("plot", sample, "--episode", "9999", "--out", file)).err).toContain("[dataset/index]");
  expect((await insula("plot", sample, "--out", join(file, "x.svg"))).err).toContain("[cli/unwritable]");
});

describe("a dataset by its repository", () => {
  afterEach(() => vi.unstubAllEnvs());

  test("LeRobot's own copy is found; what is nowhere says so before any work", async () => {
    vi.stubEnv("HF_LEROBOT_HOME", join(base, "home"));
    vi.stubEnv("HF_HUB_CACHE", join(base, "hub"));
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    cpSync(sample, join(base, "home/robots/cups"), { recursive: true });
    expect((await insula("info", "robots/cups", "--no-ranges")).out).toContain(
      join(base, "home/robots/cups"),
    );
    expect((await insula("info", "robots/none")).err).toMatch(
      /robots\/none at main: not in .* \[hub\/offline\]$/,
    );
    const err: string[] = [];
    const train = ["train", "debug_pi05_ki", "--dataset", "robots/none", "--log-dir", join(base, "run")];
    expect(await runCli(train, { out: () => undefined, err: (line) => err.push(line) })).toBe(1);
    expect(err.join("\n")).toContain("[hub/offline]");
  });
});

describeShared("published data", () => {
  test("missing files are named", async () => {
    const { out } = await insula("info", sharedPath("data/lerobot/v20_gr00t_robot_sim_PickNPlace"));
    expect(out).toContain("5 files");
    expect(out).toContain("  videos/chunk-000/observation.images.egoview/episode_000004.mp4");
    expect(out).toContain("h264");
  });
});
