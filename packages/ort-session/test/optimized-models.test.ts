import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createSession, type Session, type SessionOptions, tensor } from "../src/index.js";
import { modelBytes } from "../src/model-bytes.js";
import { createCached } from "../src/optimized-models.js";
import { UPDATE } from "./models.js";

let cacheDir: string;
beforeEach(() => {
  cacheDir = mkdtempSync(join(tmpdir(), "insula-cache-"));
});
afterEach(() => rmSync(cacheDir, { recursive: true, force: true }));

const p = tensor(Float32Array.of(1, 2, 3, 4, 5, 6), [2, 3]);
const d = tensor(Float32Array.of(0.1, 0.2, 0.3, 0.4, 0.5, 0.6), [2, 3]);

async function run(options: SessionOptions = {}) {
  const session = await createSession(UPDATE, { cacheDir, ...options });
  try {
    return await session.run({ p, d });
  } finally {
    await session.release();
  }
}

/** A model of n additions. */
const chain = (n: number) =>
  modelBytes({
    inputs: [{ name: "x", type: "float32", shape: [1] }],
    outputs: [{ name: "y", type: "float32", shape: [1] }],
    nodes: Array.from({ length: n }, (_, i) => ({
      op: "Add",
      inputs: [i === 0 ? "x" : `h${i - 1}`, "x"],
      outputs: [i === n - 1 ? "y" : `h${i}`],
    })),
  });

describe.each(["node", "capi"] as const)("%s runtime", (runtime) => {
  test("a model is optimised once, and loaded from then on with the same results", async () => {
    const first = await run({ runtime });
    const [file, ...more] = readdirSync(cacheDir);
    expect(more).toEqual([]);
    expect(file).toMatch(/^[0-9a-f]{64}\.onnx$/);
    const path = join(cacheDir, file!);
    const long = new Date("2001-01-01");
    utimesSync(path, long, long);
    const again = await run({ runtime });
    expect(again).toEqual(first);
    expect(readdirSync(cacheDir)).toEqual([file]);
    // Used, and not written again.
    expect(statSync(path).mtime.getFullYear()).toBeGreaterThan(2001);
    writeFileSync(path, readFileSync(path));
    expect(await run({ runtime })).toEqual(first);
  });

  test("a spoilt file is made again", async () => {
    const first = await run({ runtime });
    const path = join(cacheDir, readdirSync(cacheDir)[0]!);
    const good = readFileSync(path);
    for (const bad of [Buffer.alloc(0), good.subarray(0, good.length / 2), Buffer.from("not a model")]) {
      writeFileSync(path, bad);
      expect(await run({ runtime })).toEqual(first);
      expect(readFileSync(path)).toEqual(good);
    }
  });
});

test("the first session, too, is of the file: its nodes run in the order of all that follow", async () => {
  const made: { options: SessionOptions; session: Session }[] = [];
  const create = async (model: Uint8Array | string, options: SessionOptions) => {
    const session = await createSession(model, options);
    made.push({ options, session });
    return session;
  };
  const session = await createCached(create, UPDATE, { cacheDir });
  expect(made.map(({ options }) => options.optimizationLevel)).toEqual([undefined, "none"]);
  expect(session).toBe(made[1]!.session);
  await expect(made[0]!.session.run({ p, d })).rejects.toMatchObject({ code: "session/released" });
  expect(await session.run({ p, d })).toEqual(await run());
  await session.release();
});

test("another level or another set of optimisers is another file", async () => {
  await run();
  await run({ optimizationLevel: "basic" });
  await run({ disabledOptimizers: ["CommonSubexpressionElimination"] });
  await run({ threads: 1 });
  expect(readdirSync(cacheDir)).toHaveLength(3);
});

test("a folder that cannot be made is no error", async () => {
  const file = join(cacheDir, "file");
  writeFileSync(file, "");
  const { norm } = await run({ cacheDir: join(file, "below") });
  expect(norm!.data[0]).toBeCloseTo(0.91, 6);
});

test("a model that ONNX Runtime refuses is refused, and leaves nothing", async () => {
  await expect(createSession(new Uint8Array([1, 2, 3]), { cacheDir })).rejects.toMatchObject({
    code: "session/create",
  });
  expect(readdirSync(cacheDir)).toEqual([]);
});

test("the files that were not used for longest go", async () => {
  for (let i = 0; i < 64; i++) writeFileSync(join(cacheDir, `${i}.onnx`), "");
  const long = new Date("2001-01-01");
  utimesSync(join(cacheDir, "17.onnx"), long, long);
  const session = await createSession(chain(3), { cacheDir });
  await session.release();
  const names = readdirSync(cacheDir);
  expect(names).toHaveLength(64);
  expect(names).not.toContain("17.onnx");
});
