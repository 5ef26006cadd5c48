/** @file What the folder of a run says of it: finished, running, interrupted or resumed, with or without its data. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Manifest } from "@insula/ki-model";
import { InsulaError } from "@insula/model-types";
import type { NormStatsMap } from "@insula/transforms";
import { readNormStats } from "@insula/transforms/node";
import { listCheckpoints } from "../checkpoint.js";
import { checkRunConfig } from "../configs/schema.js";
import type { RunConfig } from "../configs/types.js";
import { readMetrics, readValidations } from "../metrics/jsonl.js";
import type { MetricsRow, ValidationRow } from "../metrics/row.js";
import { readSessions, type SessionRow } from "../metrics/sessions.js";
import { type Predictions, readPicture, readPredictions } from "../validation/predictions.js";

export interface RunFacts {
  dir: string;
  /** Last part of the folder's name: the experiment. */
  name: string;
  config: RunConfig;
  rows: MetricsRow[];
  validations: ValidationRow[];
  sessions: SessionRow[];
  /** Steps that have a checkpoint. */
  checkpoints: number[];
  stats?: NormStatsMap;
  manifest?: Manifest;
  predictions?: Predictions;
  /** Pictures of the predictions by file name, PNG. */
  pictures: ReadonlyMap<string, Uint8Array>;
  /** What is not there, to be told. */
  missing: string[];
}

/**
 * Read a run's folder.
 * @throws InsulaError `report/no-run` when there is no configuration of a run.
 */
export async function readRun(dir: string): Promise<RunFacts> {
  const config = await readConfig(dir);
  const missing: string[] = [];
  const optional = async <T>(what: string, read: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await read();
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      missing.push(`${what}: ${code === "ENOENT" ? "not there" : message}`);
      return undefined;
    }
  };
  const metrics = join(dir, "metrics.jsonl");
  const has = existsSync(metrics);
  if (!has) missing.push("metrics.jsonl: the first step has not been taken");
  const stats = await optional("normalisation statistics", () =>
    readNormStats(join(dir, "assets", config.data.assetId)),
  );
  const manifest = await optional(
    "artifact",
    async () => JSON.parse(await readFile(join(dir, "artifact", "manifest.json"), "utf8")) as Manifest,
  );
  const predictions = await optional("sampled actions", () => readPredictions(dir));
  const pictures = new Map<string, Uint8Array>();
  for (const { file } of predictions?.chunks.flatMap((chunk) => chunk.cameras) ?? []) {
    const picture = await readPicture(dir, basename(file));
    if (picture) pictures.set(file, picture);
  }
  return {
    dir,
    name: basename(dir),
    config,
    rows: has ? readMetrics(metrics) : [],
    validations: has ? readValidations(metrics) : [],
    sessions: await readSessions(dir),
    checkpoints: await listCheckpoints(join(dir, "checkpoints")),
    ...(stats ? { stats } : {}),
    ...(manifest ? { manifest } : {}),
    ...(predictions ? { predictions } : {}),
    pictures,
    missing,
  };
}

async function readConfig(dir: string): Promise<RunConfig> {
  const path = join(dir, "config.json");
  const text = await readFile(path, "utf8").catch((cause: Error) => {
    throw new InsulaError("report/no-run", `${path}: not there; expected the folder of a run`, { cause });
  });
  return checkRunConfig(JSON.parse(text));
}
