/** @file `model.safetensors` of openpi's PyTorch port and of LeRobot, and this project's own parameter files. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { InsulaError, sizeOf } from "@insula/model-types";
import { openTensors, type TensorFiles } from "@insula/safetensors";
import {
  CHUNK_ELEMENTS,
  floatDtype,
  type SourceFacts,
  type SourceTensor,
  toFloat32,
  type WeightSource,
} from "../source.js";
import { pathOfTorch } from "./names.js";

/** What an exported folder says about the model that its tensors' shapes do not: see `exportWeights`. */
export const FACTS_FILE = "insula.json";

/**
 * Open a `.safetensors` file, or its shards where there is only their index. LeRobot's `model.` is taken off its names.
 * @throws InsulaError `safetensors/…` for a broken file, `weights/dtype` for a tensor that is not of floats.
 */
export async function openTorch(path: string): Promise<WeightSource> {
  const file = await openTensors(path);
  try {
    const tensors = new Map<string, SourceTensor>();
    const stored = new Map<string, string>();
    for (const [name, { dtype, shape }] of file.tensors) {
      const clean = withoutPrefix(name);
      if (tensors.has(clean)) throw new InsulaError("weights/format", `${path}: both ${clean} and ${name}`);
      tensors.set(clean, { dtype: floatDtype(dtype, path, name), shape });
      stored.set(clean, name);
    }
    const prefixed = [...stored].some(([clean, name]) => clean !== name);
    const own = [...tensors.keys()].some((name) => name.startsWith("PaliGemma/"));
    const read = (name: string, begin: number, end: number) =>
      readFloats(file, stored.get(name) ?? name, begin, end);
    return {
      format: own ? "insula" : prefixed || (await isLerobot(path)) ? "lerobot" : "openpi-pytorch",
      path,
      tensors,
      facts: await readFacts(dirname(path)),
      async *chunks(name) {
        const length = sizeOf(tensors.get(name)?.shape ?? [0]);
        for (let at = 0; at < length; at += CHUNK_ELEMENTS)
          yield await read(name, at, Math.min(length, at + CHUNK_ELEMENTS));
      },
      read: (name) => read(name, 0, sizeOf(tensors.get(name)?.shape ?? [0])),
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Take LeRobot's `model.` off; the `model.` inside `paligemma_with_expert.paligemma.model.…` stays. */
function withoutPrefix(name: string): string {
  const rest = name.startsWith("model.") ? name.slice("model.".length) : name;
  return rest.startsWith("paligemma_with_expert.") || pathOfTorch(rest) || rest.startsWith("proprio_")
    ? rest
    : name;
}

async function readFloats(file: TensorFiles, name: string, begin: number, end: number) {
  const { data, dtype } = await file.readElements(name, begin, end);
  if (data instanceof Float32Array) return data as Float32Array<ArrayBuffer>;
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return toFloat32(bytes, floatDtype(dtype, file.path, name));
}

const isLerobot = async (path: string): Promise<boolean> =>
  typeof (await readJson(join(dirname(path), "config.json")))["type"] === "string";

async function readFacts(folder: string): Promise<SourceFacts> {
  const config = await readJson(join(folder, "config.json"));
  const own = await readJson(join(folder, FACTS_FILE));
  const first = (...values: unknown[]) =>
    values.find((v) => typeof v === "number" && Number.isInteger(v) && v > 0);
  const found: Record<string, unknown> = {
    actionHorizon: first(own["actionHorizon"], config["chunk_size"], config["action_horizon"]),
    maxTokenLen: first(own["maxTokenLen"], config["tokenizer_max_length"], config["max_token_len"]),
    siglipHeads: first(own["siglipHeads"]),
    numKvHeads: first(own["numKvHeads"]),
  };
  return Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined));
}

async function readJson(path: string): Promise<Record<string, unknown>> {
  if (!existsSync(path)) return {};
  try {
    const json: unknown = JSON.parse(await readFile(path, "utf8"));
    return typeof json === "object" && json !== null && !Array.isArray(json)
      ? (json as Record<string, unknown>)
      : {};
  } catch (cause) {
    throw new InsulaError("weights/format", `${path}: not JSON`, { cause });
  }
}
