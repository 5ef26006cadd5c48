/**
 * @file The datasets of a run: one, or the members of `data.mixture`. Each has its own split, its own filter and its own
 * way to a model sample.
 */
import type {
  FilteredFrames,
  LeRobotDataset,
  OpenOptions,
  ScanEngine,
  SharedColumns,
} from "@insula/lerobot-dataset";
import { configModelType, InsulaError } from "@insula/model-types";
import type { NormStatsMap } from "@insula/transforms";
import type { DataFilter, Robot, RunConfig } from "../configs/types.js";
import { checkDataset } from "./checks.js";
import { trainingFrames } from "./filter.js";
import { datasetFrameStats, mixFrameStats, normStatsOf, normStatsWarnings } from "./norm-stats.js";
import { openDataset } from "./open-dataset.js";
import { type RobotSpec, robotSpec } from "./robots.js";
import { type Split, splitEpisodes } from "./split.js";
import type { FrameRanges, FrameStats } from "./stats/frame-stats.js";

/** One dataset of a run. */
export interface Member {
  dataset: LeRobotDataset;
  robot: Robot;
  spec: RobotSpec;
  /** Relative share of the training frames. */
  weight: number;
  split: Split;
  /** Its training frames: of episodes that are not held out, as far as they pass the filter. */
  frames: FilteredFrames;
}

export interface OpenMembersOptions extends OpenOptions {
  /** Read the numbers that training needs and refuse what is not finite. Default: true. */
  check?: boolean;
  /** Decode no camera. */
  numbersOnly?: boolean;
  /** Of each dataset, from `shareColumns` in another thread: not read again. */
  columnsOf?: readonly SharedColumns[];
}

/**
 * Open the datasets in `dirs`: `data.mixture`'s in its order, or the one of a run without.
 * @throws InsulaError `data/mixture` when the members' robots do not fit one model, and whatever is wrong with a
 *   dataset, its split or its filter.
 */
export async function openMembers(
  { data, model }: Pick<RunConfig, "data" | "model">,
  dirs: readonly string[],
  options: OpenMembersOptions = {},
): Promise<Member[]> {
  const { check = true, numbersOnly = false, columnsOf, ...open } = options;
  const alone = { weight: 1, robot: data.robot, filter: data.filter };
  const entries: { weight: number; robot?: Robot; filter?: DataFilter | null }[] = data.mixture ?? [alone];
  const main = robotSpec(data.robot);
  const members: Member[] = [];
  try {
    for (const [i, { weight, robot = data.robot, filter = data.filter }] of entries.entries()) {
      const spec = robotSpec(robot);
      assertFits(robot, spec, data.robot, main, model);
      const cameras = numbersOnly ? [] : [...spec.cameraColumns];
      const dataset = await openDataset(dirs[i]!, data, spec, {
        ...open,
        cameras,
        ...(columnsOf && { columns: columnsOf[i]! }),
      });
      try {
        if (check) await checkDataset(dataset, robot, spec);
        const split = splitEpisodes(dataset.episodes, data.heldOut);
        const frames = await trainingFrames(dataset, split.train, filter);
        members.push({ dataset, robot, spec, weight, split, frames });
      } catch (error) {
        await dataset.close();
        throw error;
      }
    }
    return members;
  } catch (error) {
    await closeMembers(members);
    throw error;
  }
}

/** Close every dataset. */
export async function closeMembers(members: readonly Member[]): Promise<void> {
  await Promise.all(members.map(({ dataset }) => dataset.close()));
}

/** One model, one set of statistics: the robots must have the same action dims and the same cameras. */
function assertFits(
  robot: Robot,
  spec: RobotSpec,
  mainRobot: Robot,
  main: RobotSpec,
  model: RunConfig["model"],
): void {
  const type = configModelType(model);
  const [cameras, expected] = [spec.cameras(type).join(", "), main.cameras(type).join(", ")];
  if (spec.actionDim === main.actionDim && cameras === expected) return;
  throw new InsulaError(
    "data/mixture",
    `data.mixture: robot '${robot}' has ${spec.actionDim} action dims and cameras ${cameras}; expected ` +
      `${main.actionDim} and ${expected} as '${mainRobot}' (data.robot)`,
  );
}

/** Statistics of the members' training frames, and what to warn of. */
export async function memberStats(
  config: RunConfig,
  members: readonly Member[],
  engine?: ScanEngine,
): Promise<{ stats: NormStatsMap; warnings: string[] }> {
  const all: FrameStats[] = [];
  for (const member of members) all.push(await frameStatsOf(config, member, engine));
  const mixed =
    members.length > 1
      ? mixFrameStats(
          all,
          members.map(({ weight }) => weight),
        )
      : all[0]!;
  return { stats: normStatsOf(mixed), warnings: normStatsWarnings(mixed, members[0]!.spec) };
}

/** Running statistics of one member's training frames. */
function frameStatsOf({ data, model }: RunConfig, member: Member, engine?: ScanEngine): Promise<FrameStats> {
  const { dataset, robot, spec } = member;
  return datasetFrameStats(dataset, {
    ...countedFrames(member),
    robot,
    spec,
    actionHorizon: model.actionHorizon,
    deltaActions: data.deltaActions,
    ...(engine && { engine }),
  });
}

/** The episodes with training frames, and the frames of those that do not count whole. */
export function countedFrames({ dataset, frames }: Member): {
  episodes: Set<number>;
  frames: Map<number, FrameRanges>;
} {
  const length = new Map(dataset.episodes.map((e) => [e.index, e.length]));
  const ranges = new Map<number, [number, number][]>();
  for (const { episode, from, to } of frames.ranges) {
    const known = ranges.get(episode);
    if (known) known.push([from, to]);
    else ranges.set(episode, [[from, to]]);
  }
  const episodes = new Set(ranges.keys());
  for (const [episode, [first]] of ranges) {
    if (first![0] === 0 && first![1] === length.get(episode)) ranges.delete(episode);
  }
  return { episodes, frames: ranges };
}
