import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { createSession, tensor, zerosTensor } from "../src/index.js";
import { identityModel, modelBytes } from "../src/model-bytes.js";
import { TYPES, UPDATE } from "./models.js";

const dir = mkdtempSync(join(tmpdir(), "insula-session-"));
afterAll(() => rmSync(dir, { recursive: true }));

/** y = x + x, by way of an Identity that optimisation takes away. */
const UNUSED_IDENTITY = modelBytes({
  inputs: [{ name: "x", type: "float32", shape: [2] }],
  outputs: [{ name: "y", type: "float32", shape: [2] }],
  nodes: [
    { op: "Identity", inputs: ["x"], outputs: ["same"] },
    { op: "Add", inputs: ["same", "x"], outputs: ["y"] },
  ],
});

const six = (...x: number[]) => tensor(Float32Array.from(x), [2, 3]);

describe.each(["node", "capi"] as const)("%s runtime", (runtime) => {
  test("a model says what it takes and gives", async () => {
    const session = await createSession(UPDATE, { runtime });
    expect(session.inputs).toEqual([
      { name: "p", type: "float32", shape: [2, 3] },
      { name: "d", type: "float32", shape: [2, 3] },
    ]);
    expect(session.outputs.map((o) => o.name)).toEqual(["new_p", "norm"]);
    await session.release();
  });

  test("an output written over an input updates it in place", async () => {
    const session = await createSession(UPDATE, { runtime });
    const p = six(1, 2, 3, 4, 5, 6);
    const d = six(2, 2, 2, 2, 2, 2);
    for (let i = 0; i < 3; i++) {
      const out = await session.run({ p, d }, { into: { new_p: p } });
      expect(out["new_p"]).toBe(p);
      expect(out["norm"]!.data[0]).toBe(24);
    }
    expect([...p.data]).toEqual([-2, -1, 0, 1, 2, 3]);
    await session.release();
  });

  test("only the outputs asked for are computed into fresh tensors", async () => {
    const session = await createSession(UPDATE, { runtime });
    const out = await session.run(
      { p: six(0, 0, 0, 0, 0, 0), d: six(1, 0, 0, 0, 0, 0) },
      { outputs: ["norm"] },
    );
    expect(out).toEqual({ norm: { data: Float32Array.of(1), shape: [], type: "float32" } });
    await session.release();
  });

  test("every element type crosses the border and back", async () => {
    const session = await createSession(TYPES, { runtime });
    const out = await session.run({
      mask: tensor(Uint8Array.of(1, 0, 1), [3], "bool"),
      ids: tensor(Int32Array.of(1, -2, 3), [3]),
      wide: tensor(BigInt64Array.of(0n, -5n, 2n ** 60n), [3]),
      pixels: tensor(Uint8Array.of(0, 128, 255), [3]),
    });
    expect([...out["not"]!.data]).toEqual([0, 1, 0]);
    expect([...out["twice"]!.data]).toEqual([2, -4, 6]);
    expect([...out["next"]!.data]).toEqual([1n, -4n, 2n ** 60n + 1n]);
    expect([...out["bright"]!.data]).toEqual([0, 128, 255]);
    await session.release();
  });

  test("wrong feeds are named with what was expected", async () => {
    const session = await createSession(UPDATE, { runtime });
    const p = six(0, 0, 0, 0, 0, 0);
    await expect(session.run({ p })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[InsulaError: session: input 'd' (float32[2, 3]) was not fed]`,
    );
    await expect(
      session.run({ p, d: tensor(new Float32Array(4), [2, 2]) }),
    ).rejects.toThrowErrorMatchingInlineSnapshot(
      `[InsulaError: session: input 'd': expected float32[2, 3], found float32[2, 2]]`,
    );
    await expect(session.run({ p, d: p, q: p })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[InsulaError: session: the model has no input 'q']`,
    );
    await session.release();
  });

  test("a file that is no model, and a device that is not there, are errors with a code", async () => {
    const path = join(dir, "broken.onnx");
    writeFileSync(path, "not a model");
    await expect(createSession(path, { runtime })).rejects.toMatchObject({ code: "session/create" });
    for (const device of [
      "cuda:99",
      "cuda:x" as "cuda",
      "cuda:-1",
      "cuda:01" as "cuda",
      "gpu" as "cpu",
    ] as const)
      await expect(createSession(UPDATE, { runtime, device }), device).rejects.toMatchObject({
        code: "session/device",
      });
  });

  test("what was released says so", async () => {
    const session = await createSession(UPDATE, { runtime });
    await session.release();
    await session.release();
    await expect(session.run({})).rejects.toMatchObject({ code: "session/released" });
    expect(() => session.bind({})).toThrow("session: it was released");
  });

  test("optimisation levels change the graph that runs, not its results", async () => {
    const x = tensor(Float32Array.of(1, 2), [2]);
    const nodes: Record<string, number> = {};
    for (const optimizationLevel of ["none", "basic", "extended", "all"] as const) {
      const path = join(dir, `${runtime}-${optimizationLevel}.onnx`);
      const session = await createSession(UNUSED_IDENTITY, {
        runtime,
        optimizationLevel,
        optimizedModelPath: path,
      });
      expect((await session.run({ x }))["y"]!.data).toEqual(Float32Array.of(2, 4));
      nodes[optimizationLevel] = readFileSync(path, "latin1").split("Identity").length - 1;
      await session.release();
    }
    expect(nodes).toEqual({ none: 1, basic: 0, extended: 0, all: 0 });
  });

  test("the optimised graph can be saved and looked at", async () => {
    const session = await createSession(UPDATE, {
      runtime,
      optimizedModelPath: join(dir, `${runtime}.onnx`),
    });
    expect(readdirSync(dir)).toContain(`${runtime}.onnx`);
    await session.release();
  });
});

test("bfloat16 keeps its bits on the capi runtime; the node runtime has none", async () => {
  const slot = { type: "bfloat16", shape: [3] } as const;
  const model = modelBytes({
    inputs: [{ name: "x", ...slot }],
    outputs: [{ name: "y", ...slot }],
    nodes: [{ op: "Identity", inputs: ["x"], outputs: ["y"] }],
  });
  const x = tensor(Uint16Array.of(0x3f80, 0xc000, 0x7f80), [3], "bfloat16"); // 1, -2, ∞
  const session = await createSession(model, { runtime: "capi" });
  expect(session.inputs[0]).toEqual({ name: "x", type: "bfloat16", shape: [3] });
  expect((await session.run({ x }))["y"]).toEqual(x);
  await session.release();
  await expect(createSession(model, { runtime: "node" })).rejects.toThrowErrorMatchingInlineSnapshot(
    `[InsulaError: session: the model exchanges tensors of type bfloat16, which the node runtime cannot; use the capi runtime]`,
  );
  await expect(createSession(identityModel("bfloat16"), { runtime: "node" })).rejects.toMatchObject({
    code: "session/create",
  });
});

test("tensors check their type and shape", () => {
  expect(() => tensor(new Float32Array(3), [2, 2])).toThrow("tensor: 3 elements do not fill shape [2, 2]");
  expect(() => tensor(new Float32Array(1), [], "int64")).toThrow(
    "tensor: int64 is stored in BigInt64Array, found Float32Array",
  );
  expect(zerosTensor("int64", [2]).data).toEqual(new BigInt64Array(2));
});
