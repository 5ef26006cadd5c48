/** @file What an audit of tokens needs of a dataset: everything that training opens, but its images. */
import type { LeRobotDataset } from "@insula/lerobot-dataset";
import type { NormStatsMap } from "@insula/transforms";
import { readNormStats } from "@insula/transforms/node";
import type { RunConfig } from "../configs/types.js";
import { assetsFolder } from "../data/assets-dir.js";
import { closeMembers, memberStats, openMembers } from "../data/members.js";
import { type RobotSpec, robotSpec } from "../data/robots.js";
import type { DataSource } from "../data/source.js";
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
  const spec = robotSpec(declared.data.robot);
  const given = assetsFolder(declared);
  const tokenizers = await loadTokenizers(source.tokenizers, declared);
  const vocabSize = vocabularyRows(tokenizers, declared.model);
  const config = { ...declared, model: { ...declared.model, vocabSize } };
  const dirs = source.datasetDirs ?? [source.datasetDir];
  const members = await openMembers(config, dirs, { numbersOnly: true });
  const { dataset, split } = members[0]!;
  try {
    const stats = given ? await readNormStats(given) : (await memberStats(config, members)).stats;
    await closeMembers(members.slice(1));
    const episodes = split.train;
    return { config, dataset, spec, stats, tokenizers, episodes };
  } catch (error) {
    await closeMembers(members);
    throw error;
  }
}
