/**
 * @file From released weights to a parameter file of this project: openpi's paths, layers stacked on axis 0,
 * float32. Planned from names and shapes first, then streamed: what is held is one tensor of one layer.
 */
import { isLora } from "@insula/ki-model";
import { configModelType, InsulaError, type ModelConfig, sizeOf } from "@insula/model-types";
import { type StreamedTensor, writeShardedSafetensors } from "@insula/safetensors";
import { type FileParam, fileParams } from "./file-params.js";
import { describeInit, drawParam } from "./init.js";
import { openWeights } from "./open.js";
import type { IgnoredTensor, ImportReport, InitialisedParam, MappedParam } from "./report.js";
import { type ImportSizes, inferModelConfig } from "./sizes.js";
import type { WeightSource } from "./source.js";
import { fromTorch, torchShape } from "./torch/layout.js";
import {
  EMBED_TOKENS,
  EXPERT_LM_HEAD,
  LM_HEAD,
  pathOfTorch,
  TORCH_RULES,
  type TorchRule,
} from "./torch/names.js";

/** Options of {@link importWeights}. */
export interface ImportOptions extends ImportSizes {
  /** Seed of the parameters that the source lacks; 0 unless given. */
  seed?: number;
}

/** An import that has been checked and not yet done. */
export interface ImportPlan {
  readonly config: ModelConfig;
  readonly report: ImportReport;
  /** The parameters; their elements are read from the source when asked for. */
  readonly tensors: readonly StreamedTensor[];
}

/**
 * Read `source` (see `openWeights`) and write its parameters to `file`; what exceeds 2 GB
 * goes into shards beside it, with an index.
 * @throws InsulaError as {@link planImport}, and as the format's reader for broken data; `file` is then as it was.
 */
export async function importWeights(
  source: string,
  file: string,
  options: ImportOptions = {},
): Promise<Omit<ImportPlan, "tensors">> {
  const opened = await openWeights(source);
  try {
    const { config, report, tensors } = planImport(opened, options);
    await writeShardedSafetensors(file, tensors, { metadata: { format: "np" } });
    return { config, report };
  } finally {
    await opened.close();
  }
}

/**
 * Decide what becomes of every tensor.
 * @throws InsulaError `weights/shape` or `weights/missing-tensor` naming the tensor, `weights/unknown-tensor` for one
 *   that no model of the family has, `weights/lora` for adapters in a form that is not openpi's; also as
 *   `inferModelConfig`.
 */
export function planImport(source: WeightSource, options: ImportOptions = {}): ImportPlan {
  const config = inferModelConfig(source, options);
  const torch = source.format === "openpi-pytorch" || source.format === "lerobot";
  const used = new Set<string>();
  const mapped: MappedParam[] = [];
  const initialised: InitialisedParam[] = [];
  const tensors: StreamedTensor[] = [];
  for (const spec of fileParams(config)) {
    const shape = spec.stacked;
    const from = torch ? torchNames(source, spec) : source.tensors.has(spec.path) ? [spec.path] : [];
    if (from.length === 0) {
      if (spec.group === "vlm" && !isLora(spec.path)) {
        throw new InsulaError(
          "weights/missing-tensor",
          `${source.path}: no tensor for ${spec.path} [${shape.join(", ")}]`,
        );
      }
      checkOtherHalf(source, spec.path);
      initialised.push({ path: spec.path, shape, how: describeInit(spec.init) });
      tensors.push({
        name: spec.path,
        dtype: "F32",
        shape,
        chunks: () => drawParam(spec.init, sizeOf(shape), options.seed ?? 0, spec.path),
      });
      continue;
    }
    const rule = torch ? TORCH_RULES.get(spec.path)! : undefined;
    checkShapes(source, from, rule ? torchShape(rule, spec.shape) : shape);
    for (const name of from) used.add(name);
    const dtypes = new Set(from.map((name) => source.tensors.get(name)!.dtype));
    mapped.push({
      path: spec.path,
      shape,
      from,
      dtype: [...dtypes].join("+"),
      layout: rule?.layout ?? "as-is",
    });
    const layout = rule && rule.layout !== "as-is" ? rule : undefined;
    tensors.push({
      name: spec.path,
      dtype: "F32",
      shape,
      chunks: () => elements(source, from, layout, spec),
    });
  }
  const modelType = configModelType(config);
  return {
    config,
    tensors,
    report: {
      path: source.path,
      format: source.format,
      modelType,
      mapped,
      initialised,
      ignored: leftOver(source, used, modelType, new Set([...mapped, ...initialised].map((p) => p.path))),
    },
  };
}

/** The PyTorch tensors of a parameter, layer by layer; none when the source has none of them. */
function torchNames(source: WeightSource, { path, layers }: FileParam): string[] {
  const rule = TORCH_RULES.get(path);
  if (!rule && isLora(path)) return []; // PyTorch ports have no adapters
  if (!rule) throw new InsulaError("weights/unknown-tensor", `${path}: has no name in PyTorch`);
  const names: string[] = [];
  for (let layer = 0; layer < (layers ?? 1); layer++) {
    for (const name of rule.names) names.push(name.replace("{i}", String(layer)));
  }
  if (names[0] === EMBED_TOKENS && !source.tensors.has(EMBED_TOKENS)) names[0] = LM_HEAD;
  const missing = names.filter((name) => !source.tensors.has(name));
  if (missing.length === names.length) return [];
  if (missing.length > 0) {
    throw new InsulaError(
      "weights/missing-tensor",
      `${source.path}: ${path}: ${missing.length} of ${names.length} tensors are missing, first ${missing[0]}`,
    );
  }
  return names;
}

function checkShapes(source: WeightSource, names: readonly string[], expected: readonly number[]): void {
  for (const name of names) {
    const { shape } = source.tensors.get(name)!;
    if (shape.length !== expected.length || shape.some((d, i) => d !== expected[i])) {
      throw new InsulaError(
        "weights/shape",
        `${source.path}: ${name}: expected [${expected.join(", ")}], found [${shape.join(", ")}]`,
      );
    }
  }
}

async function* elements(
  source: WeightSource,
  names: readonly string[],
  rule: TorchRule | undefined,
  spec: FileParam,
): AsyncGenerator<Float32Array> {
  for (const name of names) {
    if (rule) yield fromTorch(rule, spec.shape, await source.read(name));
    else yield* source.chunks(name);
  }
}

/** An adapter is there as a whole or not at all. */
function checkOtherHalf({ path: file, tensors }: WeightSource, path: string): void {
  if (!isLora(path)) return;
  const other = path.replace(/[ab]$/, (half) => (half === "a" ? "b" : "a"));
  if (tensors.has(other))
    throw new InsulaError("weights/missing-tensor", `${file}: has ${other} and no ${path}`);
}

/** The weight beside which openpi has an adapter of that name. */
function weightOfLora(name: string): string | undefined {
  const stem = /^(.*[/_])lora_[ab]$/.exec(name)?.[1];
  return stem && [`${stem}w`, stem.slice(0, -1)].find((path) => TORCH_RULES.has(path));
}

/** The tensors that no parameter took, each with the reason why that is right. */
function leftOver(
  source: WeightSource,
  used: ReadonlySet<string>,
  modelType: string,
  params: ReadonlySet<string>,
): IgnoredTensor[] {
  const ignored: IgnoredTensor[] = [];
  const unknown: string[] = [];
  for (const name of source.tensors.keys()) {
    if (used.has(name)) continue;
    const adapted = weightOfLora(name);
    if (/(^|[./_])lora(_|\b)/.test(name) && (!adapted || params.has(adapted))) {
      throw new InsulaError(
        "weights/lora",
        adapted
          ? `${source.path}: ${name}: an adapter that the configuration (vlm.lora, expert.lora) leaves out`
          : `${source.path}: ${name}: merge the LoRA adapters into the weights first`,
      );
    }
    const path = adapted ?? (TORCH_RULES.has(name) ? name : pathOfTorch(name));
    if (name === EXPERT_LM_HEAD)
      ignored.push({ name, reason: "never trained nor read: the expert has no vocabulary" });
    else if (name === LM_HEAD)
      ignored.push({ name, reason: "the head is tied: embed_tokens is what is read" });
    else if (path) ignored.push({ name, reason: `not a parameter of ${modelType}` });
    else unknown.push(name);
  }
  if (unknown.length > 0) {
    throw new InsulaError(
      "weights/unknown-tensor",
      `${source.path}: ${unknown.length} tensors belong to no model of this family: ${unknown.slice(0, 5).join(", ")}${unknown.length > 5 ? ", …" : ""}`,
    );
  }
  return ignored;
}
