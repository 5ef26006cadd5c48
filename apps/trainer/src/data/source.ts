/**
 * @file Where a run's data come from: a folder, LeRobot's cache, or the embedded sample data; and whose
 * tokenizers are used.
 */
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { InsulaError } from "@insula/model-types";
import { ensureSampleData, type SampleDataPaths } from "@insula/sample-data";
import type { RunConfig } from "../configs/types.js";
import { type TokenizerPaths, tokenizerPaths } from "./tokenizers.js";

export interface DataSource {
  datasetDir: string;
  tokenizers: TokenizerPaths;
  /** What to tell about it. */
  notes: string[];
}

/**
 * Find the dataset: `dataset`, else the configuration's `repoId` as a folder or under LeRobot's home
 * (`HF_LEROBOT_HOME`, by default `~/.cache/huggingface/lerobot`), else, for robot `droid` without a `repoId`,
 * the embedded sample data.
 * @throws InsulaError `data/no-dataset`, naming where was looked and what to do.
 */
export async function findDataset(
  config: RunConfig,
  { dataset, log }: { dataset?: string; log(line: string): void },
): Promise<{ dir: string; embedded: boolean }> {
  const { repoId, robot } = config.data;
  const given = dataset ?? repoId;
  if (given !== null) return { dir: datasetFolder(given, dataset !== undefined), embedded: false };
  if (robot === "droid") return { dir: (await sampleData(log)).datasetDir, embedded: true };
  throw new InsulaError(
    "data/no-dataset",
    `config '${config.name}' names no dataset, and the embedded sample data are for robot 'droid'; give --dataset DIR`,
  );
}

/**
 * Find dataset and tokenizers: `--tokenizers`, else at sizes that are trained from scratch the embedded ones.
 * @throws InsulaError `data/no-tokenizer` at size full without a folder, and as {@link findDataset}.
 */
export async function findData(
  config: RunConfig,
  options: { dataset?: string; tokenizers?: string; log(line: string): void },
): Promise<DataSource> {
  const { tokenizers, log } = options;
  if (tokenizers === undefined && config.size === "full") {
    throw new InsulaError(
      "data/no-tokenizer",
      "size full needs PaliGemma's tokenizer (text/tokenizer.model) and FAST+ (fast/tokenizer.json, " +
        "fast/processor_config.json) in one folder: --tokenizers DIR. With --size tiny or small there are embedded ones",
    );
  }
  const { dir, embedded } = await findDataset(config, options);
  const notes = [embedded ? "embedded sample data (--dataset DIR trains on yours)" : dir];
  if (tokenizers !== undefined) {
    return { datasetDir: dir, tokenizers: tokenizerPaths(resolve(tokenizers)), notes };
  }
  if (!embedded) notes.push("embedded tokenizers (--tokenizers DIR uses yours)");
  const { textTokenizerPath, fastTokenizerDir } = await sampleData(log);
  return { datasetDir: dir, tokenizers: { text: [textTokenizerPath], fast: [fastTokenizerDir] }, notes };
}

/** The embedded data; generated into the user's cache the first time. */
function sampleData(log: (line: string) => void): Promise<SampleDataPaths> {
  const tenths = (done: number, total: number) => Math.floor((10 * done) / total);
  return ensureSampleData(undefined, (done, total) => {
    if (tenths(done, total) > tenths(done - 1, total))
      log(`generating the sample data, once: ${done}/${total} episodes`);
  });
}

/** The folder of a dataset id or path. */
function datasetFolder(given: string, isPath: boolean): string {
  const home = process.env["HF_LEROBOT_HOME"] ?? join(homedir(), ".cache", "huggingface", "lerobot");
  const places = isPath ? [resolve(given)] : [resolve(given), join(home, given)];
  const found = places.find((place) => existsSync(join(place, "meta", "info.json")));
  if (found) return found;
  throw new InsulaError(
    "data/no-dataset",
    `no LeRobot dataset '${given}': looked for meta/info.json in ${places.join(", ")}; give --dataset DIR`,
  );
}
