/** @file `insula report`: read a run's folder, look at its dataset, write the page. */
import { rename, writeFile } from "node:fs/promises";
import { codeVersion } from "../checkpoint.js";
import { reportPage } from "./page.js";
import { type RunFacts, readRun } from "./read-run.js";
import { type RunData, readRunData } from "./run-data.js";
import { samplePredictions } from "./sample.js";

export interface ReportOptions {
  /** Where the page goes. */
  out: string;
  /** Dataset folder, when it is no longer where the run found it. */
  dataset?: string;
  /** Sample actions from the latest checkpoint where no validation left any: opens the model, on the CPU. */
  sample?: boolean;
  log(line: string): void;
  /** Seconds since 1970; injectable. */
  now?: number;
}

/**
 * Write the report of the run in folder `dir`, whatever state it is in. What is missing is told on the page.
 * @throws InsulaError `report/no-run` when the folder holds no run's configuration.
 */
export async function writeReport(dir: string, options: ReportOptions): Promise<void> {
  const run = await withPredictions(await readRun(dir), options);
  const data = await dataOf(run, options);
  const now = options.now ?? Date.now() / 1000;
  const page = reportPage(run, { data, version: await codeVersion(), now });
  await writeFile(`${options.out}.partial`, page);
  await rename(`${options.out}.partial`, options.out);
}

async function withPredictions(run: RunFacts, options: ReportOptions): Promise<RunFacts> {
  if (run.predictions) return run;
  const missing = (why: string): RunFacts => ({ ...run, missing: [...run.missing, `predictions: ${why}`] });
  if (!options.sample)
    return missing("no validation has sampled actions; --sample does, from the latest checkpoint");
  try {
    return { ...run, ...(await samplePredictions(run, options)) };
  } catch (error) {
    return missing((error as Error).message);
  }
}

async function dataOf(run: RunFacts, options: ReportOptions): Promise<RunData | string> {
  try {
    return await readRunData(run, options);
  } catch (error) {
    return (error as Error).message;
  }
}
