/** @file The body of a thread that counts parts of a dataset: opens it again, answers one list of episodes at a time. */
import { parentPort, workerData } from "node:worker_threads";
import { openLeRobotDataset, type ScanEngine } from "@insula/lerobot-dataset";
import { InsulaError } from "@insula/model-types";
import { packRunningStats } from "@insula/transforms";
import type { Robot } from "../../configs/types.js";
import { robotSpec } from "../robots.js";
import { countParts } from "./count-parts.js";
import { frameColumns } from "./frame-columns.js";
import type { CountOptions } from "./frame-stats.js";

/** What a thread counts and how, as plain data. */
export interface CountJob extends CountOptions {
  root: string;
  followLinks: boolean;
  robot: Robot;
  engine: ScanEngine;
  batchFrames?: number;
}

/** Packed statistics of one part, or why there are none. */
export type CountReply =
  | { state: Float64Array<ArrayBuffer>; actions: Float64Array<ArrayBuffer> }
  | { code: string; message: string };

const job = workerData as CountJob;
const port = parentPort!;
const opened = openLeRobotDataset(job.root, { cameras: [], followLinks: job.followLinks });

async function count(episodes: readonly number[]): Promise<CountReply> {
  const dataset = await opened;
  const columns = frameColumns(dataset, { robot: job.robot, spec: robotSpec(job.robot) });
  const part = episodes.map((index) => ({ index }));
  for await (const { state, actions } of countParts(dataset, [part], columns, job)) {
    return { state: packRunningStats(state), actions: packRunningStats(actions) } as CountReply;
  }
  throw new InsulaError("norm-stats/count", "no episode to count");
}

port.on("message", async (episodes: readonly number[]) => {
  try {
    const reply = await count(episodes);
    const moved = "state" in reply ? [reply.state.buffer, reply.actions.buffer] : [];
    port.postMessage(reply, moved);
  } catch (error) {
    const { message } = error as Error;
    const code = error instanceof InsulaError ? error.code : "norm-stats/worker";
    port.postMessage({ code, message } satisfies CountReply);
  }
});
