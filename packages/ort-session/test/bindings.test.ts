import { afterEach, describe, expect, test } from "vitest";
import { uploadToPool } from "../src/capi/pool-tensor.js";
import {
  createSession,
  type DeviceTensor,
  type Runtime,
  type Session,
  type Tensor,
  tensor,
  upload,
} from "../src/index.js";
import { heavyModel, UPDATE } from "./models.js";

const six = (...x: number[]) => tensor(Float32Array.from(x), [2, 3]);
const twos = () => six(2, 2, 2, 2, 2, 2);

/** Both runtimes, and the path that a device with memory of its own takes. */
const ways: [string, Runtime, (tensor: Tensor) => Promise<DeviceTensor>][] = [
  ["node", "node", (t) => upload(t, { runtime: "node" })],
  ["capi", "capi", (t) => upload(t, { runtime: "capi" })],
  ["capi, copied", "capi", (t) => uploadToPool(t, "cpu")],
];

describe.each(ways)("%s", (_, runtime, put) => {
  const ends: (() => unknown)[] = [];
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end();
  });
  const open = async (model: Uint8Array = UPDATE): Promise<Session> => {
    const session = await createSession(model, { runtime, threads: 1 });
    ends.push(() => session.release());
    return session;
  };
  const place = async (t: Tensor): Promise<DeviceTensor> => {
    const placed = await put(t);
    ends.push(() => placed.release());
    return placed;
  };

  test("the same tensor as input and output is updated in place, run after run", async () => {
    const session = await open();
    const p = await place(six(1, 2, 3, 4, 5, 6));
    const binding = session.bind({ inputs: { p }, outputs: { new_p: p } });
    for (let i = 0; i < 3; i++) {
      const out = await binding.run({ d: twos() });
      expect(Object.keys(out)).toEqual(["norm"]);
      expect(out["norm"]!.data[0]).toBe(24);
    }
    expect((await p.read()).data).toEqual(Float32Array.of(-2, -1, 0, 1, 2, 3));
    binding.release();
  });

  test("sessions share a tensor: what one writes the other reads", async () => {
    const [first, second] = await Promise.all([open(), open()]);
    const p = await place(six(1, 1, 1, 1, 1, 1));
    const d = await place(twos());
    const next = await place(six(0, 0, 0, 0, 0, 0));
    const down = first.bind({ inputs: { p, d }, outputs: { new_p: next } });
    const again = second.bind({ inputs: { p: next, d }, outputs: { new_p: next } });
    await down.run();
    await again.run();
    await again.run();
    expect((await next.read()).data).toEqual(new Float32Array(6).fill(-2));
    expect((await p.read()).data).toEqual(new Float32Array(6).fill(1));
  });

  test("a feed changed in place and a feed replaced both count", async () => {
    const session = await open();
    const binding = session.bind({ inputs: { p: await place(six(0, 0, 0, 0, 0, 0)) } });
    const d = twos();
    const norm = async (feed: Tensor) => (await binding.run({ d: feed }))["norm"]!.data[0];
    expect(await norm(d)).toBe(24);
    d.data[0] = 4;
    expect(await norm(d)).toBe(36);
    expect(await norm(twos())).toBe(24);
    expect(await norm(d)).toBe(36);
  });

  test("results are the run's own", async () => {
    const session = await open();
    const binding = session.bind({ inputs: { d: await place(twos()) } });
    const { new_p } = await binding.run({ p: six(1, 2, 3, 4, 5, 6) });
    expect(new_p).toEqual(six(0, 1, 2, 3, 4, 5));
  });

  test("read is a copy, write replaces the contents of a bound tensor", async () => {
    const session = await open();
    const d = await place(twos());
    const binding = session.bind({ inputs: { d } });
    const copy = await d.read();
    (copy.data as Float32Array).fill(99);
    await d.write(six(1, 0, 0, 0, 0, 0));
    expect((await binding.run({ p: twos() }))["norm"]!.data[0]).toBe(1);
    await expect(d.write(tensor(new Float32Array(6), [6]))).rejects.toMatchObject({ code: "tensor/shape" });
    await expect(d.write(tensor(new Int32Array(6), [2, 3]))).rejects.toMatchObject({ code: "tensor/type" });
  });

  test("what does not fit is refused when it is bound, with what was expected", async () => {
    const session = await open();
    const p = await place(twos());
    const flat = await place(tensor(new Float32Array(6), [6]));
    const ids = await place(tensor(new Int32Array(6), [2, 3]));
    const message = (work: () => unknown) => {
      try {
        work();
      } catch (error) {
        return error;
      }
      return undefined;
    };
    expect(message(() => session.bind({ inputs: { q: p } }))).toMatchObject({
      code: "session/feed",
      message: "session: the model has no input 'q'",
    });
    expect(message(() => session.bind({ outputs: { p } }))).toMatchObject({
      code: "session/feed",
      message: "session: the model has no output 'p'",
    });
    expect(message(() => session.bind({ outputs: { new_p: flat } }))).toMatchObject({
      code: "session/feed",
      message: "session: output 'new_p': expected float32[2, 3], found float32[6]",
    });
    expect(message(() => session.bind({ inputs: { p: ids } }))).toMatchObject({
      code: "session/feed",
      message: "session: input 'p': expected float32[2, 3], found int32[2, 3]",
    });
    const elsewhere = { ...p, device: "cuda:1" } as const;
    expect(message(() => session.bind({ inputs: { p: elsewhere } }))).toMatchObject({ code: "session/feed" });
    expect(message(() => session.bind({ inputs: { p: {} as DeviceTensor } }))).toMatchObject({
      code: "session/feed",
    });
  });

  test("feeds of a binding are the free inputs, no more and no less", async () => {
    const session = await open();
    const p = await place(twos());
    const binding = session.bind({ inputs: { p } });
    await expect(binding.run({})).rejects.toThrow("session: input 'd' (float32[2, 3]) was not fed");
    await expect(binding.run({ d: twos(), p: twos() })).rejects.toThrow(
      "session: input 'p' is bound to a device tensor; write that one instead",
    );
    await expect(binding.run({ d: twos(), e: twos() })).rejects.toThrow("the model has no input 'e'");
    await expect(binding.run({ d: tensor(new Float32Array(6), [3, 2]) })).rejects.toMatchObject({
      code: "session/feed",
    });
    expect((await binding.run({ d: twos() }))["norm"]!.data[0]).toBe(24);
  });

  test("a released tensor is refused by bind, run, read and write; releasing twice is harmless", async () => {
    const session = await open();
    const p = await place(twos());
    const binding = session.bind({ inputs: { p } });
    p.release();
    p.release();
    await expect(binding.run({ d: twos() })).rejects.toMatchObject({
      code: "session/feed",
      message: "session: input 'p': the tensor was released",
    });
    expect(() => session.bind({ outputs: { new_p: p } })).toThrow("the tensor was released");
    await expect(p.read()).rejects.toMatchObject({ code: "tensor/released" });
    await expect(p.write(twos())).rejects.toMatchObject({ code: "tensor/released" });
    binding.release();
    binding.release();
    await expect(binding.run({ d: twos() })).rejects.toMatchObject({ code: "session/released" });
  });

  test("overlapping runs of one binding are refused, and those of two are not", async () => {
    const session = await open(heavyModel(64, 256, 8));
    const w = await place(tensor(new Float32Array(256 * 256), [256, 256]));
    const [one, other] = [session.bind({ inputs: { w } }), session.bind({ inputs: { w } })];
    const x = tensor(new Float32Array(64 * 256), [64, 256]);
    const running = one.run({ x });
    await expect(one.run({ x })).rejects.toMatchObject({ code: "session/busy" });
    expect(() => one.release()).toThrow("a run of this binding is in flight");
    await Promise.all([running, other.run({ x })]);
    await one.run({ x });
  });

  test("a session's release takes its bindings along, the tensors stay", async () => {
    const session = await createSession(UPDATE, { runtime });
    const p = await place(six(1, 2, 3, 4, 5, 6));
    const binding = session.bind({ inputs: { p }, outputs: { new_p: p } });
    await binding.run({ d: twos() });
    await session.release();
    await expect(binding.run({ d: twos() })).rejects.toMatchObject({ code: "session/released" });
    expect((await p.read()).data).toEqual(Float32Array.of(0, 1, 2, 3, 4, 5));
  });
});

test("on the CPU a device tensor is the host tensor, not a copy", async () => {
  const host = twos();
  const p = await upload(host);
  await p.write(six(1, 2, 3, 4, 5, 6));
  expect([...host.data]).toEqual([1, 2, 3, 4, 5, 6]);
  p.release();
});

test("a tensor in a runtime's own memory is refused by the other runtime", async () => {
  const p = await uploadToPool(twos(), "cpu");
  const session = await createSession(UPDATE, { runtime: "node" });
  expect(() => session.bind({ inputs: { p } })).toThrow("was made for the capi runtime; upload it for node");
  await session.release();
  p.release();
});

test("bfloat16 is refused where it would be lost", async () => {
  const half = tensor(Uint16Array.of(0x3f80), [1], "bfloat16");
  await expect(upload(half, { runtime: "node" })).rejects.toMatchObject({ code: "tensor/type" });
  const there = await upload(half, { runtime: "capi" });
  expect(await there.read()).toEqual(half);
  there.release();
});
