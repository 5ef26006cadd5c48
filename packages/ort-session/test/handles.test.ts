import { expect, test } from "vitest";
import { uploadToPool } from "../src/capi/pool-tensor.js";
import { createSession, tensor, upload } from "../src/index.js";
import { UPDATE } from "./models.js";

/** Megabytes of growth that are noise. */
const LIMIT = 16;

/** Resident megabytes after a full collection. */
function resident(): number {
  globalThis.gc?.();
  return process.memoryUsage().rss / 2 ** 20;
}

/**
 * Megabytes that `count` rounds leave behind, after as many as arenas and code need to settle. What is lost is lost in
 * every window, what the collector or the allocator holds back for a while is not: the least of three counts.
 */
async function growth(round: () => Promise<void>, count: number, warm: number): Promise<number> {
  for (let i = 0; i < warm; i++) await round();
  let least = Number.POSITIVE_INFINITY;
  for (let window = 0; window < 3 && least >= LIMIT; window++) {
    const before = resident();
    for (let i = 0; i < count; i++) await round();
    least = Math.min(least, resident() - before);
  }
  return least;
}

const six = () => tensor(new Float32Array(6), [2, 3]);

test("a thousand sessions with runs and bindings leave the memory flat", async () => {
  const round = async () => {
    const session = await createSession(UPDATE, { runtime: "capi", threads: 1 });
    const host = six();
    await session.run({ p: host, d: six() }, { into: { new_p: host } });
    const p = await upload(six(), { runtime: "capi" });
    await session.bind({ inputs: { p }, outputs: { new_p: p } }).run({ d: six() });
    session.memory();
    session.placement();
    p.release();
    await session.release();
  };
  expect(await growth(round, 1000, 300)).toBeLessThan(LIMIT);
}, 90_000);

test("a thousand bindings and tensors of 64 KiB, here and copied, leave the memory flat", async () => {
  const session = await createSession(UPDATE, { runtime: "capi", threads: 1 });
  const kept = await uploadToPool(six(), "cpu");
  const round = async () => {
    const [d, p] = await Promise.all([
      upload(six(), { runtime: "capi" }),
      uploadToPool(tensor(new Float32Array(6), [2, 3]), "cpu"),
    ]);
    const large = await uploadToPool(tensor(new Float32Array(2 ** 14), [2 ** 14]), "cpu");
    const binding = session.bind({ inputs: { p, d }, outputs: { new_p: p } });
    await binding.run();
    await p.read();
    binding.release();
    for (const t of [d, p, large]) t.release();
  };
  expect(await growth(round, 1000, 300)).toBeLessThan(LIMIT);
  kept.release();
  await session.release();
}, 90_000);

test("three hundred pools opened and closed leave the memory flat", async () => {
  const round = async () => (await uploadToPool(six(), "cpu")).release();
  expect(await growth(round, 300, 100)).toBeLessThan(LIMIT);
}, 90_000);

test("errors release what was made up to them", async () => {
  const session = await createSession(UPDATE, { runtime: "capi", threads: 1 });
  const p = await upload(tensor(new Float32Array(2 ** 14), [2 ** 14]), { runtime: "capi" });
  const round = async () => {
    await expect(createSession(Uint8Array.of(1, 2, 3), { runtime: "capi" })).rejects.toThrow();
    expect(() => session.bind({ inputs: { p } })).toThrow();
    await expect(
      session.run({ p: six(), d: six() }, { into: { new_p: tensor(new Float32Array(4), [4]) } }),
    ).rejects.toThrow();
  };
  expect(await growth(round, 500, 200)).toBeLessThan(LIMIT);
  p.release();
  await session.release();
}, 90_000);

test("a failing run releases what it bound and says what failed", async () => {
  const session = await createSession(UPDATE, { runtime: "capi" });
  const p = six();
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
