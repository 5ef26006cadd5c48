/**
 * @file From a parameter file of this project to what openpi, LeRobot and big_vision load. The inverse of the
 * import, streamed the same way: elements are only permuted, so that importing again gives the same bits.
 */
import { join } from "node:path";
import { configModelType, InsulaError, type ModelConfig, sizeOf } from "@insula/model-types";
import {
  openSafetensors,
  type SafetensorsFile,
  type StreamedTensor,
  streamSafetensors,
  writeSynced,
} from "@insula/safetensors";
import { lerobotConfig, openpiConfig } from "./export-configs.js";
import { fileParams } from "./file-params.js";
import { writeNew } from "./folder.js";
import { planImport } from "./import.js";
import { writeNpz } from "./npz/write.js";
import { CHUNK_ELEMENTS } from "./source.js";
import { blockShape, torchShape, toTorch } from "./torch/layout.js";
import { EMBED_TOKENS, EXPERT_LM_HEAD, LM_HEAD, TORCH_RULES } from "./torch/names.js";
import { FACTS_FILE, openTorch } from "./torch/open.js";

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
}

/**
 * Write the parameters in `file` into the folder `out`, in float32.
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
  const source = await openSafetensors(file);
  try {
    let report: ExportReport | undefined;
    await writeNew(out, async (dir) => {
      report =
        format === "npz"
          ? await writePaligemma(source, config, dir)
          : await writeTorch(source, config, format, dir);
      for (const [path, text] of files) await writeSynced(join(dir, path), text);
      return format === "npz" ? {} : sideFiles(config, format);
    });
    const { file: written, ...rest } = report!;
    return { file: join(out, written), ...rest };
  } finally {
    await source.close();
  }
}

/** The file must hold exactly the parameters of `config`, in float32. */
async function checkFile(file: string, config: ModelConfig): Promise<void> {
  const source = await openTorch(file);
  try {
    if (source.format !== "insula")
      throw new InsulaError("weights/format", `${file}: not a parameter file of a checkpoint`);
    const { report } = planImport(source, { modelType: configModelType(config), model: config });
    const found = new Map(report.mapped.map(({ path, shape }) => [path, shape]));
    for (const spec of fileParams(config)) {
      const [expected, actual] = [spec.stacked, found.get(spec.path)];
      if (!actual) throw new InsulaError("weights/missing-tensor", `${file}: no parameter '${spec.path}'`);
      if (source.tensors.get(spec.path)!.dtype !== "F32")
        throw new InsulaError("weights/dtype", `${file}: ${spec.path}: expected F32`);
      if (expected.join() !== actual.join()) {
        throw new InsulaError(
          "weights/shape",
          `${file}: ${spec.path}: expected [${expected.join(", ")}] by the configuration, found [${actual.join(", ")}]`,
        );
      }
    }
  } finally {
    await source.close();
  }
}

async function writeTorch(
  source: SafetensorsFile,
  config: ModelConfig,
  format: "openpi" | "lerobot",
  dir: string,
): Promise<ExportReport> {
  const prefix = format === "lerobot" ? "model." : "";
  const tensors: StreamedTensor[] = [];
  const add = (name: string, shape: readonly number[], chunks: StreamedTensor["chunks"]) =>
    tensors.push({ name: prefix + name, dtype: "F32", shape, chunks });
  for (const { path, shape: fileShape, layers } of fileParams(config)) {
    const rule = TORCH_RULES.get(path)!;
    const [shape, block] = [torchShape(rule, fileShape), sizeOf(blockShape(rule, fileShape))];
    const names = rule.names[0] === EMBED_TOKENS ? (prefix ? [EMBED_TOKENS, LM_HEAD] : [LM_HEAD]) : undefined;
    if (names) {
      for (const name of names) add(name, shape, () => floatsOf(source, path, 0, block));
      continue;
    }
    for (let layer = 0; layer < (layers ?? 1); layer++) {
      for (const [part, name] of rule.names.entries()) {
        const begin = (layer * rule.names.length + part) * block;
        add(name.replace("{i}", String(layer)), shape, async function* () {
          const { data } = await source.readElements(path, begin, begin + block);
          yield toTorch(rule, fileShape, data as Float32Array);
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
  source: SafetensorsFile,
  config: ModelConfig,
  dir: string,
): Promise<ExportReport> {
  const specs = fileParams(config);
  const arrays = specs
    .filter(({ group }) => group === "vlm")
    .map((spec): StreamedTensor => {
      const shape = spec.stacked;
      return {
        name: spec.path.replace(/^PaliGemma\//, "params/"),
        dtype: "F32",
        shape,
        chunks: () => floatsOf(source, spec.path, 0, sizeOf(shape)),
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

async function* floatsOf(source: SafetensorsFile, name: string, begin: number, end: number) {
  for (let at = begin; at < end; at += CHUNK_ELEMENTS)
    yield (await source.readElements(name, at, Math.min(end, at + CHUNK_ELEMENTS))).data;
}

function* zeros(count: number): Generator<Float32Array> {
  for (let at = 0; at < count; at += CHUNK_ELEMENTS)
    yield new Float32Array(Math.min(CHUNK_ELEMENTS, count - at));
}
