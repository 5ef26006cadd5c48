/**
 * @file What only a machine with a GPU and CUDA's libraries can show. Elsewhere the first test is all there is.
 */
import { existsSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { createSession, onnxRuntimeLibrary, tensor, upload } from "../src/index.js";
import { heavyModel, TYPES, twoValues, UPDATE } from "./models.js";

const here =
  process.platform === "linux" &&
  existsSync("/dev/nvidiactl") &&
  onnxRuntimeLibrary().source !== "onnxruntime-node";
const options = { runtime: "capi", device: "cuda" } as const;
const six = (...x: number[]) => tensor(Float32Array.from(x), [2, 3]);

if (!here) {
  test("without CUDA's libraries a CUDA session says so", async () => {
    await expect(createSession(UPDATE, options)).rejects.toMatchObject({ code: "session/device" });
    await expect(upload(six(1, 2, 3, 4, 5, 6), options)).rejects.toMatchObject({ code: "session/device" });
  });
} else {
  describe("cuda", () => {
    test("no node of a float32 graph falls back to the CPU", async () => {
      const session = await createSession(heavyModel(8, 8, 3), options);
      expect(session.placement()!.map((node) => node.provider)).toEqual(
        new Array(3).fill("CUDAExecutionProvider"),
      );
      await session.release();
    });

    test("tensors stay on the device between runs, an update in place is one", async () => {
      const session = await createSession(UPDATE, options);
      const p = await upload(six(1, 2, 3, 4, 5, 6), options);
      const binding = session.bind({ inputs: { p }, outputs: { new_p: p } });
      const d = six(2, 2, 2, 2, 2, 2);
      for (let i = 0; i < 3; i++) expect((await binding.run({ d }))["norm"]!.data[0]).toBe(24);
      d.data.fill(0);
      expect((await binding.run({ d }))["norm"]!.data[0]).toBe(0); // the feed's contents, not its address
      expect((await p.read()).data).toEqual(Float32Array.of(-2, -1, 0, 1, 2, 3));
      await p.write(six(9, 9, 9, 9, 9, 9));
      await binding.run({ d });
      expect((await p.read()).data).toEqual(new Float32Array(6).fill(9));
      await session.release();
      p.release();
    });

    test("every type crosses, also those whose operators run on the CPU", async () => {
      const session = await createSession(TYPES, options);
      const ids = await upload(tensor(Int32Array.of(1, -2, 3), [3]), options);
      const binding = session.bind({ inputs: { ids } });
      const rest = {
        mask: tensor(Uint8Array.of(1, 0, 1), [3], "bool"),
        wide: tensor(BigInt64Array.of(0n, -5n, 2n ** 60n), [3]),
        pixels: tensor(Uint8Array.of(0, 128, 255), [3]),
      };
      expect([...(await binding.run(rest))["twice"]!.data]).toEqual([2, -4, 6]);
      await ids.write(tensor(Int32Array.of(7, 7, 7), [3]));
      const out = await binding.run(rest);
      expect([...out["twice"]!.data]).toEqual([14, 14, 14]);
      expect([...out["next"]!.data]).toEqual([1n, -4n, 2n ** 60n + 1n]);
      await session.release();
      ids.release();
    });

    test("the arena's peak is at least the values in between, and a limit holds", async () => {
      const n = 2 ** 22;
      const x = tensor(new Float32Array(n), [n]);
      const session = await createSession(twoValues(n), options);
      await session.run({ x });
      expect(session.memory()!.peak).toBeGreaterThanOrEqual(8 * n);
      await session.release();
      const small = await createSession(twoValues(n), { ...options, cuda: { memoryLimit: 2 ** 20 } });
      await expect(small.run({ x })).rejects.toMatchObject({ code: "session/run" });
      await small.release();
    });
  });
}
