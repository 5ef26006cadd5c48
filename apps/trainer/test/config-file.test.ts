import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { loadConfig } from "../src/configs/file.js";
import { getConfig } from "../src/configs/registry.js";
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
  expect(await loadConfig(at("bench-arm.config.ts"))).toEqual({
    ...declared,
    name: "bench-arm",
    batchSize: 6,
    lrSchedule: { type: "constant", lr: 1e-4 },
    data: { ...declared.data, heldOut: 0.25 },
  });
});

test("files extend files, relative to themselves", async () => {
  const at = folder({
    "a.json": `{ "extends": "./sub/b.json", "seed": 7, "name": "mine" }`,
    "sub/b.json": `{ "extends": "../c.mjs", "optimizer": { "b2": 0.99 } }`,
    "c.mjs": `export default { extends: "debug_pi05_ki", optimizer: { b1: 0.8 } };`,
  });
  const { name, seed, optimizer } = await loadConfig(at("a.json"));
  expect({ name, seed, ...optimizer }).toMatchObject({ name: "mine", seed: 7, b1: 0.8, b2: 0.99 });
});

test("the command line takes a file wherever it takes a name", async () => {
  const at = folder({ "mine.json": `{ "extends": "debug_pi05_ki", "batchSize": 3 }` });
  const shown = await cli("configs", "show", at("mine.json"), "--size", "tiny", "--set", "seed=5");
  expect(shown.err).toBe("");
  expect(JSON.parse(shown.out)).toMatchObject({ name: "mine", batchSize: 3, seed: 5, size: "tiny" });
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
