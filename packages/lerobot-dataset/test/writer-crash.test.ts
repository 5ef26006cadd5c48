/**
 * @file A writer killed at any moment leaves a dataset that opens, with every episode that was done and without the
 * unfinished one; writing on cleans up.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { NdArray } from "@insula/model-types";
import { describe, expect, test } from "vitest";
import { appendToLeRobotDataset, type EpisodeInput, openLeRobotDataset } from "../src/index.js";
import { emptyDataset, type NewDataset } from "../src/write/begin.js";
import { startWriter } from "../src/write/writer.js";
import { expectTiny, TINY_FEATURES, tempFolder, tinyEpisode, writeTiny } from "./fixtures.js";

const folder = tempFolder();
const options = { fps: 10, robotType: "panda", features: TINY_FEATURES };

async function expectEpisodes(dir: string, count: number): Promise<void> {
  const dataset = await openLeRobotDataset(dir);
  expect(dataset.episodes.map((e) => e.index)).toEqual(Array.from({ length: count }, (_, i) => i));
  await expectTiny(dataset);
  await dataset.close();
}

/** Files of the dataset, relative to it. */
const filesOf = (dir: string): string[] =>
  (readdirSync(dir, { recursive: true }) as string[]).filter((name) => /\.\w+$/.test(name)).sort();

describe("stopped after any rename", () => {
  class Killed extends Error {}

  /** Write three episodes, the process ending with the `stop`-th rename of the last. */
  const writeAndStop = async (
    dir: string,
    stop: number,
    begin: NewDataset,
    episode: (e: number) => Promise<EpisodeInput>,
  ): Promise<boolean> => {
    let [armed, renames] = [false, 0];
    const writer = await startWriter(
      async () => emptyDataset(begin),
      {
        root: `${dir}-building`,
        destination: dir,
        onRename: () => {
          if (armed && ++renames === stop) throw new Killed();
        },
      },
      { video: { codec: "h264" } },
    );
    for (const e of [0, 1, 2]) {
      armed = e === 2;
      await writer.addEpisode(await episode(e)).catch((error: unknown) => {
        if (!(error instanceof Killed)) throw error;
      });
    }
    // The process is dead, so it holds no lock; here it is this very process.
    rmSync(join(dir, ".writing"), { recursive: true });
    return renames === stop;
  };

  test("the episodes before it are there; appending goes on from them", async () => {
    for (let stop = 1, stopped = true; stopped; stop++) {
      const dir = join(folder, `stopped-${stop}`);
      stopped = await writeAndStop(dir, stop, options, (e) => tinyEpisode(e, 3 + e));
      const whole = stop >= 5; // tasks, stats, episodes, data; then info.json, which counts it.
      await expectEpisodes(dir, whole ? 3 : 2);
      const writer = await appendToLeRobotDataset(dir);
      expect(writer.episodes).toBe(whole ? 3 : 2);
      for (let e = writer.episodes; e < 5; e++) await writer.addEpisode(await tinyEpisode(e, 2));
      await writer.finalize();
      await expectEpisodes(dir, 5);
      // Nothing is left of the unfinished episode: as many data files as episodes.
      expect(filesOf(join(dir, "data")).length).toBe(5);
      expect(existsSync(join(dir, ".writing"))).toBe(false);
      expect(stop).toBeLessThan(9);
    }
  });

  test("with videos", async () => {
    const shape = [32, 64, 3];
    const begin = { fps: 10, robotType: null, features: { cam: { dtype: "video", shape } } };
    /** Each episode brighter than the last. */
    const episode = async (e: number): Promise<EpisodeInput> => {
      const picture = { data: new Uint8Array(32 * 64 * 3).fill(30 + 40 * e), shape };
      return { task: "", frames: 2, columns: {}, images: { cam: [picture, picture] } };
    };
    for (let stop = 1, stopped = true; stopped; stop++) {
      const dir = join(folder, `video-${stop}`);
      stopped = await writeAndStop(dir, stop, begin, episode);
      const writer = await appendToLeRobotDataset(dir);
      expect(writer.episodes).toBe(stop >= 6 ? 3 : 2);
      while (writer.episodes < 4) await writer.addEpisode(await episode(writer.episodes));
      await writer.finalize();
      const dataset = await openLeRobotDataset(dir);
      for (let i = 0; i < 8; i++) {
        const { data } = (await dataset.sample(i))["cam"] as NdArray<Uint8Array>;
        expect(Math.abs(data[1000]! - (30 + 40 * Math.floor(i / 2)))).toBeLessThan(5);
      }
      await dataset.close();
      expect(filesOf(join(dir, "videos")).length).toBe(4);
    }
  });
});

describe("killed", () => {
  const kills = process.env["INSULA_FULL"] ? 30 : 3;

  test(`${kills} times, anywhere`, { timeout: 60_000 + kills * 10_000 }, async () => {
    const dir = join(folder, "killed");
    let done = 0;
    for (let kill = 0; kill < kills; kill++) {
      const mode = done === 0 ? "create" : "append";
      const child = spawn(process.execPath, [join(import.meta.dirname, "write-until-killed.mjs"), dir, mode]);
      let errors = "";
      child.stderr.on("data", (text) => (errors += text));
      const ended = new Promise((resolve) => child.once("exit", resolve));
      const lines = createInterface({ input: child.stdout });
      let first = true;
      for await (const line of lines) {
        done = Number(line) + 1;
        // Between now and two episodes later.
        if (first) setTimeout(() => child.kill("SIGKILL"), Math.random() * 150);
        first = false;
      }
      await ended;
      expect(errors).toBe("");
      const dataset = await openLeRobotDataset(dir);
      const found = dataset.episodes.length;
      await dataset.close();
      // One more than was reported when it was killed between finishing and saying so.
      expect([done, done + 1]).toContain(found);
      await expectEpisodes(dir, found);
      done = found;
    }
    expect(done).toBeGreaterThanOrEqual(kills); // Each child finished one at least.
  });
});

describe("one writer at a time", () => {
  const lock = (dir: string, owner: object) => {
    mkdirSync(join(dir, ".writing"), { recursive: true });
    writeFileSync(join(dir, ".writing", "owner.json"), JSON.stringify(owner));
  };

  test("a second writer, and one on another machine, is refused; a dead one's lock is taken over", async () => {
    const dir = join(folder, "locked");
    await writeTiny(dir, [2]);
    const first = await appendToLeRobotDataset(dir);
    await expect(appendToLeRobotDataset(dir)).rejects.toMatchObject({ code: "dataset/locked" });
    await first.abort();
    lock(dir, { pid: 1, host: "elsewhere" });
    await expect(appendToLeRobotDataset(dir)).rejects.toThrow(
      `process 1 on elsewhere is writing this dataset; if that is not so, delete ${join(dir, ".writing")}`,
    );
    lock(dir, { pid: 2 ** 22 + 1, host: hostname() }); // Beyond the largest pid.
    writeFileSync(join(dir, ".writing", "half.mp4"), "half");
    const second = await appendToLeRobotDataset(dir);
    await second.addEpisode(await tinyEpisode(1, 4));
    await second.finalize();
    await expectEpisodes(dir, 2);
    expect(filesOf(dir).some((name) => name.includes(".writing"))).toBe(false);
  });
});
