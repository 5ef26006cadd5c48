/** @file What an audit of tokens needs of a dataset: everything that training opens, but its images. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type LeRobotDataset, openLeRobotDataset } from "@insula/lerobot-dataset";
import { InsulaError } from "@insula/model-types";
import type { NormStatsMap } from "@insula/transforms";
import { readNormStats } from "@insula/transforms/node";
import type { RunConfig } from "../configs/types.js";
import { checkDataset } from "../data/checks.js";
import { datasetNormStats } from "../data/norm-stats.js";
import { type RobotSpec, robotSpec } from "../data/robots.js";
import type { DataSource } from "../data/source.js";
import { splitEpisodes } from "../data/split.js";
import { loadTokenizers, type Tokenizers, vocabularyRows } from "../data/tokenizers.js";

/** Where samples come from and how they are tokenised. A run's `TrainData` has all of it but `episodes`. */
export interface TokenSource {
  /** Its vocabulary as large as the tokenizers need. */
  config: RunConfig;
  dataset: LeRobotDataset;
  spec: RobotSpec;
  stats: NormStatsMap;
  tokenizers: Tokenizers;
  /** Indices of the episodes to look at. */
  episodes: readonly number[];
}

/**
 * Open the training episodes of a configuration. The caller closes `dataset`.
 * @throws InsulaError naming what is wrong with dataset, statistics or tokenizers.
 */
export async function openTokenSource(declared: RunConfig, source: DataSource): Promise<TokenSource> {
  const { robot, heldOut, assetId, assetsDir, deltaActions } = declared.data;
  const spec = robotSpec(robot);
  const tokenizers = await loadTokenizers(source.tokenizers, declared.model);
  const vocabSize = vocabularyRows(tokenizers, declared.model);
  const config = { ...declared, model: { ...declared.model, vocabSize } };
  const dataset = await openLeRobotDataset(source.datasetDir, { cameras: [] });
  try {
    await checkDataset(dataset, robot, spec);
    const episodes = splitEpisodes(dataset.episodes, heldOut).train;
    const { actionHorizon } = config.model;
    const stats = assetsDir
      ? await assets(join(assetsDir, assetId))
      : await datasetNormStats(dataset, {
          robot,
          spec,
          actionHorizon,
          deltaActions,
          episodes: new Set(episodes),
        });
    return { config, dataset, spec, stats, tokenizers, episodes };
  } catch (error) {
    await dataset.close();
    throw error;
  }
}

async function assets(dir: string): Promise<NormStatsMap> {
  if (existsSync(join(dir, "norm_stats.json"))) return readNormStats(dir);
  throw new InsulaError(
    "norm-stats/not-found",
    `no norm_stats.json in ${dir} (data.assetsDir and data.assetId)`,
  );
}
