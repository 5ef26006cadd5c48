import fc from "fast-check";
import { expect, test } from "vitest";
import { openDevicePool } from "../src/capi/device-pool.js";
import { uploadToPool } from "../src/capi/pool-tensor.js";
import { createSession, type TensorType, tensor, zerosTensor } from "../src/index.js";
import { UPDATE } from "./models.js";

const bytes = ({ data }: { data: ArrayBufferView }) =>
  Buffer.from(data.buffer, data.byteOffset, data.byteLength);

test("every type and shape goes over and comes back, bit by bit", async () => {
  const types: TensorType[] = [
    "float32",
    "float64",
    "float16",
    "bfloat16",
    "int32",
    "int64",
    "uint8",
    "bool",
  ];
  const kept = await uploadToPool(zerosTensor("float32", [1]), "cpu"); // the pool stays open
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...types),
      fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 4 }),
      fc.array(fc.nat(255), { minLength: 8, maxLength: 32 }),
      async (type, shape, pattern) => {
        const make = (shift: number) => {
          const t = zerosTensor(type, shape);
          const raw = bytes(t);
          for (let i = 0; i < raw.length; i++)
            raw[i] = type === "bool" ? i & 1 : pattern[(i + shift) % pattern.length]!;
          return t;
        };
        const [before, after] = [make(0), make(3)];
        const there = await uploadToPool(before, "cpu");
        expect(bytes(await there.read()).equals(bytes(before))).toBe(true);
        await there.write(after);
        const back = await there.read();
        expect(bytes(back).equals(bytes(after))).toBe(true);
        expect([back.type, back.shape]).toEqual([type, shape]);
        there.release();
      },
    ),
    { numRuns: 60 },
  );
  kept.release();
});

test("a tensor that is released while it is bound or read stays until it is let go", async () => {
  const session = await createSession(UPDATE, { runtime: "capi" });
  const p = await uploadToPool(tensor(Float32Array.of(1, 2, 3, 4, 5, 6), [2, 3]), "cpu");
  const binding = session.bind({ inputs: { p } });
  const reading = p.read();
  p.release();
  expect([...(await reading).data]).toEqual([1, 2, 3, 4, 5, 6]);
  binding.release();
  await session.release();
});

test("a pool that was closed opens again, also while the old one still closes", async () => {
  for (let i = 0; i < 3; i++) {
    const t = await uploadToPool(tensor(Float32Array.of(i), []), "cpu");
    const reading = t.read();
    t.release();
    const other = await uploadToPool(tensor(Float32Array.of(-i), []), "cpu");
    expect([(await reading).data[0], (await other.read()).data[0]]).toEqual([i, -i]);
    other.release();
  }
});

test("a device that is not there is an error each time", async () => {
  for (let i = 0; i < 2; i++)
    await expect(openDevicePool("cuda:99")).rejects.toMatchObject({ code: "session/device" });
});
