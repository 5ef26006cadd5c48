/** `insula dataset convert|split|merge`: what they write, say and refuse. */
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLeRobotDataset, openLeRobotDataset } from "@insula/lerobot-dataset";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runCli } from "../src/program.js";

const base = mkdtempSync(join(tmpdir(), "insula-dataset-"));
afterAll(() => rmSync(base, { recursive: true }));
const at = (name: string) => join(base, name);

async function insula(...args: string[]) {
  const out: string[] = [];
  const err: string[] = [];
  const code = await runCli(["dataset", ...args], { out: (l) => out.push(l), err: (l) => err.push(l) });
  return { code, out: out.join("\n").replaceAll(base, "BASE"), err: err.join("\n").replaceAll(base, "BASE") };
}

const [HEIGHT, WIDTH] = [32, 64];

beforeAll(async () => {
  const writer = await createLeRobotDataset(at("source"), {
    fps: 10,
    robotType: "panda",
    features: {
      cam: { dtype: "image", shape: [HEIGHT, WIDTH, 3], names: ["height", "width", "channel"] },
      actions: { dtype: "float32", shape: [2] },
    },
  });
  for (let e = 0; e < 5; e++) {
    const frames = e + 1;
    await writer.addEpisode({
      task: e % 2 ? "open the drawer" : "close the drawer",
      frames,
      columns: { actions: { data: new Float32Array(frames * 2).fill(e), shape: [frames, 2] } },
      images: {
        cam: Array.from({ length: frames }, () => ({
          data: new Uint8Array(HEIGHT * WIDTH * 3).fill(40 * e),
          shape: [HEIGHT, WIDTH, 3],
        })),
      },
    });
  }
  await writer.finalize();
});

async function firstActions(dir: string): Promise<number[]> {
  const dataset = await openLeRobotDataset(dir, { cameras: [] });
  const { data } = await dataset.column("actions");
  return dataset.episodes.map(({ from }) => Number(data[2 * from]));
}

const size = /[\d.]+ MB/;

test("convert: to videos, and back without cameras", async () => {
  const video = await insula("convert", at("source"), "--out", at("video"), "--videos", "--codec", "h264");
  expect({ ...video, out: video.out.replace(size, "SIZE") }).toEqual({
    code: 0,
    out: "5 episodes, 15 frames, 2 tasks, SIZE: BASE/video",
    err: "",
  });
  const dataset = await openLeRobotDataset(at("video"));
  expect(dataset.features["cam"]).toMatchObject({ dtype: "video", info: { "video.codec": "h264" } });
  const { cam } = (await dataset.sample(14)) as unknown as { cam: { data: Uint8Array } };
  expect(Math.abs(cam.data[500]! - 160)).toBeLessThan(3);
  await dataset.close();
  expect((await insula("convert", at("video"), "--out", at("blind"), "--cameras", "none")).code).toBe(0);
  expect(readdirSync(at("blind")).sort()).toEqual(["data", "meta"]);
});

test("split: episodes, a task, fractions, every task", async () => {
  const some = await insula("split", at("source"), "--out", at("some"), "--episodes", "3,0-1");
  expect(some.out.replace(size, "SIZE")).toBe("3 episodes, 7 frames, 2 tasks, SIZE: BASE/some");
  expect(await firstActions(at("some"))).toEqual([3, 0, 1]);
  await insula("split", at("source"), "--out", at("open"), "--task", "open the drawer");
  expect(await firstActions(at("open"))).toEqual([1, 3]);
  const shares = ["--fractions", "train=0.6,val=0.4", "--seed", "2"];
  const parts = await insula("split", at("source"), "--out", at("shares"), ...shares);
  expect(parts.out.split("\n").map((line) => line.split(" episodes")[0])).toEqual(["train: 3", "val: 2"]);
  const both = [...(await firstActions(at("shares/train"))), ...(await firstActions(at("shares/val")))];
  expect(both.sort()).toEqual([0, 1, 2, 3, 4]);
  await insula("split", at("source"), "--out", at("tasks"), "--by-task");
  expect(await firstActions(at("tasks/task-0"))).toEqual([0, 2, 4]);
});

test("merge: in the order given", async () => {
  await insula("split", at("source"), "--out", at("two"), "--episodes", "4,2");
  const merged = await insula("merge", at("two"), at("source"), "--out", at("merged"));
  expect(merged.out.replace(size, "SIZE")).toBe("7 episodes, 23 frames, 2 tasks, SIZE: BASE/merged");
  expect(await firstActions(at("merged"))).toEqual([4, 2, 0, 1, 2, 3, 4]);
  await insula("convert", at("source"), "--out", at("as-video"), "--videos");
  const again = ["--encode", "--codec", "h264"];
  expect((await insula("convert", at("as-video"), "--out", at("h264"), ...again)).code).toBe(0);
  const { features } = await openLeRobotDataset(at("h264"));
  expect(features["cam"]!.info!["video.codec"]).toBe("h264");
  const { code, err } = await insula("merge", at("source"), at("as-video"), "--out", at("bad"));
  expect({ code, err }).toEqual({
    code: 1,
    err: `error: feature 'cam': dtype: expected "image" as in BASE/source, found "video" in BASE/as-video [dataset/merge]`,
  });
});

test.each([
  [
    ["split", "source", "--out", "bad"],
    1,
    "give one of --episodes, --task, --fractions and --by-task; found none",
  ],
  [["split", "source", "--out", "bad", "--by-task", "--episodes", "1"], 1, "found 2"],
  [
    ["split", "source", "--out", "bad", "--episodes", "7"],
    1,
    "there is no episode 7; its episodes are 0 to 4",
  ],
  [["split", "source", "--out", "bad", "--episodes", "4-2"], 2, "Expected episodes such as 0-9,12."],
  [
    ["split", "source", "--out", "bad", "--fractions", "train"],
    2,
    "Expected parts such as train=0.9,val=0.1.",
  ],
  [["split", "source", "--out", "bad", "--fractions", "../up=1"], 1, "part '../up': expected letters"],
  [["split", "source", "--out", "bad", "--task", "shut it"], 1, "no task 'shut it'"],
  [["convert", "source", "--out", "source"], 1, "BASE/source exists; remove it or choose another folder"],
  [
    ["convert", "source", "--out", "bad", "--images", "--videos"],
    1,
    "--images and --videos exclude each other",
  ],
  [["convert", "source", "--out", "bad", "--crf", "99"], 2, "Expected a whole number from 0 to 63."],
  [["convert", "source"], 2, "required option '--out <dir>' not specified"],
  [["merge", "source", "--out", "bad"], 1, "expected at least two datasets, found 1"],
  [["convrt", "source"], 2, "unknown command 'convrt'; did you mean 'convert'?"],
] as const)("refuses %j", async (args, code, message) => {
  const paths = args.map((arg) => (["source", "bad"].includes(arg) ? at(arg) : arg));
  const result = await insula(...paths);
  expect(result.err).toContain(message);
  expect(result.code).toBe(code);
  expect(existsSync(at("bad"))).toBe(false);
});
