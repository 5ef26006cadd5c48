import { copyFileSync, cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { NdArray } from "@insula/model-types";
import { describeShared, sharedPath } from "@insula/test-kit";
import fc from "fast-check";
import type { SchemaElement } from "hyparquet";
import { parquetWriteFile } from "hyparquet-writer";
import { expect, test } from "vitest";
import {
  type EpisodeBatch,
  type LeRobotDataset,
  openLeRobotDataset,
  type ScanEngine,
  type ScanOptions,
  scanEngine,
  scanEpisodes,
} from "../src/index.js";
import { hasDuckDB, loadDuckDB } from "../src/stats/duckdb-rows.js";
import { featureElements, listElements, STRING_LEAF, schemaOf } from "../src/write/parquet-columns.js";
import { TINY_FEATURES, tempFolder, writeTiny } from "./fixtures.js";

const ENGINES: readonly ScanEngine[] = ["duckdb", "hyparquet"];

async function batches(dataset: LeRobotDataset, names: readonly string[], options: ScanOptions) {
  const found: EpisodeBatch[] = [];
  for await (const batch of scanEpisodes(dataset, names, options)) found.push(batch);
  return found;
}

/** The batches' rows beside the same rows of whole columns. */
async function compare(dataset: LeRobotDataset, names: readonly string[], options: ScanOptions) {
  const found = await batches(dataset, names, options);
  for (const name of names) {
    const whole = await dataset.column(name);
    for (const { episodes, rows, columns, frames } of found) {
      const { data, shape } = columns[name]!;
      expect(data.constructor).toBe(whole.data.constructor);
      expect(shape).toEqual([frames, ...whole.shape.slice(1)]);
      const dim = data.length / frames;
      for (const [i, { from, to }] of episodes.entries()) {
        const part = data.slice(rows[i]! * dim, (rows[i]! + to - from) * dim);
        expect(part).toEqual(whole.data.slice(from * dim, to * dim));
      }
    }
  }
  return found;
}

const SHAPES = ["joint_position", "gripper_position", "actions", "pose", "success", "step", "timestamp"];

describeShared("real DROID episodes", () => {
  const names = ["joint_position", "gripper_position", "actions", "timestamp", "episode_index"];
  for (const engine of ENGINES) {
    for (const name of [
      "droid_subset_v30",
      "droid_subset_v30_multifile",
      "droid_subset_v21",
      "droid_image_v30",
    ]) {
      test(`${name} through ${engine}`, async () => {
        const dataset = await openLeRobotDataset(sharedPath("data", "lerobot", name), { cameras: [] });
        const found = await compare(dataset, names, { engine, batchFrames: 150 });
        expect(found.flatMap((b) => b.episodes)).toEqual(dataset.episodes);
        expect(found.slice(0, -1).every((b) => b.frames >= 150)).toBe(true);
      });
    }
  }
});

test("any episodes, any batch size: the rows of the columns, the same batches with both engines", async () => {
  const dir = join(tempFolder(), "set");
  await writeTiny(dir, [3, 1, 6, 2, 9, 4, 1], { dataFilesSizeInMb: 0.004, chunksSize: 2 });
  const dataset = await openLeRobotDataset(dir, { cameras: [] });
  expect(new Set(dataset.episodes.map((e) => e.data.path)).size).toBeGreaterThan(1);
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(fc.integer({ min: 0, max: 6 })),
      fc.integer({ min: 1, max: 30 }),
      async (episodes, batchFrames) => {
        const [a, b] = [
          await compare(dataset, SHAPES, { engine: "duckdb", episodes, batchFrames }),
          await compare(dataset, SHAPES, { engine: "hyparquet", episodes, batchFrames }),
        ];
        expect(b).toEqual(a);
        expect(a.flatMap((batch) => batch.episodes.map((e) => e.index))).toEqual(
          [...episodes].sort((x, y) => x - y),
        );
      },
    ),
    { numRuns: 15 },
  );
});

test("small sets need no DuckDB; the other spelling of the action key is found", async () => {
  const dir = join(tempFolder(), "set");
  await writeTiny(dir, [2, 2]);
  const dataset = await openLeRobotDataset(dir, { cameras: [] });
  expect(await scanEngine(dataset)).toBe("hyparquet");
  expect(await scanEngine({ totalFrames: 1e7 })).toBe("duckdb");
  const [batch] = await batches(dataset, ["action"], {});
  expect(batch!.columns["action"]!.shape).toEqual([4, 4]);
});

test("without the optional package there is no DuckDB, and asking for it says how to get it", async () => {
  const missing = () => Promise.reject(new Error("Cannot find package"));
  expect(await hasDuckDB(missing)).toBe(false);
  await expect(loadDuckDB(missing)).rejects.toMatchObject({
    code: "dataset/no-duckdb",
    message: expect.stringContaining("npm install @duckdb/node-api"),
  });
});

/** A fresh dataset of two episodes; `change` is applied to one column of the file that holds the second. */
async function spoilt(
  column: string,
  change: (values: unknown[]) => unknown[],
  leaf?: Partial<SchemaElement>,
) {
  const dir = join(tempFolder(), "it's [1] *?");
  await writeTiny(dir, [3, 2]);
  const clean = await openLeRobotDataset(dir, { cameras: [] });
  const last = clean.episodes[1]!;
  const from = last.from - last.data.row;
  const columnData: { name: string; data: never[] }[] = [];
  for (const name of ["actions", "gripper_position"]) {
    const { data, shape } = (await clean.column(name)) as NdArray<Float32Array>;
    const dim = data.length / shape[0]!;
    const rows = Array.from({ length: last.to - from }, (_, i) =>
      name === "actions" ? [...data.slice((from + i) * dim, (from + i + 1) * dim)] : data[from + i],
    );
    columnData.push({ name, data: (name === column ? change(rows) : rows) as never[] });
  }
  const filename = join(dir, last.data.path);
  rmSync(filename);
  const schema = schemaOf(
    columnData.map(({ name }) =>
      leaf && name === column ? listElements(name, 0, leaf) : featureElements(name, TINY_FEATURES[name]!),
    ),
  );
  await parquetWriteFile({ filename, schema, columnData });
  return dir;
}

for (const engine of ENGINES) {
  test(`${engine}: a name full of wildcards and quotes is a name`, async () => {
    const dir = await spoilt("none", (v) => v);
    const dataset = await openLeRobotDataset(dir, { cameras: [] });
    const [batch] = await batches(dataset, ["actions", "gripper_position"], { engine });
    expect(batch!.frames).toBe(5);
  });

  test(`${engine}: what is wrong with a cell names feature, episode and frame`, async () => {
    const first = async (dir: string, names: string[]) =>
      batches(await openLeRobotDataset(dir, { cameras: [] }), names, { engine });
    const replaced = (cell: unknown) => (rows: unknown[]) => rows.with(-1, cell);
    await expect(
      spoilt("gripper_position", replaced(null)).then((d) => first(d, ["gripper_position"])),
    ).rejects.toMatchObject({
      code: "dataset/null",
      message: "gripper_position: null in episode 1, frame 1",
    });
    await expect(spoilt("actions", replaced(null)).then((d) => first(d, ["actions"]))).rejects.toMatchObject({
      code: "dataset/null",
      message: "actions: null in episode 1, frame 1",
    });
    await expect(
      spoilt("actions", replaced([1, 2, null, 4])).then((d) => first(d, ["actions"])),
    ).rejects.toMatchObject({ code: "dataset/null" });
    await expect(
      spoilt("actions", replaced([1, 2, 3])).then((d) => first(d, ["actions"])),
    ).rejects.toMatchObject({
      code: "dataset/shape",
      message: "actions: expected [*, 4], found [*, 3] in episode 1, frame 1",
    });
    const texts = (rows: unknown[]) => rows.map(String);
    await expect(
      spoilt("gripper_position", texts, STRING_LEAF).then((d) => first(d, ["gripper_position"])),
    ).rejects.toMatchObject({
      code: "dataset/dtype",
      message: expect.stringMatching(
        /^gripper_position: expected numbers, found .* in episode [01], frame 0$/,
      ),
    });
  });

  test(`${engine}: files that are missing, cut, of other lengths or without the column`, async () => {
    const dir = join(tempFolder(), "set");
    await writeTiny(dir, [3, 2]);
    const dataset = await openLeRobotDataset(dir, { cameras: [] });
    const path = join(dir, dataset.episodes[1]!.data.path);
    const good = readFileSync(path);
    const scan = (names = ["actions"]) => batches(dataset, names, { engine });
    writeFileSync(path, good.subarray(0, good.length - 40));
    await expect(scan()).rejects.toMatchObject({
      code: "dataset/parquet",
      message: expect.stringContaining(path),
    });
    rmSync(path);
    await expect(scan()).rejects.toMatchObject({ code: "dataset/missing-file" });

    const other = join(tempFolder(), "set");
    await writeTiny(other, [3, 3]);
    copyFileSync(join(other, dataset.episodes[1]!.data.path), path);
    await expect(scan()).rejects.toMatchObject({
      code: "dataset/counts",
      message: expect.stringMatching(/expected [25] rows \(episodes [01] to 1\), found [36]$/),
    });

    writeFileSync(path, good);
    const extended = join(tempFolder(), "set");
    cpSync(dir, extended, { recursive: true });
    const info = JSON.parse(readFileSync(join(extended, "meta", "info.json"), "utf8"));
    info.features.torque = { dtype: "float32", shape: [7], names: null };
    writeFileSync(join(extended, "meta", "info.json"), JSON.stringify(info));
    const wider = await openLeRobotDataset(extended, { cameras: [] });
    await expect(batches(wider, ["torque"], { engine })).rejects.toMatchObject({
      code: "dataset/missing-key",
      message: expect.stringContaining("'torque'"),
    });
    await expect(scan(["observation.images.wrist"])).rejects.toMatchObject({ code: "dataset/dtype" });
    await expect(scan(["actoins"])).rejects.toThrow("did you mean 'actions'?");
  });
}
