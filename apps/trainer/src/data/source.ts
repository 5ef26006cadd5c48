/**
 * @file Where a run's data come from: a folder, LeRobot's or the hub's cache, or the embedded sample data; and whose
 * tokenizers are used.
 */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { type DownloadProgress, isDatasetRepo, resolveDataset } from "@insula/lerobot-dataset";
import { InsulaError } from "@insula/model-types";
import { ensureSampleData, type SampleDataPaths } from "@insula/sample-data";
import type { MixtureEntry, RunConfig } from "../configs/types.js";
import { hasActionTokens, type TokenizerPaths, tokenizerPaths } from "./tokenizers.js";

export interface DataSource {
  /** The dataset, or a mixture's first. */
  datasetDir: string;
  /** All datasets of a mixture. */
  datasetDirs?: readonly string[];
  tokenizers: TokenizerPaths;
  /** What to tell about it. */
  notes: string[];
}

/**
 * Find the dataset: `dataset`, else the configuration's `repoId`, as a folder, under LeRobot's home
 * (`HF_LEROBOT_HOME`, by default `~/.cache/huggingface/lerobot`), or from the Hugging Face hub, else, for robot
 * `droid` without a `repoId`, the embedded sample data.
 * @throws InsulaError `data/no-dataset`, naming where was looked and what to do; `hub/…` for a repository that
 *   cannot be had.
 */
export async function findDataset(
  config: RunConfig,
  { dataset, log }: { dataset?: string; log(line: string): void },
): Promise<{ dir: string; embedded: boolean }> {
  const { repoId, robot, mixture } = config.data;
  const given = dataset ?? repoId ?? mixture?.[0]?.repoId ?? null;
  if (given !== null) return { dir: await datasetFolder(given, log), embedded: false };
  if (robot === "droid") return { dir: (await sampleData(log)).datasetDir, embedded: true };
  throw new InsulaError(
    "data/no-dataset",
    `config '${config.name}' names no dataset, and the embedded sample data are for robot 'droid'; give --dataset DIR`,
  );
}

/**
 * Find every dataset of a run: those of `data.mixture`, or the one that {@link findDataset} finds.
 * @throws InsulaError as {@link findDataset}.
 */
export async function findDatasets(
  config: RunConfig,
  options: { dataset?: string; log(line: string): void },
): Promise<{ dirs: string[]; embedded: boolean }> {
  const { mixture } = config.data;
  if (!mixture || options.dataset !== undefined) {
    const { dir, embedded } = await findDataset(config, options);
    return { dirs: [dir], embedded };
  }
  const dirs: string[] = [];
  for (const [i, { repoId }] of mixture.entries()) {
    try {
      dirs.push(await datasetFolder(repoId, options.log));
    } catch (error) {
      if (!(error instanceof InsulaError)) throw error;
      throw new InsulaError(error.code, `data.mixture[${i}]: ${error.message}${ownMixture(mixture)}`, {
        cause: error,
      });
    }
  }
  return { dirs, embedded: false };
}

/** How to name other datasets in place of those of a mixture. */
function ownMixture(mixture: readonly MixtureEntry[]): string {
  const entries = mixture.map(({ weight }) => ({ repoId: "DIR", weight }));
  return `; or name each by --set 'data.mixture=${JSON.stringify(entries)}'`;
}

/**
 * Find dataset and tokenizers: `--tokenizers`, else at sizes that are trained from scratch the embedded ones. An action
 * tokenizer that the configuration names is used where `--tokenizers` has none.
 * @throws InsulaError `data/no-tokenizer` at size full without a folder, and as {@link findDataset}.
 */
export async function findData(
  config: RunConfig,
  options: { dataset?: string; tokenizers?: string; log(line: string): void },
): Promise<DataSource> {
  const { tokenizers, log } = options;
  const named = namedTokenizer(config);
  if (tokenizers === undefined && config.size === "full") {
    const needsFast = named === undefined && needsFastFiles(config);
    const fast = needsFast ? " and FAST+ (fast/tokenizer.json, fast/processor_config.json)" : "";
    throw new InsulaError(
      "data/no-tokenizer",
      `size full needs PaliGemma's tokenizer (text/tokenizer.model)${fast} in ${fast ? "one" : "a"} folder: ` +
        "--tokenizers DIR. With --size tiny or small there are embedded ones",
    );
  }
  const { dirs, embedded } = await findDatasets(config, options);
  const dir = dirs[0]!;
  const notes = [embedded ? "embedded sample data (--dataset DIR trains on yours)" : dir];
  if (tokenizers !== undefined) {
    const paths = { ...tokenizerPaths(resolve(tokenizers)), ...(named !== undefined && { named }) };
    return { datasetDir: dir, datasetDirs: dirs, tokenizers: paths, notes };
  }
  const { textTokenizerPath, fastTokenizerDir } = await sampleData(log);
  if (named !== undefined) notes.push(`action tokenizer ${named}`);
  else if (!embedded) notes.push("embedded tokenizers (--tokenizers DIR uses yours)");
  const paths = {
    text: [textTokenizerPath],
    fsq: [],
    ...(named === undefined ? { fast: [fastTokenizerDir] } : { fast: [], named }),
  };
  return { datasetDir: dir, datasetDirs: dirs, tokenizers: paths, notes };
}

/** Whether a run of the configuration reads FAST's two files. */
const needsFastFiles = ({ data, model }: RunConfig): boolean =>
  hasActionTokens(model) && data.fastModelTokenizer.type === "fast";

/** The folder or repository of the action tokenizer that the configuration names, where its model has one. */
function namedTokenizer({ data, model }: RunConfig): string | undefined {
  const { fastModelTokenizer: tokenizer } = data;
  if (!hasActionTokens(model) || tokenizer.type === "binning") return undefined;
  return tokenizer.path ?? undefined;
}

/** The embedded data; generated into the user's cache the first time. */
function sampleData(log: (line: string) => void): Promise<SampleDataPaths> {
  const tenths = (done: number, total: number) => Math.floor((10 * done) / total);
  return ensureSampleData(undefined, (done, total) => {
    if (tenths(done, total) > tenths(done - 1, total))
      log(`generating the sample data, once: ${done}/${total} episodes`);
  });
}

/** The folder of a dataset path or hub id. */
async function datasetFolder(given: string, log: (line: string) => void): Promise<string> {
  const dir = await resolveDataset(given, { onProgress: progressLines(given, log) });
  if (existsSync(join(dir, "meta", "info.json"))) return dir;
  const hint = isDatasetRepo(given) ? "" : "; give --dataset DIR, or owner/name on the Hugging Face hub";
  throw new InsulaError(
    "data/no-dataset",
    `no LeRobot dataset '${given}': looked for meta/info.json in ${resolve(dir)}${hint}`,
  );
}

/** A line per tenth of a download. */
function progressLines(given: string, log: (line: string) => void): (progress: DownloadProgress) => void {
  let told = 0;
  return ({ files, totalFiles, bytes, totalBytes }) => {
    const tenth = Math.floor((10 * files) / totalFiles);
    if (bytes === 0 || tenth === told) return;
    told = tenth;
    const mb = (count: number): string => (count / 1e6).toFixed(1);
    log(`downloading ${given}: ${files}/${totalFiles} files, ${mb(bytes)} of ${mb(totalBytes)} MB`);
  };
}
