import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { configFrom } from "../src/commands/options.js";
import { loadConfig } from "../src/configs/file.js";
import { getConfig } from "../src/configs/registry.js";
import { resolveConfig } from "../src/configs/resolve.js";
import type { RunConfig } from "../src/configs/types.js";
import { runCli } from "../src/program.js";

function folder(files: Record<string, string>): (name: string) => string {
  const dir = mkdtempSync(join(tmpdir(), "insula-config-"));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(dir, name, ".."), { recursive: true });
    writeFileSync(join(dir, name), text);
  }
  return (name) => join(dir, name);
}

async function cli(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const text = { out: "", err: "" };
  const io = {
    out: (line: string) => void (text.out += `${line}\n`),
    err: (line: string) => void (text.err += `${line}\n`),
  };
  return { code: await runCli(args, io), ...text };
}

test("a TypeScript file changes fields of the configuration that it extends, at every depth", async () => {
  const at = folder({
    "bench-arm.config.ts": `
      import { base } from "./lib/base.ts";
      interface Wanted { batchSize: number }
      const wanted: Wanted = { batchSize: 6 };
      export default { extends: "pi05_droid_ki", ...wanted, ...base, data: { heldOut: 0.25 } };`,
    "lib/base.ts": `export const base = { lrSchedule: { type: "constant", lr: 1e-4 } as const };`,
  });
  const declared = getConfig("pi05_droid_ki");
  const fields = { batchSize: 6, lrSchedule: { type: "constant", lr: 1e-4 }, data: { heldOut: 0.25 } };
  expect(await loadConfig(at("bench-arm.config.ts"))).toEqual({
    config: { ...declared, ...fields, name: "bench-arm", data: { ...declared.data, heldOut: 0.25 } },
    declared,
    own: [{ ...fields, name: "bench-arm" }],
  });
});

test("files extend files, relative to themselves", async () => {
  const at = folder({
    "a.json": `{ "extends": "./sub/b.json", "seed": 7, "name": "mine" }`,
    "sub/b.json": `{ "extends": "../c.mjs", "optimizer": { "b2": 0.99 } }`,
    "c.mjs": `export default { extends: "debug_pi05_ki", optimizer: { b1: 0.8 } };`,
  });
  const { config, declared, own } = await loadConfig(at("a.json"));
  const { name, seed, optimizer } = config;
  expect({ name, seed, ...optimizer }).toMatchObject({ name: "mine", seed: 7, b1: 0.8, b2: 0.99 });
  expect(declared).toBe(getConfig("debug_pi05_ki"));
  expect(own).toEqual([
    { optimizer: { b1: 0.8 }, name: "c" },
    { optimizer: { b2: 0.99 }, name: "b" },
    { seed: 7, name: "mine" },
  ]);
});

test("the command line takes a file wherever it takes a name", async () => {
  const at = folder({ "mine.json": `{ "extends": "debug_pi05_ki", "batchSize": 3 }` });
  const shown = await cli("configs", "show", at("mine.json"), "--size", "tiny", "--set", "seed=5");
  expect(shown.err).toBe("");
  expect(JSON.parse(shown.out)).toMatchObject({ name: "mine", batchSize: 3, seed: 5, size: "tiny" });
});

/** What a run resolves, as `configs show` prints it. */
async function shown(file: string, ...args: string[]): Promise<RunConfig> {
  const { out, err } = await cli("configs", "show", file, ...args);
  expect(err).toBe("");
  return JSON.parse(out) as RunConfig;
}

/** Every field that a size trained from scratch sets, none as it sets it. */
const OWN = {
  weights: "./mine",
  batchSize: 12,
  gradientAccumulation: 3,
  numWorkers: 5,
  lrSchedule: { type: "rsqrt", warmupSteps: 70, peakLr: 0.125, timescale: 5000 },
  emaDecay: 0.9999,
  logInterval: 777,
  histogramInterval: 8888,
  data: { augment: "corrected" },
  validation: { interval: 9999, batches: 33, sampledChunks: 44 },
} as const;

test.each(["tiny", "small"])("at size %s, too, everything is as the user's files say", async (size) => {
  const at = folder({
    "whole.json": JSON.stringify({ extends: "pi05_droid_ki", size, ...OWN }),
    "above.json": JSON.stringify({ extends: "./whole.json", batchSize: 24, validation: { batches: 2 } }),
  });
  for (const args of [[], ["--size", size]]) {
    expect(await shown(at("whole.json"), ...args)).toMatchObject({ size, ...OWN });
  }
  expect(await shown(at("above.json"))).toMatchObject({
    ...OWN,
    name: "above",
    size,
    batchSize: 24,
    validation: { ...OWN.validation, batches: 2 },
  });
  const set = ["--set", "lrSchedule.peakLr=0.5", "--set", "emaDecay=0.5"];
  expect(await shown(at("whole.json"), ...set)).toMatchObject({
    ...OWN,
    lrSchedule: { ...OWN.lrSchedule, peakLr: 0.5 },
    emaDecay: 0.5,
  });
});

test("what the files do not say is as the size has it", async () => {
  const at = folder({
    "mine.json": `{ "extends": "pi05_droid_finetune", "size": "tiny", "lrSchedule": { "peakLr": 0.5 } }`,
  });
  const { name: _, ...mine } = await shown(at("mine.json"));
  const { name: __, ...named } = resolveConfig(getConfig("pi05_droid_finetune"), { size: "tiny" });
  expect(mine).toEqual({ ...named, lrSchedule: { ...named.lrSchedule, peakLr: 0.5 } });
});

test("insula train takes size and length from the file, and --size and --set before them", async () => {
  const at = folder({ "mine.json": `{ "extends": "pi05_droid_ki", "size": "small", "numTrainSteps": 900 }` });
  const set: string[] = [];
  expect(await configFrom(at("mine.json"), { set })).toMatchObject({ size: "small", numTrainSteps: 900 });
  expect(await configFrom(at("mine.json"), { set, size: "tiny" })).toMatchObject({
    size: "tiny",
    numTrainSteps: 900,
  });
  const other = { set: ["size=tiny", "numTrainSteps=7"], size: "full" } as const;
  expect(await configFrom(at("mine.json"), { ...other, set: [...other.set] })).toEqual(
    await configFrom(at("mine.json"), { set, size: "tiny", numTrainSteps: 7 }),
  );
});

const refused: [name: string, file: string, message: RegExp][] = [
  [
    "unknown.json",
    `{ "extends": "debug", "batchsize": 3 }`,
    /unknown\.json: config: unknown field 'batchsize'; did you mean 'batchSize'\?/,
  ],
  [
    "deep.json",
    `{ "extends": "debug", "data": { "robott": "droid" } }`,
    /deep\.json: config: unknown field 'data\.robott'; did you mean 'data\.robot'\?/,
  ],
  [
    "typed.json",
    `{ "extends": "debug", "optimizer": { "b1": "much" } }`,
    /typed\.json: config: optimizer\.b1: .*number.* found "much"/,
  ],
  [
    "size.json",
    `{ "extends": "debug", "size": "huge" }`,
    /size\.json: config: size: expected one of tiny, small, full, found "huge"/,
  ],
  ["null.json", `{ "extends": "debug", "data": null }`, /null\.json: config: data: .* found null/],
  ["orphan.json", `{ "batchSize": 3 }`, /orphan\.json: extends: expected .*, found none/],
  [
    "parent.json",
    `{ "extends": "debug_pi5_ki" }`,
    /parent\.json: extends: config 'debug_pi5_ki' not found; did you mean 'debug_pi05_ki'\?/,
  ],
  ["cycle.json", `{ "extends": "./cycle.json" }`, /cycle\.json: extends itself/],
  ["cut.json", `{ "extends": "debug"`, /cut\.json: cannot read this configuration/],
  ["list.json", `[1]`, /list\.json: expected an object as default export, found \[1\]/],
];

for (const [name, file, message] of refused) {
  test(`refused: ${name}`, async () => {
    const { code, err } = await cli("configs", "show", folder({ [name]: file })(name), "--size", "tiny");
    expect(code).toBe(1);
    expect(err).toMatch(message);
  });
}

test("refused: a file that is not there", async () => {
  const { code, err } = await cli("train", "--config", "/nowhere/x.ts", "--dry-run");
  expect(code).toBe(1);
  expect(err).toMatch(/\/nowhere\/x\.ts: cannot read this configuration/);
});
