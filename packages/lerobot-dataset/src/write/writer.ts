/**
 * @file Write a LeRobot v3.0 dataset in the layout of LeRobot's own writer. A finished episode becomes visible at
 * once: its files are renamed into place, meta/info.json last, so that a killed writer leaves a dataset without
 * the unfinished episode. The first episode brings the folder itself.
 */
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { InsulaError } from "@insula/model-types";
import { DEFAULT_FEATURES, type Features } from "../features.js";
import { type Beginning, emptyDataset, type NewDataset } from "./begin.js";
import { dataFiles } from "./data-files.js";
import type { VideoEncoding } from "./encode-video.js";
import { checkEpisode, type EpisodeInput } from "./episode-input.js";
import { commitOrder, metadata } from "./metadata.js";
import { byName, prepareEpisode, tasksOf } from "./prepare-episode.js";
import { openStaging } from "./staging.js";
import { videoFiles } from "./video-files.js";

/** How a dataset is written. */
export interface WriteOptions {
  /** How features of dtype `video` are encoded. Default: AV1 as LeRobot does it. */
  video?: VideoEncoding;
  /**
   * When episodes become visible: each as soon as `addEpisode` is done (the default), in a data file of its own; or
   * all with `finalize`, in data files of up to `dataFilesSizeInMb`.
   */
  commit?: "episode" | "finalize";
  /** How far copied video frames may be from their timestamps; see `OpenOptions.toleranceS`. */
  toleranceS?: number;
}

/** What a new dataset is and how it is written. */
export interface CreateOptions extends NewDataset, WriteOptions {}

/**
 * A dataset being written. Calls queue up: episodes are numbered in the order of the calls, awaited or not.
 * After `finalize`, `abort` or a failed write, `addEpisode` and `finalize` throw `dataset/writer-closed`.
 */
export interface LeRobotWriter {
  /** Episodes in the dataset, those of earlier writers included. */
  readonly episodes: number;
  /**
   * Append one episode.
   * @throws InsulaError `dataset/…` when a feature is missing, unknown, of another shape, or not finite. The
   * writer goes on without the refused episode.
   */
  addEpisode(episode: EpisodeInput): Promise<void>;
  /** Make everything visible and give up the lock. @throws InsulaError `dataset/exists`, `dataset/empty`. */
  finalize(): Promise<void>;
  /** Give up: remove what is not visible yet. Does nothing once finalized. */
  abort(): Promise<void>;
}

/**
 * Begin a new dataset at `dir`, which appears there with its first episode (or, with `commit: "finalize"`, when it is
 * finalized).
 * @throws InsulaError `dataset/exists` when `dir` exists, `dataset/feature` for a feature that cannot be written.
 */
export async function createLeRobotDataset(dir: string, options: CreateOptions): Promise<LeRobotWriter> {
  const destination = resolve(dir);
  const begin = emptyDataset(options);
  refuseExisting(destination);
  const unique = randomUUID().slice(0, 8);
  const building = join(dirname(destination), `.${basename(destination)}.partial-${unique}`);
  return startWriter(async () => begin, { root: building, destination }, options);
}

/** Where the dataset is built, and where it is to be. */
export interface WriterPlace {
  root: string;
  /** Another folder: `root` is renamed to it with the first episodes. */
  destination: string;
  /** Called after each rename: tests stop there. */
  onRename?: (path: string) => void;
}

/**
 * Begin a dataset in the folder `dir`, which the caller has made; it can be opened once it is finalized. Its task table
 * begins with `tasks`.
 */
export async function writeInto(
  dir: string,
  options: CreateOptions,
  tasks: Iterable<readonly [text: string, index: number]>,
): Promise<LeRobotWriter> {
  const root = resolve(dir);
  const begin: Beginning = { ...emptyDataset(options), tasks: new Map(tasks) };
  return startWriter(async () => begin, { root, destination: root }, { ...options, commit: "finalize" });
}

/** Write on from what `look` finds once the dataset is locked. @throws InsulaError `dataset/locked` */
export async function startWriter(
  look: () => Promise<Beginning>,
  place: WriterPlace,
  options: WriteOptions,
): Promise<LeRobotWriter> {
  const { destination, onRename } = place;
  const { commit = "episode", video = {}, toleranceS } = options;
  let { root } = place;
  const staging = await openStaging(root, onRename);
  const begin = await look().catch(async (error: unknown) => {
    await staging.release();
    throw error;
  });
  const { features, fps, chunksSize } = begin;
  const own = ownFeatures(features);
  const meta = metadata(staging, begin);
  const data = dataFiles(staging, features, {
    template: begin.dataPath,
    maxBytes: begin.maxDataBytes,
    chunksSize,
    first: begin.next.data,
  });
  const videos = videoFiles(staging, features, {
    template: begin.videoPath,
    chunksSize,
    next: begin.next.videos,
    fps,
    encoding: video,
    toleranceS,
  });
  let uncommitted = 0;
  let state: "open" | "failed" | "finalized" | "aborted" = "open";
  /** One call at a time. */
  let queue: Promise<unknown> = Promise.resolve();
  const inTurn = (work: () => Promise<void>): Promise<void> => {
    const turn = queue.then(() => {
      if (state === "open") return work();
      throw new InsulaError("dataset/writer-closed", `${destination}: the writer is ${state}`);
    });
    queue = turn.catch(() => {});
    return turn;
  };

  const makeVisible = async (): Promise<void> => {
    await data.close();
    await meta.stage();
    await staging.commit(commitOrder);
    uncommitted = 0;
    if (root === destination) return;
    if (commit === "finalize") await staging.release();
    refuseExisting(destination);
    await rename(root, destination);
    root = destination;
    staging.moveTo(root);
  };

  const addEpisode = async (episode: EpisodeInput): Promise<void> => {
    const index = meta.episodes;
    const { frames } = episode;
    checkEpisode(own, episode, `episode ${index}`);
    const { perFrame: task, texts, added } = tasksOf(episode, meta.tasks, meta.nextTask);
    const position = { index, from: meta.frames, task };
    const prepared = await prepareEpisode(begin, videos, episode, position).catch(async (error: unknown) => {
      await videos.undo();
      throw error;
    });
    const sources = prepared.flatMap(({ source }) => source ?? []);
    state = "failed"; // Unless all of the following succeeds.
    const row = {
      index,
      tasks: texts,
      length: frames,
      data: await data.append(sources, frames),
      from: meta.frames,
      to: meta.frames + frames,
      videos: byName(prepared, ({ video }) => video?.segment),
      stats: byName(prepared, ({ stats }) => stats),
    };
    videos.keep();
    await meta.add(
      row,
      added,
      byName(prepared, ({ video }) => video?.info),
    );
    uncommitted++;
    if (commit === "episode") await makeVisible();
    state = "open";
  };

  const finalize = async (): Promise<void> => {
    if (meta.episodes === 0) {
      throw new InsulaError("dataset/empty", `${destination}: add at least one episode before finalize()`);
    }
    if (uncommitted > 0) await makeVisible();
    await staging.release();
    state = "finalized";
  };

  return {
    get episodes() {
      return meta.episodes;
    },
    addEpisode: (episode) => inTurn(() => addEpisode(episode)),
    finalize: () => inTurn(finalize),
    async abort() {
      await queue;
      if (state === "finalized") return;
      if (state === "aborted") return;
      state = "aborted";
      await staging.release();
      if (root !== destination) await rm(root, { recursive: true, force: true });
    },
  };
}

function refuseExisting(path: string): void {
  if (existsSync(path)) {
    throw new InsulaError("dataset/exists", `${path} exists; remove it or choose another folder`);
  }
}

/** All features but those that every dataset has. */
export function ownFeatures(features: Features): Features {
  return Object.fromEntries(Object.entries(features).filter(([name]) => !(name in DEFAULT_FEATURES)));
}
