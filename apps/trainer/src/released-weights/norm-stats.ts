/**
 * @file Normalisation statistics that come with released weights: openpi's `assets/<id>/norm_stats.json` beside
 * `params/` (or beside the converted `model.safetensors`), LeRobot's normaliser state.
 */
import { readdir, readFile, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { InsulaError } from "@insula/model-types";
import { bf16ToFloat32, type FileTensor, f16ToFloat32, readSafetensors } from "@insula/safetensors";
import { type NormStats, parseNormStats, serializeNormStats } from "@insula/transforms";

/** Statistics of a few dozen dims; anything larger is something else. */
const MAX_BYTES = 1 << 24;

/**
 * Files to put into a checkpoint: path → text, checked. None when nothing lies there.
 * @throws InsulaError `norm-stats/…` or `safetensors/…` for files that are there and broken.
 */
export async function findNormStats(source: string, assetId: string): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const folder = (await isFolder(source)) ? source : dirname(source);
  const roots = basename(resolve(folder)) === "params" ? [folder, dirname(resolve(folder))] : [folder];
  for (const root of roots) {
    const assets = join(root, "assets");
    for (const path of await filesUnder(assets, "norm_stats.json")) {
      const text = await readFile(join(assets, path), "utf8");
      parseNormStats(text, join(assets, path));
      found.set(`assets/${path}`, text);
    }
    if (found.size > 0) return found;
  }
  const [state] = (await filesUnder(folder, "_normalizer_processor.safetensors")).filter((name) =>
    name.startsWith("policy_preprocessor"),
  );
  if (state !== undefined) {
    const text = await lerobotStats(join(folder, state));
    if (text !== undefined) found.set(`assets/${assetId}/norm_stats.json`, text);
  }
  return found;
}

/** LeRobot's `observation.state` and `action` are openpi's `state` and `actions`. */
async function lerobotStats(path: string): Promise<string | undefined> {
  const tensors = await readSafetensors(path);
  const stats: Record<string, NormStats> = {};
  for (const [key, name] of [
    ["state", "observation.state"],
    ["actions", "action"],
  ] as const) {
    const get = (field: string) => {
      const tensor = tensors.get(`${name}.${field}`);
      return tensor ? Float64Array.from(floats(tensor, path, `${name}.${field}`)) : undefined;
    };
    const [mean, std, q01, q99] = [get("mean"), get("std"), get("q01"), get("q99")];
    if (!mean || !std) return undefined;
    stats[key] = { mean, std, ...(q01 && q99 ? { q01, q99 } : {}) };
  }
  const text = serializeNormStats(stats);
  parseNormStats(text, path);
  return text;
}

function floats({ data, dtype }: FileTensor, path: string, name: string): ArrayLike<number> {
  if (dtype === "BF16") return bf16ToFloat32(data as Uint16Array);
  if (dtype === "F16") return f16ToFloat32(data as Uint16Array);
  if (data instanceof Float32Array || data instanceof Float64Array) return data;
  throw new InsulaError("weights/dtype", `${path}: ${name}: expected floats, found ${dtype}`);
}

const isFolder = async (path: string): Promise<boolean> =>
  stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );

/** Plain files below `root`, at most three folders deep, whose names end so. */
async function filesUnder(root: string, end: string, depth = 3): Promise<string[]> {
  const out: string[] = [];
  for (const entry of await readdir(root, { withFileTypes: true }).catch(() => [])) {
    if (entry.isFile() && entry.name.endsWith(end)) {
      if ((await stat(join(root, entry.name))).size <= MAX_BYTES) out.push(entry.name);
    } else if (entry.isDirectory() && depth > 1) {
      for (const path of await filesUnder(join(root, entry.name), end, depth - 1))
        out.push(`${entry.name}/${path}`);
    }
  }
  return out;
}
