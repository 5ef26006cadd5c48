/** @file The loader's workers: the same samples in the same order, whoever reads them; crashes, and an end without leaks. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { NdArray, Sample } from "@insula/model-types";
import { describeShared, sharedPath } from "@insula/test-kit";
import { beforeAll, describe, expect, test } from "vitest";
import { createLoader, type LeRobotDataset, type LoaderOptions, openLeRobotDataset } from "../src/index.js";
import { movableBuffers } from "../src/load/messages.js";
import { tempFolder, writeTiny } from "./fixtures.js";

const folder = tempFolder();
let dataset: LeRobotDataset;
beforeAll(async () => {
  await writeTiny(join(folder, "tiny"), [5, 3, 7, 6]);
  dataset = await openLeRobotDataset(join(folder, "tiny"));
});

/** Every value of every sample, in order. */
function fingerprint(batches: readonly Sample[][]): string {
  const hash = createHash("sha256");
  const add = (value: unknown): void => {
    if (ArrayBuffer.isView(value)) {
      hash.update(value.constructor.name);
      hash.update(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
    } else if (typeof value === "object" && value !== null) {
      for (const [key, part] of Object.entries(value)) {
        hash.update(key);
        add(part);
      }
    } else hash.update(`${typeof value} ${String(value)}`);
  };
  for (const batch of batches) add(batch);
  return hash.digest("hex");
}

async function take(source: LeRobotDataset, count: number, options: LoaderOptions) {
  const loader = createLoader(source, options);
  const batches: Sample[][] = [];
  for await (const batch of loader) {
    batches.push(batch);
    if (batches.length === count) break;
  }
  const state = JSON.parse(JSON.stringify(loader.state())) as NonNullable<LoaderOptions["state"]>;
  await loader.close();
  return { batches, state };
}

test("100 batches are 50, a resume and 50 more, bit for bit, with 0, 1 and 3 workers", async () => {
  const options = { batchSize: 2, seed: 11, actionHorizon: 3 };
  const straight = fingerprint((await take(dataset, 100, options)).batches);
  for (const numWorkers of [0, 1, 3]) {
    const half = await take(dataset, 50, { ...options, numWorkers });
    const rest = await take(dataset, 50, { ...options, numWorkers, state: half.state });
    expect(fingerprint([...half.batches, ...rest.batches])).toBe(straight);
  }
});

describeShared("real video", () => {
  test("shuffled, over several files, 3 workers read what this process reads", async () => {
    const real = await openLeRobotDataset(sharedPath("data/lerobot/droid_subset_v30_multifile"), {
      cameras: ["wrist_image_left"],
    });
    const options = { batchSize: 8, seed: 5, actionHorizon: 15 };
    const here = await take(real, 6, options);
    const there = await take(real, 6, { ...options, numWorkers: 3 });
    expect(fingerprint(there.batches)).toBe(fingerprint(here.batches));
    expect(there.state).toEqual(here.state);
    await real.close();
  });
});

describe("a worker of one's own", () => {
  /** A worker module of plain JavaScript, as a package's would be. */
  const moduleOf = (name: string, body: string): URL => {
    const path = join(folder, `${name}.mjs`);
    writeFileSync(path, body);
    return new URL(`file://${path}`);
  };

  test("gets its data and reads views; the transform runs on what it gives", async () => {
    const module = moduleOf(
      "own",
      `export const openWorkerSource = ({ add }) => ({
         sample: async (index) => ({ index, sum: index + add, image: { data: new Uint8Array(5000).fill(index), shape: [5000] } }),
         close: async () => {},
       });`,
    );
    const source = { totalFrames: 10, sample: () => Promise.reject(new Error("not here")) };
    const loader = createLoader(source, {
      ...{ batchSize: 5, shuffle: false, epochs: 1, numWorkers: 2, worker: { module, data: { add: 100 } } },
      transform: (sample) => ({ ...sample, twice: 2 * (sample["sum"] as number) }),
    });
    const samples: Sample[] = [];
    for await (const batch of loader) samples.push(...batch);
    expect(samples.map((s) => s["twice"])).toEqual(Array.from({ length: 10 }, (_, i) => 2 * (i + 100)));
    expect(samples.map((s) => (s["image"] as NdArray).data.at(-1))).toEqual(
      Array.from({ length: 10 }, (_, i) => i),
    );
    await loader.close();
  });

  test("never holds more samples than the batch in use and those prefetched", async () => {
    const module = moduleOf(
      "counts",
      `export const openWorkerSource = ({ begun }) => ({
         sample: async (index) => { Atomics.add(begun, 0, 1); return { index }; },
         close: async () => {},
       });`,
    );
    const begun = new Int32Array(new SharedArrayBuffer(4));
    const options = { batchSize: 4, prefetch: 3, numWorkers: 2, worker: { module, data: { begun } } };
    const loader = createLoader(dataset, options);
    let batches = 0;
    for await (const _ of loader) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      batches++;
      expect(begun[0]).toBe((batches + 3) * 4);
      if (batches === 8) break;
    }
    await loader.close();
  });

  const run = async (module: URL): Promise<number[]> => {
    const seen: number[] = [];
    const options = { batchSize: 2, shuffle: false, numWorkers: 1, worker: { module, data: null } };
    const loader = createLoader(dataset, options);
    try {
      for await (const batch of loader) seen.push(...batch.map((s) => s["index"] as number));
    } catch (error) {
      await expect(loader[Symbol.asyncIterator]().next()).rejects.toThrow();
      throw Object.assign(error as Error, { seen });
    } finally {
      await loader.close();
    }
    return seen;
  };

  test("that dies is an error that names the frame it was reading", async () => {
    const module = moduleOf(
      "dies",
      `export const openWorkerSource = () => ({
         sample: async (index) => index === 6 ? process.exit(7) : { index },
         close: async () => {},
       });`,
    );
    await expect(run(module)).rejects.toMatchObject({
      code: "loader/worker",
      message: `worker 0 ended while reading episode 1, frame 1 of ${dataset.root}: exit code 7`,
      seen: [0, 1, 2, 3, 4, 5],
    });
  });

  test("that throws outside of a sample is one, too", async () => {
    const module = moduleOf(
      "throws",
      `export const openWorkerSource = () => ({
         sample: async () => { setImmediate(() => { throw new RangeError("too much") }); await new Promise(() => {}); },
         close: async () => {},
       });`,
    );
    await expect(run(module)).rejects.toMatchObject({
      code: "loader/worker",
      message: expect.stringContaining("ended while reading episode 0, frame 0"),
    });
  });

  test("that cannot begin, or exports nothing, says so", async () => {
    const refuses = `export const openWorkerSource = async () => { throw new Error("no such folder"); };`;
    await expect(run(moduleOf("refuses", refuses))).rejects.toThrow("no such folder");
    await expect(run(moduleOf("empty", "export {};"))).rejects.toThrow("exports no openWorkerSource(data)");
    await expect(run(new URL("file:///no/such/module.mjs"))).rejects.toThrow("no/such/module.mjs");
  });

  test("is given plain data or nothing", async () => {
    const module = moduleOf("plain", "export const openWorkerSource = () => {};");
    const options = { batchSize: 1, numWorkers: 1, worker: { module, data: { f: () => 1 } } };
    const first = createLoader(dataset, options)[Symbol.asyncIterator]().next();
    await expect(first).rejects.toMatchObject({
      code: "loader/workers",
      message: "worker.data: expected plain data: () => 1 could not be cloned.",
    });
  });

  test("that hands an array out twice is found out, and errors keep their code", async () => {
    const module = moduleOf(
      "shares",
      `const black = { data: new Uint8Array(4096), shape: [4096] };
       export const openWorkerSource = () => ({ sample: async (index) => ({ index, black }), close: async () => {} });`,
    );
    await expect(run(module)).rejects.toMatchObject({
      code: "loader/shared-array",
      message: expect.stringContaining("black: this array went out with an earlier sample"),
    });
  });
});

test("columns are loaded once and shared: a thread that is given them reads no data file", async () => {
  const root = join(folder, "shared-columns");
  await writeTiny(root, [4, 3]);
  const first = await openLeRobotDataset(root, { cameras: [] });
  const before = await first.sample(5, { actionHorizon: 3 });
  const columns = await first.shareColumns();
  for (const column of columns.values()) {
    if (column.kind === "numeric") expect(column.array.data.buffer).toBeInstanceOf(SharedArrayBuffer);
  }
  expect(await first.sample(5, { actionHorizon: 3 })).toEqual(before);
  rmSync(join(root, "data"), { recursive: true });
  const second = await openLeRobotDataset(root, { cameras: [], columns: structuredClone(columns) });
  const sample = await second.sample(5, { actionHorizon: 3 });
  expect(sample).toEqual(before);
  // What a sample holds is its own.
  expect((sample["actions"] as NdArray).data.buffer).toBeInstanceOf(ArrayBuffer);
  expect((await second.column("actions")).data.buffer).toBeInstanceOf(SharedArrayBuffer);
});

test("only whole buffers move, each once", () => {
  const whole = new Uint8Array(5000);
  const part = new Uint8Array(10_000).subarray(0, 5000);
  const small = new Float32Array(8);
  const twice = { data: whole, shape: [5000] };
  const sample = {
    a: twice,
    b: { deep: { data: part, shape: [5000] } },
    c: small,
    d: twice,
    e: "text",
    f: 1n,
  };
  expect(movableBuffers(sample)).toEqual([whole.buffer]);
});

test("a process ends when a loader's workers have been closed, and when another's have not", () => {
  const source = (file: string) => JSON.stringify(new URL(`../src/${file}`, import.meta.url).href);
  const script = `
    const { createLoader } = await import(${source("load/loader.js")});
    const { openLeRobotDataset } = await import(${source("read/dataset.js")});
    const dataset = await openLeRobotDataset(${JSON.stringify(dataset.root)});
    for (const close of [true, false]) {
      const loader = createLoader(dataset, { batchSize: 4, numWorkers: 2 });
      for await (const batch of loader) { console.log(batch.length); break; }
      if (close) await loader.close();
    }`;
  // In a worker, where the hooks let Node read TypeScript.
  const body = `data:text/javascript,${encodeURIComponent(script)}`;
  const main = `new (require("node:worker_threads").Worker)(new URL(${JSON.stringify(body)}));`;
  const hooks = new URL("../../../scripts/lib/typescript-workers.mjs", import.meta.url).href;
  const { status, stdout, stderr } = spawnSync(process.execPath, ["--import", hooks, "-e", main], {
    encoding: "utf8",
    timeout: 30_000,
  });
  expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: "4\n4\n", stderr: "" });
});
