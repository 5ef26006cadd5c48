import { expect, test } from "vitest";
import { ortApi } from "../src/capi/api.js";
import { readFromHost } from "../src/capi/inspect.js";
import { createNativeSession } from "../src/capi/native-session.js";
import { createSession, tensor, upload, zerosTensor } from "../src/index.js";
import { modelBytes } from "../src/model-bytes.js";
import { twoValues, UPDATE } from "./models.js";

const N = 2 ** 18;
const VALUE = 4 * N; // bytes

test("memory counts what this session's graph needs between inputs and outputs, to the byte", async () => {
  const session = await createSession(twoValues(N), { runtime: "capi", threads: 1 });
  const other = await createSession(twoValues(4 * N), { runtime: "capi", threads: 1 });
  expect(session.memory()).toMatchObject({ inUse: 0, peak: 0, allocations: 0 });
  for (let i = 0; i < 3; i++) {
    await session.run({ x: zerosTensor("float32", [N]) });
    await other.run({ x: zerosTensor("float32", [4 * N]) });
    const memory = session.memory()!;
    expect(memory).toMatchObject({ inUse: 0, peak: 2 * VALUE });
    expect(memory.reserved).toBeGreaterThanOrEqual(memory.peak);
    expect(memory.allocations).toBeGreaterThan(i);
    expect(other.memory()).toMatchObject({ peak: 8 * VALUE });
  }
  await session.release();
  await other.release();
});

test("sessions that share an arena need its memory once", async () => {
  const open = (n: number) => createSession(twoValues(n), { runtime: "capi", threads: 1, sharedArena: true });
  const [small, large] = [await open(N), await open(4 * N)];
  const apart = await createSession(twoValues(N), { runtime: "capi", threads: 1 });
  await large.run({ x: zerosTensor("float32", [4 * N]) });
  await small.run({ x: zerosTensor("float32", [N]) });
  expect(small.memory()).toEqual(large.memory());
  expect(small.memory()).toMatchObject({ inUse: 0, peak: 8 * VALUE });
  expect(apart.memory()).toMatchObject({ peak: 0 });
  for (const session of [small, large, apart]) await session.release();
});

test("device tensors and bound results are not the session's memory", async () => {
  const session = await createSession(twoValues(N), { runtime: "capi", threads: 1 });
  const x = await upload(zerosTensor("float32", [N]), { runtime: "capi" });
  const binding = session.bind({ inputs: { x } });
  await binding.run();
  expect(session.memory()).toMatchObject({ inUse: 0, peak: 2 * VALUE });
  await session.release();
  x.release();
});

test("placement names every node, its operator and its provider", async () => {
  const session = await createSession(twoValues(4), { runtime: "capi" });
  expect(session.placement()!.sort((a, b) => (a.node < b.node ? -1 : 1))).toEqual([
    { node: "cos", opType: "Cos", provider: "CPUExecutionProvider" },
    { node: "sin", opType: "Sin", provider: "CPUExecutionProvider" },
    { node: "y", opType: "Add", provider: "CPUExecutionProvider" },
  ]);
  await session.release();
});

test("the node runtime knows neither", async () => {
  const session = await createSession(UPDATE, { runtime: "node" });
  await session.run({ p: tensor(new Float32Array(6), [2, 3]), d: tensor(new Float32Array(6), [2, 3]) });
  expect([session.memory(), session.placement()]).toEqual([undefined, undefined]);
  await session.release();
});

test("inputs that the graph reads from host memory, unread ones among them", async () => {
  const slot = { type: "float32", shape: [2] } as const;
  const inputs = ["read", "unread", "through"].map((name) => ({ name, ...slot }));
  const model = modelBytes({
    inputs,
    outputs: ["y", "z"].map((name) => ({ name, ...slot })),
    nodes: [
      { op: "Sin", inputs: ["read"], outputs: ["y"] },
      { op: "Identity", inputs: ["through"], outputs: ["z"] },
    ],
  });
  const api = ortApi();
  const session = await createNativeSession(api, model, {});
  expect(readFromHost(api, session, inputs)).toEqual(["read", "unread", "through"]); // a CPU session
  api.plain("ReleaseSession", session);
});
