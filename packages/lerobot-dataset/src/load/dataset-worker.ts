/** @file The worker that reads a dataset as it is: what a loader uses when it is given no module of its own. */
import { type OpenOptions, openLeRobotDataset } from "../read/dataset.js";
import type { SampleOptions } from "../read/sample.js";
import type { WorkerSource } from "./worker-pool.js";

export interface DatasetWorkerData {
  root: string;
  open: OpenOptions;
  sample: SampleOptions;
}

/** Open the dataset again, in this thread. */
export async function openWorkerSource({ root, open, sample }: DatasetWorkerData): Promise<WorkerSource> {
  const dataset = await openLeRobotDataset(root, open);
  return { sample: (index) => dataset.sample(index, sample), close: () => dataset.close() };
}
