/**
 * @file From a parameter file of this project to what openpi, LeRobot and big_vision load. The inverse of the
 * import, streamed the same way: elements are only permuted, so that importing again gives the same bits.
 */
import { join } from "node:path";
import { findAdapters } from "@insula/ki-model";
import { configModelType, InsulaError, type ModelConfig, sizeOf, withoutLora } from "@insula/model-types";
import { openTensors, type StreamedTensor, streamSafetensors, writeSynced } from "@insula/safetensors";
import { checkFile } from "./check-file.js";
import { lerobotConfig, openpiConfig } from "./export-configs.js";
import { fileParams } from "./file-params.js";
import { writeNew } from "./folder.js";
import { type ElementReader, mergedReader, readChunks } from "./merge.js";
import { writeNpz } from "./npz/write.js";
import { CHUNK_ELEMENTS } from "./source.js";
import { blockShape, torchShape, toTorch } from "./torch/layout.js";
import { EMBED_TOKENS, EXPERT_LM_HEAD, LM_HEAD, TORCH_RULES } from "./torch/names.js";
import { FACTS_FILE } from "./torch/open.js";

/** The formats that can be written. */
export const EXPORT_FORMATS = ["openpi", "lerobot", "npz"] as const;
/** One of {@link EXPORT_FORMATS}. */
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

/** Options of {@link exportWeights}. */
export interface ExportOptions {
  /** Further files for the folder, by relative path: `assets/droid/norm_stats.json`. */
  files?: ReadonlyMap<string, string>;
}

/** What was written. */
export interface ExportReport {
  /** The file with the weights. */
  readonly file: string;
  readonly written: readonly { readonly name: string; readonly shape: readonly number[] }[];
  /** Parameters that the format has no place for. */
  readonly leftOut: readonly string[];
  /** Tensors that the format wants and that no model reads; written as zeros. */
  readonly zeros: readonly string[];
  /** Weights that adapters went into: the formats have no place for these. */
  readonly merged: readonly string[];
}

/**
 * Write the parameters in `file` into the folder `out`, in float32, adapters merged into the weights.
 *
 * `openpi`: `model.safetensors` and `config.json` of openpi's PyTorch port. `lerobot`: the same names behind
 * `model.`, and a `config.json` of LeRobot's `pi0` or `pi05` policy. `npz`: `paligemma.npz`, the vision tower and
 * language model under big_vision's names. `pi05_ki` has the parameters of `pi05` and is written as such.
 * Beside PyTorch's files lies `insula.json` with what shapes do not tell, so that importing needs no options.
 * @throws InsulaError `weights/shape` or `weights/missing-tensor` when the file is not of a model of `config`,
 *   `weights/export` for pi0_fast in PyTorch, `weights/exists` when `out` is there already.
 */
export async function exportWeights(
  file: string,
  config: ModelConfig,
  format: ExportFormat,
  out: string,
  { files = new Map() }: ExportOptions = {},
): Promise<ExportReport> {
  if (format !== "npz" && configModelType(config) === "pi0_fast")
    throw new InsulaError(
      "weights/export",
      `${file}: pi0_fast has no form in ${format}; --format npz has its VLM`,
    );
  await checkFile(file, config);
  const source = await openTensors(file);
  try {
    const reader = mergedReader(source, config);
    const plain = withoutLora(config);
    let report: Omit<ExportReport, "merged"> | undefined;
    await writeNew(out, async (dir) => {
      report =
        format === "npz"
          ? await writePaligemma(reader, plain, dir)
          : await writeTorch(reader, plain, format, dir);
      for (const [path, text] of files) await writeSynced(join(dir, path), text);
      return format === "npz" ? {} : sideFiles(config, format);
    });
    const { file: written, ...rest } = report!;
    return { file: join(out, written), ...rest, merged: [...findAdapters(config).keys()] };
  } finally {
    await source.close();
  }
}

async function writeTorch(
  source: ElementReader,
  config: ModelConfig,
  format: "openpi" | "lerobot",
  dir: string,
): Promise<Omit<ExportReport, "merged">> {
  const prefix = format === "lerobot" ? "model." : "";
  const tensors: StreamedTensor[] = [];
  const add = (name: string, shape: readonly number[], chunks: StreamedTensor["chunks"]) =>
    tensors.push({ name: prefix + name, dtype: "F32", shape, chunks });
  for (const { path, shape: fileShape, layers } of fileParams(config)) {
    const rule = TORCH_RULES.get(path)!;
    const [shape, block] = [torchShape(rule, fileShape), sizeOf(blockShape(rule, fileShape))];
    const names = rule.names[0] === EMBED_TOKENS ? (prefix ? [EMBED_TOKENS, LM_HEAD] : [LM_HEAD]) : undefined;
    if (names) {
      for (const name of names) add(name, shape, () => readChunks(source, path, block));
      continue;
    }
    for (let layer = 0; layer < (layers ?? 1); layer++) {
      for (const [part, name] of rule.names.entries()) {
        const begin = (layer * rule.names.length + part) * block;
        add(name.replace("{i}", String(layer)), shape, async function* () {
          yield toTorch(rule, fileShape, await source.read(path, begin, begin + block));
        });
      }
    }
  }
  // The Hugging Face class behind the expert has a head; strict loading wants it, nothing reads it.
  const head = [config.vocabSize, config.expert.width];
  add(EXPERT_LM_HEAD, head, () => zeros(sizeOf(head)));
  const metadata: Record<string, string> = { format: "pt", ...(prefix ? {} : { [EMBED_TOKENS]: LM_HEAD }) };
  await streamSafetensors(join(dir, "model.safetensors"), tensors, metadata);
  return {
    file: "model.safetensors",
    written: tensors.map(({ name, shape }) => ({ name, shape })),
    leftOut: [],
    zeros: [prefix + EXPERT_LM_HEAD],
  };
}

async function writePaligemma(
  source: ElementReader,
  config: ModelConfig,
  dir: string,
): Promise<Omit<ExportReport, "merged">> {
  const specs = fileParams(config);
  const arrays = specs
    .filter(({ group }) => group === "vlm")
    .map((spec): StreamedTensor => {
      const shape = spec.stacked;
      return {
        name: spec.path.replace(/^PaliGemma\//, "params/"),
        dtype: "F32",
        shape,
        chunks: () => readChunks(source, spec.path, sizeOf(shape)),
      };
    });
  await writeNpz(join(dir, "paligemma.npz"), arrays);
  return {
    file: "paligemma.npz",
    written: arrays.map(({ name, shape }) => ({ name, shape })),
    leftOut: specs.filter(({ group }) => group === "expert").map(({ path }) => path),
    zeros: [],
  };
}

/** Small files beside the weights. */
function sideFiles(config: ModelConfig, format: "openpi" | "lerobot"): Record<string, object> {
  const { actionHorizon, maxTokenLen, siglip, vlm } = config;
  return {
    "config.json": format === "openpi" ? openpiConfig(config) : lerobotConfig(config),
    [FACTS_FILE]: { actionHorizon, maxTokenLen, siglipHeads: siglip.numHeads, numKvHeads: vlm.numKvHeads },
  };
}

function* zeros(count: number): Generator<Float32Array> {
  for (let at = 0; at < count; at += CHUNK_ELEMENTS)
    yield new Float32Array(Math.min(CHUNK_ELEMENTS, count - at));
}
