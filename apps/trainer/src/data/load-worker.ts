/** @file The loader's worker: opens the run's data again in its own thread and makes samples from them. */
import type { SharedColumns, WorkerSource } from "@insula/lerobot-dataset";
import type { NormStatsMap } from "@insula/transforms";
import type { RunConfig } from "../configs/types.js";
import { augmentSample } from "./load-sample.js";
import { closeMembers, openMembers } from "./members.js";
import { makePipeline } from "./pipeline.js";
import { loadTokenizers, type TokenizerPaths } from "./tokenizers.js";
import { trainFrames } from "./train-frames.js";

/** Everything that decides on a sample, as plain data. */
export interface LoadWorkerData {
  datasetDirs: readonly string[];
  /** Of each dataset; absent: the worker reads its own. */
  columns?: readonly SharedColumns[];
  tokenizers: TokenizerPaths;
  config: RunConfig;
  stats: NormStatsMap;
  strict: boolean;
  /** Bytes that its caches of frames may hold, and those of images. */
  cacheBytes: number;
}

/** Called by the loader, once in each worker. */
export async function openWorkerSource(data: LoadWorkerData): Promise<WorkerSource> {
  const { config, stats, strict, cacheBytes, datasetDirs, columns } = data;
  const tokenizers = await loadTokenizers(data.tokenizers, config);
  const share = Math.floor(cacheBytes / datasetDirs.length);
  // Checked by whoever started the worker.
  const members = await openMembers(config, datasetDirs, {
    check: false,
    ...(columns && { columnsOf: columns }),
    frameCacheBytes: share,
    imageCacheBytes: share,
  });
  const pipelines = members.map(({ dataset, spec }) =>
    makePipeline({ config, spec, stats, tokenizers, tasks: dataset.tasks, strict }),
  );
  const frames = await trainFrames(config, members, pipelines);
  return {
    sample: async (index, slot) => augmentSample(config, await frames.sample(index), slot),
    close: () => closeMembers(members),
  };
}
