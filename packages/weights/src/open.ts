/** @file Which format a file or folder holds. */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { InsulaError } from "@insula/model-types";
import { indexPath } from "@insula/safetensors";
import { isOrbax, openOrbax } from "./jax/orbax.js";
import { openNpz } from "./npz/npz.js";
import type { WeightSource } from "./source.js";
import { openTorch } from "./torch/open.js";

/**
 * Open released weights: a `model.safetensors`, its shards' index or the folder that holds it (openpi PyTorch, LeRobot), an openpi
 * JAX checkpoint or its `params/`, a big_vision `.npz`, a checkpoint of this project.
 * @throws InsulaError `weights/missing` when there is nothing, `weights/format` when it is none of these.
 */
export async function openWeights(path: string): Promise<WeightSource> {
  const kind = await kindOf(path);
  if (kind === undefined && (await kindOf(indexPath(path))) === "file") return openTorch(path);
  if (kind === undefined) throw new InsulaError("weights/missing", `${path}: not there`);
  if (kind === "file") {
    if (path.endsWith(".npz")) return openNpz(path);
    if (/\.safetensors(\.index\.json)?$/.test(path)) return openTorch(path);
    throw new InsulaError("weights/format", `${path}: expected a .safetensors or .npz file`);
  }
  if (isOrbax(path)) return openOrbax(path);
  for (const inside of ["model.safetensors", join("params", "params.safetensors")]) {
    for (const file of [join(path, inside), indexPath(join(path, inside))]) {
      if ((await kindOf(file)) === "file") return openTorch(file);
    }
  }
  if (isOrbax(join(path, "params"))) return openOrbax(join(path, "params"));
  throw new InsulaError(
    "weights/format",
    `${path}: expected model.safetensors (openpi PyTorch, LeRobot), params/ (openpi JAX) or params/params.safetensors in this folder`,
  );
}

async function kindOf(path: string): Promise<"file" | "folder" | undefined> {
  try {
    const found = await stat(path);
    return found.isDirectory() ? "folder" : "file";
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw error;
  }
}
