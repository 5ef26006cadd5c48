/** @file Statistics that a configuration takes from elsewhere instead of computing them. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { InsulaError } from "@insula/model-types";
import type { RunConfig } from "../configs/types.js";

/** Whether `data.assetsDir` is an address (`gs://…`, as openpi's configurations have it) and no folder. */
export const isAddress = (assetsDir: string): boolean => /^[a-z]+:\/\//.test(assetsDir);

/**
 * The folder of the `norm_stats.json` that `data.assetsDir` and `data.assetId` name; undefined where the statistics are the
 * dataset's. Before any data are opened: a run that will lack them needs none.
 * @throws InsulaError `norm-stats/not-local` for an address, `norm-stats/not-found` where there is no such file.
 */
export function assetsFolder({ name, data }: Pick<RunConfig, "name" | "data">): string | undefined {
  const { assetsDir, assetId } = data;
  if (!assetsDir) return undefined;
  if (isAddress(assetsDir)) {
    throw new InsulaError(
      "norm-stats/not-local",
      `config '${name}' takes its normalisation statistics from ${assetsDir}/${assetId}; download that folder and give ` +
        `--set data.assetsDir=DIR with DIR/${assetId}/norm_stats.json (\`insula weights import\` leaves them in assets/), ` +
        "or --set data.assetsDir=null to compute them from the dataset",
    );
  }
  const folder = join(assetsDir, assetId);
  if (existsSync(join(folder, "norm_stats.json"))) return folder;
  throw new InsulaError(
    "norm-stats/not-found",
    `no norm_stats.json in ${folder} (data.assetsDir and data.assetId)`,
  );
}
