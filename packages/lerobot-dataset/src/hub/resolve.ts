/** @file The folder that a dataset's name means: a folder, LeRobot's own copy, or the hub's. */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { env } from "node:process";
import { hubHome, isFile, parseRepo } from "@insula/hub-cache";
import { InsulaError } from "@insula/model-types";
import { type DownloadOptions, downloadLeRobotDataset } from "./download-dataset.js";

/** LeRobot's own folder of datasets: `HF_LEROBOT_HOME`, else `HF_HOME/lerobot`. */
function lerobotHome(): string {
  return env["HF_LEROBOT_HOME"] ?? join(hubHome(), "lerobot");
}

/** Whether `source` names a repository of the hub: `owner/name`, where there is no such folder, or `hf://owner/name`. */
export function isDatasetRepo(source: string): boolean {
  return !existsSync(source) && parseRepo(source) !== undefined;
}

/**
 * The folder of a dataset: `source` itself; where there is no such folder and it is an `owner/name`, LeRobot's copy
 * (`HF_LEROBOT_HOME/owner/name`), else the one of the hub, downloaded when the cache lacks it.
 * `owner/name@revision` and `hf://…` always mean the hub.
 * @throws InsulaError `hub/…` as {@link downloadLeRobotDataset}.
 */
export async function resolveDataset(source: string, options: DownloadOptions = {}): Promise<string> {
  const repo = existsSync(source) ? undefined : parseRepo(source);
  if (!repo) return resolve(source);
  const asked = repo.revision ?? options.revision;
  if (asked === undefined && !source.startsWith("hf://")) {
    const local = join(lerobotHome(), repo.repo);
    if (await isFile(join(local, "meta", "info.json"))) return local;
  }
  try {
    return (await downloadLeRobotDataset(source, options)).folder;
  } catch (error) {
    // A mistyped path looks like a repository: errors say that there is no such path either.
    if (!(error instanceof InsulaError) || !error.code.startsWith("hub/")) throw error;
    throw new InsulaError(error.code, `${error.message}; nor is there such a path here`, {
      cause: error.cause,
    });
  }
}
