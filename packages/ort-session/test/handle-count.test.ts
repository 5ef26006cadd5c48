import { afterEach, expect, test, vi } from "vitest";
import type * as apiModule from "../src/capi/api.js";
import { uploadToPool } from "../src/capi/pool-tensor.js";
import { createSession, tensor } from "../src/index.js";
import { TYPES, UPDATE } from "./models.js";

/** Native handles made and not released, by kind. */
const live = vi.hoisted(() => new Map<string, number>());

// The real API, its handles counted.
vi.mock("../src/capi/api.js", async (original) => {
  const real = await original<typeof apiModule>();
  const makes: [RegExp, string][] = [
    [/^CreateSession(FromArray)?$/, "Session"],
    [/^CreateSessionOptions$/, "SessionOptions"],
    [/^Create(Cpu)?MemoryInfo$/, "MemoryInfo"],
    [/^CreateTensor(WithData)?AsOrtValue$/, "Value"],
    [/^SessionGet(In|Out)putTypeInfo$/, "TypeInfo"],
    [/^CreateAllocator$/, "Allocator"],
    [/^CreateIoBinding$/, "IoBinding"],
    [/^CreateCUDAProviderOptions$/, "CUDAProviderOptions"],
    [/^AllocatorGetStats$/, "KeyValuePairs"],
  ];
  const made = (name: string) => {
    const kind = makes.find(([pattern]) => pattern.test(name))?.[1];
    if (kind) live.set(kind, (live.get(kind) ?? 0) + 1);
  };
  const api = real.ortApi();
  const counted: apiModule.Api = {
    ...api,
    get(name, ...args) {
      const handle = api.get(name, ...args);
      made(name);
      return handle as never;
    },
    async getAsync(name, ...args) {
      const handle = await api.getAsync(name, ...args);
      made(name);
      return handle as never;
    },
    plain(name, ...args) {
      api.plain(name, ...args);
      const kind = /^Release(.*)/.exec(name)?.[1];
      if (kind) live.set(kind, live.get(kind)! - 1);
    },
  };
  return { ...real, ortApi: () => counted };
});

const six = () => tensor(new Float32Array(6), [2, 3]);
const options = { runtime: "capi" } as const;

/** Every kind was made, and none is left. */
function expectNone(...kinds: string[]): void {
  for (const kind of kinds) expect(live.has(kind), kind).toBe(true);
  expect(Object.fromEntries([...live].filter(([, count]) => count !== 0))).toEqual({});
}

afterEach(() => live.clear());

test("a session's life releases every handle that it took", async () => {
  const session = await createSession(UPDATE, options);
  const p = await uploadToPool(six(), "cpu");
  const binding = session.bind({ inputs: { p }, outputs: { new_p: p } });
  for (const d of [six(), six()]) {
    await binding.run({ d });
    await session.run({ p: d, d });
  }
  await p.read();
  await p.write(six());
  session.memory();
  session.placement();
  session.bind({ inputs: { p } }); // left to the session
  binding.release();
  await session.release();
  p.release();
  await vi.waitFor(() =>
    expectNone(
      "Session",
      "SessionOptions",
      "MemoryInfo",
      "Value",
      "TypeInfo",
      "Allocator",
      "IoBinding",
      "KeyValuePairs",
    ),
  );
});

test("what fails releases what it had taken", async () => {
  const session = await createSession(TYPES, options);
  const ids = await uploadToPool(tensor(new Int32Array(3), [3]), "cpu");
  const flat = tensor(new Int32Array(4), [4]);
  const feeds = {
    mask: tensor(new Uint8Array(3), [3], "bool"),
    ids: tensor(new Int32Array(3), [3]),
    wide: tensor(new BigInt64Array(3), [3]),
    pixels: tensor(new Uint8Array(3), [3]),
  };
  await expect(session.run(feeds, { into: { twice: flat } })).rejects.toMatchObject({ code: "session/run" });
  await expect(session.run(feeds, { outputs: ["nothing"] })).rejects.toMatchObject({
    code: "session/output",
  });
  const host = { ...ids };
  expect(() => session.bind({ inputs: { ids }, outputs: { twice: host } })).toThrow();
  await expect(ids.write(flat)).rejects.toMatchObject({ code: "tensor/shape" });
  await expect(createSession(Uint8Array.of(1, 2, 3), options)).rejects.toMatchObject({
    code: "session/create",
  });
  await expect(createSession(UPDATE, { ...options, device: "cuda:99" })).rejects.toThrow();
  await expect(uploadToPool(six(), "cuda:99")).rejects.toThrow();
  await session.release();
  ids.release();
  await vi.waitFor(() => expectNone("Session", "SessionOptions", "Value", "IoBinding"));
});
