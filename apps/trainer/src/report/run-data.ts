/** @file What the dataset of a run says, where it is still there. Only numbers are read. */
import { join } from "node:path";
import { type LeRobotDataset, resolveDataset } from "@insula/lerobot-dataset";
import { readNormStats } from "@insula/transforms/node";
import { findCheckpoint } from "../checkpoint.js";
import { openDataset } from "../data/open-dataset.js";
import { robotSpec } from "../data/robots.js";
import { findDataset } from "../data/source.js";
import { type Split, splitEpisodes } from "../data/split.js";
import { loadTokenizers, tokenizerPaths } from "../data/tokenizers.js";
import { auditTokens, type TokenAudit } from "../inspect/token-audit.js";
import type { RunFacts } from "./read-run.js";

/** Frames whose tokens are counted, spread evenly. */
const AUDITED = 400;
/** More frames than this are not gone through for token statistics: their columns would fill the memory. */
const MOST_FRAMES = 2_000_000;

export interface RunData {
  root: string;
  robot: string;
  fps: number;
  frames: number;
  split: Split;
  /** Frames per episode: least, median, most. */
  lengths: [number, number, number];
  cameras: { name: string; shape: readonly number[]; used: boolean }[];
  /** Tasks with the frames they have, most first; the frames are absent where that was not counted. */
  tasks: { task: string; frames?: number }[];
  audit?: TokenAudit;
  /** What could not be told. */
  missing: string[];
}

/** Look at the run's dataset. @throws whatever opening it does. */
export async function readRunData(
  run: RunFacts,
  options: { dataset?: string; log(line: string): void },
): Promise<RunData> {
  const { config } = run;
  const spec = robotSpec(config.data.robot);
  const dataset = await openDataset(await datasetDir(run, options), config.data, spec, { cameras: [] });
  try {
    const split = splitEpisodes(dataset.episodes, config.data.heldOut);
    const lengths = dataset.episodes.map((e) => e.to - e.from).sort((a, b) => a - b);
    const small = dataset.totalFrames <= MOST_FRAMES;
    const missing: string[] = [];
    if (!small) missing.push(`tokens and tasks are not counted over ${dataset.totalFrames} frames`);
    const audit = small
      ? await tokenAudit(run, dataset, split).catch((error: Error) => {
          missing.push(`token statistics: ${error.message}`);
          return undefined;
        })
      : undefined;
    return {
      root: dataset.root,
      robot: config.data.robot,
      fps: dataset.fps,
      frames: dataset.totalFrames,
      split,
      lengths: [lengths[0]!, lengths[lengths.length >> 1]!, lengths.at(-1)!],
      cameras: dataset.cameras.map((name) => ({
        name,
        shape: dataset.features[name]!.shape,
        used: spec.cameraColumns.includes(name),
      })),
      tasks: await countedTasks(dataset, small),
      ...(audit ? { audit } : {}),
      missing,
    };
  } finally {
    await dataset.close();
  }
}

/** The dataset's folder, of those that this machine has: a report downloads nothing. */
export async function datasetDir(
  { config }: Pick<RunFacts, "config">,
  options: { dataset?: string; log(line: string): void },
): Promise<string> {
  const given = options.dataset ?? config.data.repoId ?? config.data.mixture?.[0]?.repoId ?? null;
  return given === null ? (await findDataset(config, options)).dir : resolveDataset(given, { offline: true });
}

/** With the tokenizers of the latest checkpoint and the run's statistics. */
async function tokenAudit(run: RunFacts, dataset: LeRobotDataset, split: Split): Promise<TokenAudit> {
  const { config, dir } = run;
  const checkpoint = await findCheckpoint(dir);
  const tokenizers = await loadTokenizers(tokenizerPaths(join(checkpoint, "tokenizers")), config);
  const stats = run.stats ?? (await readNormStats(join(checkpoint, "assets", config.data.assetId)));
  const spec = robotSpec(config.data.robot);
  return auditTokens({ config, dataset, spec, stats, tokenizers, episodes: split.train }, { limit: AUDITED });
}

async function countedTasks(dataset: LeRobotDataset, count: boolean): Promise<RunData["tasks"]> {
  if (!count) return [...dataset.tasks.values()].map((task) => ({ task }));
  const counts = new Map<number, number>();
  for (const index of (await dataset.column("task_index")).data) {
    counts.set(Number(index), (counts.get(Number(index)) ?? 0) + 1);
  }
  return [...dataset.tasks]
    .map(([index, task]) => ({ task, frames: counts.get(index) ?? 0 }))
    .sort((a, b) => b.frames - a.frames);
}
