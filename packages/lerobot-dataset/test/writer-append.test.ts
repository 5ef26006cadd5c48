/** @file Appending: the dataset is what it would be had it been written in one go. */
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describeShared, sharedPath } from "@insula/test-kit";
import { expect, test } from "vitest";
import { appendToLeRobotDataset, createLeRobotDataset, openLeRobotDataset } from "../src/index.js";
import { datasetRoot } from "../src/read/root.js";
import { readEpisodeTables } from "../src/write/episode-tables.js";
import { type ColumnElements, type TableRow, tableBytes } from "../src/write/table-file.js";
import { expectTiny, tempFolder, tinyEpisode, tinyValue, writeTiny } from "./fixtures.js";

const folder = tempFolder();
const at = (name: string) => join(folder, name);
const json = (...path: string[]) => JSON.parse(readFileSync(join(folder, ...path), "utf8"));

async function append(dir: string, first: number, lengths: readonly number[]): Promise<void> {
  const writer = await appendToLeRobotDataset(dir);
  expect(writer.episodes).toBe(first);
  for (const [i, frames] of lengths.entries()) await writer.addEpisode(await tinyEpisode(first + i, frames));
  await writer.finalize();
}

test("episodes, tasks, files and statistics go on where they were", async () => {
  await writeTiny(at("once"), [3, 2, 4, 1, 5]);
  await writeTiny(at("grown"), [3, 2], { chunksSize: 2 });
  const info = json("grown/meta/info.json");
  writeFileSync(at("grown/meta/info.json"), JSON.stringify({ ...info, note: "kept" }));
  await append(at("grown"), 2, [4]);
  await append(at("grown"), 3, []);
  await append(at("grown"), 3, [1, 5]);
  const dataset = await openLeRobotDataset(at("grown"));
  await expectTiny(dataset);
  await dataset.close();
  expect(dataset.episodes.map((e) => e.length)).toEqual([3, 2, 4, 1, 5]);
  // Two episodes in the first data file, then one in each; two files to a chunk.
  expect(dataset.episodes.map((e) => e.data.path.slice(11, -8))).toEqual([
    "000/file-000",
    "000/file-000",
    "000/file-001",
    "001/file-000",
    "001/file-001",
  ]);
  const { chunks_size: _, ...rest } = json("grown/meta/info.json");
  expect({ ...rest, chunks_size: 1000 }).toEqual({ ...json("once/meta/info.json"), note: "kept" });
  const [grown, once] = [json("grown/meta/stats.json"), json("once/meta/stats.json")];
  expect(Object.keys(grown)).toEqual(Object.keys(once));
  for (const [name, stats] of Object.entries<Record<string, unknown[]>>(once)) {
    for (const [stat, values] of Object.entries(stats)) {
      const flat = (x: unknown) => (x as unknown[]).flat(9) as number[];
      for (const [i, value] of flat(values).entries())
        expect(flat(grown[name][stat])[i]).toBeCloseTo(value, 12);
    }
  }
});

/** Write the episode table of a dataset anew, as another writer might have. */
async function rewriteTable(
  dir: string,
  change: (columns: readonly ColumnElements[], row: TableRow) => [ColumnElements[], TableRow],
): Promise<void> {
  const { tables, columns } = await readEpisodeTables(await datasetRoot(dir));
  const changed = tables[0]!.rows.map((row) => change(columns, row));
  writeFileSync(
    join(dir, tables[0]!.path),
    tableBytes(
      changed[0]![0],
      changed.map(([, row]) => row),
    ),
  );
}

test("a table without quantiles stays without; one with more columns keeps them", async () => {
  await writeTiny(at("older"), [3, 2]);
  const extra: ColumnElements = [{ name: "operator", repetition_type: "OPTIONAL", type: "INT64" }];
  await rewriteTable(at("older"), (columns, row) => [
    [...columns.filter(([first]) => !/\/q\d\d$/.test(first!.name)), extra],
    { ...row, operator: 7 },
  ]);
  await append(at("older"), 2, [4]);
  expect(Object.keys(json("older/meta/stats.json").actions)).toEqual(["min", "max", "mean", "std", "count"]);
  const { tables, columns } = await readEpisodeTables(await datasetRoot(at("older")));
  expect(tables.flatMap(({ rows }) => rows.map((row) => row["operator"]))).toEqual([7n, 7n, null]);
  expect(tables.map(({ rows }) => Object.keys(rows[0]!).length)).toEqual([columns.length, columns.length]);
  expect(tables[1]!.rows[0]!["stats/actions/count"]).toEqual([4n]);
});

test("statistics of a matrix over its leading axis, as LeRobot 0.4 has them, go on like that", async () => {
  await writeTiny(at("matrix"), [3, 2]);
  await rewriteTable(at("matrix"), (columns, row) => {
    const flat = Object.entries(row).map(([name, value]) =>
      // Of `pose`, [2, 2]: LeRobot has two values.
      /^stats\/pose\/(?!count)/.test(name) ? [name, (value as number[][])[0]] : [name, value],
    );
    const shorter = columns.map((column) =>
      /^stats\/pose\/(?!count)/.test(column[0]!.name) ? [...column.slice(0, 2), column.at(-1)!] : column,
    );
    return [shorter, Object.fromEntries(flat)];
  });
  await append(at("matrix"), 2, [2]);
  const { tables } = await readEpisodeTables(await datasetRoot(at("matrix")));
  // Elements 0 and 2, 1 and 3 of both frames together.
  const values = (d: number) => [0, 1].flatMap((frame) => [d, d + 2].map((k) => tinyValue(2, frame, k)));
  const row = tables[1]!.rows[0]!;
  expect(row["stats/pose/max"]).toEqual([Math.max(...values(0)), Math.max(...values(1))]);
  expect((row["stats/pose/mean"] as number[])[1]).toBeCloseTo(values(1).reduce((a, b) => a + b) / 4, 12);
  expect(row["stats/pose/count"]).toEqual([2n]);
  expect(json("matrix/meta/stats.json").pose.mean.length).toBe(2);
});

test("more episodes than one table holds; appended all at once", async () => {
  const features = { actions: { dtype: "float32", shape: [2] } };
  const options = { fps: 10, robotType: "panda", features, commit: "finalize" as const };
  const episode = (e: number) => ({
    task: `task ${e % 7}`,
    frames: 2,
    columns: { actions: { data: Float32Array.of(e, e + 0.25, e + 0.5, e + 0.75), shape: [2, 2] } },
  });
  const first = await createLeRobotDataset(at("long"), options);
  for (let e = 0; e < 203; e++) await first.addEpisode(episode(e));
  await first.finalize();
  const more = await appendToLeRobotDataset(at("long"), { commit: "finalize" });
  for (let e = 203; e < 206; e++) await more.addEpisode(episode(e));
  expect(json("long/meta/info.json").total_episodes).toBe(203);
  await more.finalize();
  expect(readdirSync(at("long/meta/episodes/chunk-000")).length).toBe(3);
  expect(readdirSync(at("long/data/chunk-000")).length).toBe(2);
  const dataset = await openLeRobotDataset(at("long"));
  const { data } = await dataset.column("actions");
  expect([...data]).toEqual(Array.from({ length: 206 * 4 }, (_, i) => i / 4));
  expect(dataset.episodes.map(({ tasks }) => tasks[0])).toEqual(
    Array.from({ length: 206 }, (_, e) => `task ${e % 7}`),
  );
  const { mean, std, max } = json("long/meta/stats.json").actions;
  // 206 whole numbers and as many halves beside them.
  expect(mean[0]).toBeCloseTo(102.75, 10);
  expect(std[0]).toBeCloseTo(Math.sqrt((206 ** 2 - 1) / 12 + 1 / 16), 10);
  expect(max).toEqual([205.5, 205.75]);
});

test("nothing of another numbering is removed", async () => {
  await writeTiny(at("mine"), [2]);
  writeFileSync(at("mine/data/chunk-000/file-007.parquet"), "mine");
  writeFileSync(at("mine/data/chunk-000/file-001.parquet"), "left behind");
  await append(at("mine"), 1, [3]);
  expect(readdirSync(at("mine/data/chunk-000"))).toEqual([
    "file-000.parquet",
    "file-001.parquet",
    "file-007.parquet",
  ]);
  const dataset = await openLeRobotDataset(at("mine"));
  await expectTiny(dataset);
  await dataset.close();
});

test("nothing is written or removed outside of the dataset, or in another layout", async () => {
  await writeTiny(at("odd"), [2]);
  const info = json("odd/meta/info.json");
  for (const data_path of ["../{chunk_index}/{file_index}.parquet", "data/chunk-000/file-000.parquet"]) {
    writeFileSync(at("odd/meta/info.json"), JSON.stringify({ ...info, data_path }));
    await expect(appendToLeRobotDataset(at("odd"))).rejects.toThrow(`data_path: expected data/chunk-`);
  }
  writeFileSync(at("odd/meta/info.json"), JSON.stringify({ ...info, chunks_size: 1 }));
  mkdirSync(at("elsewhere"));
  symlinkSync(at("elsewhere"), at("odd/data/chunk-001"));
  const writer = await appendToLeRobotDataset(at("odd"));
  await expect(writer.addEpisode(await tinyEpisode(1, 3))).rejects.toThrow(
    `chunk-001: is a link to ${at("elsewhere")}, outside the dataset`,
  );
  await writer.abort();
  expect(readdirSync(at("elsewhere"))).toEqual([]);
  expect(readdirSync(at("odd")).sort()).toEqual(["data", "meta"]);
  writeFileSync(at("elsewhere/file-000.parquet"), "somebody's");
  await expect(appendToLeRobotDataset(at("odd"))).rejects.toMatchObject({ code: "dataset/path-escapes" });
  expect(readdirSync(at("elsewhere"))).toEqual(["file-000.parquet"]);
  const dataset = await openLeRobotDataset(at("odd"));
  expect(dataset.episodes.length).toBe(1);
  await expectTiny(dataset);
  await dataset.close();
});

describeShared("what cannot be appended to", () => {
  test("v2.1: the error says what to do", async () => {
    await expect(appendToLeRobotDataset(sharedPath("data/lerobot/droid_subset_v21"))).rejects.toThrow(
      /cannot append to v2.1; convert it to v3.0 first/,
    );
  });
});
