/** @file Workers that read the same dataset as this process, with the same options. */
import { InsulaError } from "@insula/model-types";
import type { FrameSource } from "../frame-source.js";
import type { LeRobotDataset } from "../read/dataset.js";
import { isOpened } from "../read/opened.js";
import type { SampleOptions } from "../read/sample.js";
import type { DatasetWorkerData } from "./dataset-worker.js";
import type { WorkerSpec } from "./worker-pool.js";

/** What a dataset's caches may hold unless it says otherwise. */
const CACHE_BYTES = 2 ** 28;

/**
 * `numWorkers` workers for `source`; they share its columns and the limits of its caches.
 * @throws InsulaError `loader/workers` for a source that is no dataset: only its owner knows how to open it again.
 */
export function datasetWorker(source: FrameSource, sample: SampleOptions, numWorkers: number): WorkerSpec {
  if (!isOpened(source)) {
    throw new InsulaError(
      "loader/workers",
      "numWorkers: this source is not a dataset, so a worker must be told how to open it: give worker: { module, data }",
    );
  }
  const dataset = source as LeRobotDataset;
  const { root, options } = dataset;
  // `root` is what a name on the hub became; how it was found need not be repeated, and has functions in it.
  const { hub, ...rest } = options;
  const { frameCacheBytes = CACHE_BYTES, imageCacheBytes = CACHE_BYTES } = rest;
  const share = (bytes: number): number => Math.floor(bytes / numWorkers);
  const open = {
    ...rest,
    frameCacheBytes: share(frameCacheBytes),
    imageCacheBytes: share(imageCacheBytes),
  };
  const data = async (): Promise<DatasetWorkerData> => ({
    root,
    open: { ...open, columns: await dataset.shareColumns() },
    sample,
  });
  return { module: new URL("./dataset-worker.js", import.meta.url), data };
}
