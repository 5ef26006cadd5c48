/**
 * @file Why a step went wrong: the first tensor that is not finite, in the order of execution, in a diagnostic run of
 * the same batch. Parameters and inputs are looked at first. Then samples run one by one, so that memory is that of a
 * batch of one; inner values are reduced to one number each inside of the graph, a window of them per run.
 */
import { InsulaError } from "@insula/model-types";
import {
  byteSize,
  cast,
  concat,
  isFloat,
  mul,
  reshape,
  resolveAlias,
  serialize,
  sumAll,
  type Value,
  withScope,
} from "@insula/onnx-grad";
import { tensor } from "@insula/ort-session";
import type { Manifest } from "../artifact.js";
import { bound, type ExecutionOptions } from "../device-tensors.js";
import { pickFeeds, trainFeeds } from "../feeds.js";
import type { DeviceParams, FlowDraws, TrainBatch } from "../train-session.js";
import { type BoundSession, openBound } from "./bound-session.js";
import { executionOrder, nearestForward, parameterOf } from "./graph-names.js";
import { badInput, badParameter, firstBad, type NonFinite } from "./non-finite.js";
import { batchSizeOf, takeSamples } from "./samples.js";
import { buildTrainingModel, type TrainingModel } from "./training-model.js";

export interface DiagnoseOptions extends ExecutionOptions {
  /** Of the artifact that the step ran on. */
  manifest: Pick<Manifest, "config" | "options">;
  /** The parameters that the step ran with: `session.params()`, as a step that is skipped leaves them. */
  params: DeviceParams;
  batch: TrainBatch;
  draws: FlowDraws;
  /** The loss scale of the step; float16 only. */
  lossScale?: number;
  /** Inner values looked at in one run, default 1024; and their bytes, default 256 MB. */
  window?: { values?: number; bytes?: number };
}

const DEFAULT_VALUES = 1024;
const DEFAULT_BYTES = 256 * 1024 * 1024;

/**
 * Find it. The same batch, draws and parameters as the step's; nothing is changed.
 * @returns undefined when everything is finite: then only the norm overflows, which is a sum of squares.
 */
export async function findNonFinite(options: DiagnoseOptions): Promise<NonFinite | undefined> {
  const { manifest, batch, draws, params } = options;
  const size = batchSizeOf(batch);
  const one = build(manifest, 1);
  const wrong = (await badParameter(params)) ?? badInput(one.context.graph.inputs, batch, draws);
  if (wrong) return wrong;
  const alone = await search(options, one, 1);
  if (alone || size === 1) return alone;
  // What overflows only in the sum over samples.
  const micro = size / (manifest.options.gradientAccumulation ?? 1);
  const together = await search(options, build(manifest, micro), micro);
  return together && { ...together, samples: [] };
}

/** The training model for `batchSize` samples, with nothing computed twice. */
function build({ config, options }: DiagnoseOptions["manifest"], batchSize: number): TrainingModel {
  const { gradientAccumulation: _, rematerialize: __, ...rest } = options;
  return buildTrainingModel(config, { ...rest, batchSize });
}

/** Look for the first bad value in the groups of `size` samples that show one. */
async function search(
  options: DiagnoseOptions,
  model: TrainingModel,
  size: number,
): Promise<NonFinite | undefined> {
  const { batch, draws } = options;
  const groups = Array.from({ length: batchSizeOf(batch) / size }, (_, i) =>
    Array.from({ length: size }, (_, j) => i * size + j),
  );
  const bad: (readonly number[])[] = [];
  const all = await openChecks(options, model, [...model.outputs.values()]);
  try {
    for (const group of groups) {
      if ((await all.run(takeSamples(batch, draws, group))).length > 0) bad.push(group);
    }
  } finally {
    await all.release();
  }
  const [first] = bad;
  if (!first) return undefined;
  const floats = executionOrder(model).filter((value) => isFloat(value.dtype));
  for (const values of windows(options, floats)) {
    const checks = await openChecks(options, model, values);
    try {
      const [value] = await checks.run(takeSamples(batch, draws, first));
      if (!value) continue;
      const samples = [...first];
      for (const group of bad.slice(1)) {
        if ((await checks.run(takeSamples(batch, draws, group))).includes(value)) samples.push(...group);
      }
      return { ...(await describe(options, model, value, first)), samples };
    } finally {
      await checks.release();
    }
  }
  return undefined;
}

/** Consecutive values that are looked at together. */
function* windows({ window = {} }: DiagnoseOptions, values: readonly Value[]): Generator<Value[]> {
  const { values: most = DEFAULT_VALUES, bytes: limit = DEFAULT_BYTES } = window;
  let current: Value[] = [];
  let bytes = 0;
  for (const value of values) {
    const size = byteSize(value);
    if (current.length > 0 && (current.length === most || bytes + size > limit)) {
      yield current;
      current = [];
      bytes = 0;
    }
    current.push(value);
    bytes += size;
  }
  if (current.length > 0) yield current;
}

type Samples = { batch: TrainBatch; draws: FlowDraws };

/** A session that tells which of `values`, all of a float type, are not finite, in their order: 0 · x is 0 exactly where x is finite. */
async function openChecks(
  options: DiagnoseOptions,
  model: TrainingModel,
  values: readonly Value[],
): Promise<{ run(samples: Samples): Promise<Value[]>; release(): Promise<void> }> {
  const { graph } = model.context;
  const check = withScope(graph, "diagnose", () =>
    concat(
      values.map((value) => reshape(sumAll(cast(mul(value, 0), "float32")), [1])),
      0,
    ),
  );
  const session = await open(options, model, new Map([["not_finite", check]]));
  return {
    async run(samples) {
      const { not_finite: sums } = await run(options, session, samples);
      return values.filter((_, i) => sums!.data[i] !== 0);
    },
    release: session.release,
  };
}

async function describe(
  options: DiagnoseOptions,
  model: TrainingModel,
  value: Value,
  group: readonly number[],
): Promise<Omit<NonFinite, "samples">> {
  const { batch, draws, params } = options;
  const session = await open(options, model, new Map([["value", cast(value, "float32")]]));
  try {
    const { value: out } = await run(options, session, takeSamples(batch, draws, group));
    const bad = firstBad(out!.data as Float32Array, value.shape);
    if (!bad) throw new InsulaError("diagnose/gone", `${value.name}: not finite once, finite the next time`);
    const name = resolveAlias(value).name;
    const backward = name.startsWith("grad/");
    const isParam = (input: string) => params.byName.has(input);
    const at = backward ? nearestForward(value) : parameterOf(value, isParam);
    return {
      kind: backward ? "backward" : "forward",
      name,
      shape: value.shape,
      ...(at === undefined ? {} : { at }),
      ...bad,
    };
  } finally {
    await session.release();
  }
}

function open(
  { params, device, runtime, threads, cuda }: DiagnoseOptions,
  { context }: TrainingModel,
  outputs: ReadonlyMap<string, Value>,
): Promise<BoundSession> {
  const { bytes } = serialize(context.graph, outputs, { name: "diagnosis" });
  const execution = {
    ...(device === undefined ? {} : { device }),
    ...(runtime === undefined ? {} : { runtime }),
    ...(threads === undefined ? {} : { threads }),
    ...(cuda === undefined ? {} : { cuda }),
  };
  // Every value is to be what its name says, and each graph runs a few times only.
  return openBound(bytes, { ...execution, sharedArena: true, optimizationLevel: "none" }, ({ inputs }) => ({
    inputs: bound(inputs, params),
    outputs: {},
  }));
}

/** The scale shrinks with the batch: a sample's share of the mean loss is then what it was in the step. */
function run(
  { params, lossScale = 1, batch: whole }: DiagnoseOptions,
  { session, run }: BoundSession,
  { batch, draws }: Samples,
): ReturnType<BoundSession["run"]> {
  const share = batchSizeOf(batch) / batchSizeOf(whole);
  const feeds: Record<string, ReturnType<typeof tensor>> = {
    ...trainFeeds(batch, draws),
    loss_scale: tensor(Float32Array.of(lossScale * share), []),
  };
  return run(pickFeeds(session.inputs, feeds, (name) => params.byName.has(name)));
}
