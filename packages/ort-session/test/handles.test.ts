import { expect, test } from "vitest";
import { createSession, tensor } from "../src/index.js";
import { UPDATE } from "./models.js";

/** Resident megabytes after a full collection. */
function resident(): number {
  globalThis.gc?.();
  return process.memoryUsage().rss / 2 ** 20;
}

test("a thousand sessions, runs and tensors leave the memory flat", async () => {
  const round = async () => {
    const session = await createSession(UPDATE, { runtime: "capi", threads: 1 });
    const p = tensor(new Float32Array(6), [2, 3]);
    await session.run({ p, d: tensor(new Float32Array(6), [2, 3]) }, { into: { new_p: p } });
    await session.release();
  };
  for (let i = 0; i < 200; i++) await round(); // warm: arenas and code
  const before = resident();
  for (let i = 0; i < 1000; i++) await round();
  expect(resident() - before).toBeLessThan(24);
});

test("releasing twice is harmless", async () => {
  const session = await createSession(UPDATE, { runtime: "capi" });
  await session.release();
  await session.release();
});

test("a failing run releases what it bound and says what failed", async () => {
  const session = await createSession(UPDATE, { runtime: "capi" });
  const p = tensor(new Float32Array(6), [2, 3]);
  const wrong = tensor(new Float32Array(4), [4]);
  await expect(session.run({ p, d: p }, { into: { new_p: wrong } })).rejects.toMatchObject({
    code: "session/run",
  });
  await expect(session.run({ p, d: p }, { outputs: ["nothing"] })).rejects.toThrow(
    "the model has no output 'nothing'",
  );
  expect((await session.run({ p, d: p }))["norm"]!.data[0]).toBe(0);
  await session.release();
});
