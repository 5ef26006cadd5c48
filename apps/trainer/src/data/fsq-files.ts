/**
 * @file FSQ tokenizers as folders: ours (`config.json`, `params.safetensors`), which checkpoints carry, or openpi's orbax
 * checkpoint of one (`<step>/config/metadata`, `<step>/params/…`), as `gs://openpi-assets/tokenizers` has them.
 */
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { FsqActionTokenizer } from "@insula/fast-tokenizer";
import { InsulaError, type NdArray } from "@insula/model-types";
import { readSafetensors, serializeSafetensors } from "@insula/safetensors";
import { openWeights } from "@insula/weights";

/**
 * Read the tokenizer in `folder`.
 * @throws InsulaError `data/no-tokenizer` when it holds neither layout, `fast/fsq-config` and `fast/fsq-params` for what
 *   is wrong with its contents, `weights/…` and `safetensors/…` for files that cannot be read.
 */
export async function loadFsq(folder: string): Promise<FsqActionTokenizer> {
  const weights = join(folder, "params.safetensors");
  if (existsSync(weights)) {
    const config = await readJson(join(folder, "config.json"));
    return new FsqActionTokenizer({ config, params: await readSafetensors(weights) });
  }
  const step = await openpiStep(folder);
  if (step === undefined) {
    throw new InsulaError(
      "data/no-tokenizer",
      `${folder}: no FSQ tokenizer: expected config.json and params.safetensors, or openpi's <step>/config and <step>/params`,
    );
  }
  const config = await readJson(join(step, "config", "metadata"));
  return new FsqActionTokenizer({ config, params: await readOrbax(join(step, "params")) });
}

/** The same as files by name, for {@link loadFsq}. */
export function fsqFiles({ config, files }: FsqActionTokenizer): Map<string, Uint8Array | string> {
  const params = files.params instanceof Map ? files.params : new Map(Object.entries(files.params));
  return new Map<string, Uint8Array | string>([
    ["config.json", JSON.stringify(config)],
    ["params.safetensors", serializeSafetensors(params)],
  ]);
}

/** `folder` itself when it is a step, else the latest step in it. */
async function openpiStep(folder: string): Promise<string | undefined> {
  const isStep = (dir: string): boolean => existsSync(join(dir, "config")) && existsSync(join(dir, "params"));
  if (isStep(folder)) return folder;
  const names = existsSync(folder) ? await readdir(folder) : [];
  const steps = names.filter((name) => /^\d+$/.test(name) && isStep(join(folder, name))).map(Number);
  return steps.length === 0 ? undefined : join(folder, String(Math.max(...steps)));
}

async function readOrbax(dir: string): Promise<Map<string, NdArray>> {
  const source = await openWeights(dir);
  try {
    const params = new Map<string, NdArray>();
    for (const [name, { shape }] of source.tensors)
      params.set(name, { data: await source.read(name), shape: [...shape] });
    return params;
  } finally {
    await source.close();
  }
}

async function readJson(path: string) {
  try {
    return JSON.parse(await readFile(path, "utf8"));
  } catch (cause) {
    throw new InsulaError("fast/fsq-config", `${path}: cannot read it as JSON: ${(cause as Error).message}`, {
      cause,
    });
  }
}
