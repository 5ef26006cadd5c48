/**
 * @file Everything that training updates, as device tensors under the graphs' names, and its way into and out of
 * checkpoints.
 */
import type { NdArray } from "@insula/model-types";
import { type DeviceTensor, type Tensor, tensor, zerosTensor } from "@insula/ort-session";
import { bf16ToFloat32, float32ToBf16 } from "@insula/safetensors";
import {
  type DeviceTensors,
  type ExecutionOptions,
  makeAll,
  placeTensors,
  releaseAll,
} from "../device-tensors.js";
import { toFileParams, toGraphParams } from "../params/layout.js";
import type { ParamSpec } from "../params/spec.js";
import type { ParamTree, TrainState } from "../train-session.js";

/** Parameters by name, and what belongs to the trainable ones. */
export interface StateTensors {
  weights: DeviceTensors;
  grads: DeviceTensors;
  mu: DeviceTensors;
  nu: DeviceTensors;
  /** Absent without an average. */
  ema?: DeviceTensors;
  /** Bytes of them all. */
  bytes: number;
  read(): Promise<Omit<TrainState, "step">>;
  write(saved: Omit<TrainState, "step">): Promise<void>;
  release(): Promise<void>;
}

/**
 * Place parameters on the device, with zero moments and an average that starts as the parameters.
 * @param graph every parameter in its graph layout; on the CPU these very arrays are updated from then on
 * @param stored parameters that graphs take as bfloat16, by name: frozen ones
 */
export async function placeState(
  specs: readonly ParamSpec[],
  trainable: readonly ParamSpec[],
  graph: ReadonlyMap<string, NdArray<Float32Array>>,
  {
    emaDecay,
    stored,
    ...options
  }: ExecutionOptions & { emaDecay: number | null; stored: ReadonlySet<string> },
): Promise<StateTensors> {
  const zeros = () =>
    placeTensors(
      each(trainable, ({ shape }) => zerosTensor("float32", shape)),
      options,
    );
  const values = (which: readonly ParamSpec[], copy: boolean) =>
    placeTensors(
      each(which, ({ name }) => {
        const { data, shape } = graph.get(name)!;
        if (stored.has(name)) return tensor(float32ToBf16(data), shape, "bfloat16");
        return tensor(copy ? data.slice() : data, shape);
      }),
      options,
    );
  const all = await makeAll<
    [DeviceTensors, DeviceTensors, DeviceTensors, DeviceTensors, DeviceTensors | undefined]
  >([
    values(specs, false),
    zeros(),
    zeros(),
    zeros(),
    emaDecay === null ? Promise.resolve(undefined) : values(trainable, true),
  ]);
  const [weights, grads, mu, nu, ema] = all;
  const byName = (tensors: DeviceTensors) => tensors.byName;
  return {
    weights,
    grads,
    mu,
    nu,
    ...(ema ? { ema } : {}),
    bytes: all
      .flatMap((tensors) => [...(tensors?.byName.values() ?? [])])
      .reduce((n, t) => n + bytesOf(t), 0),
    async read() {
      return {
        params: await readTree(specs, byName(weights)),
        mu: await readTree(specs, byName(mu)),
        nu: await readTree(specs, byName(nu)),
        // What is not trained has no average of its own: it is its own.
        ...(ema ? { ema: await readTree(specs, new Map([...byName(weights), ...byName(ema)])) } : {}),
      };
    },
    async write(saved) {
      await writeTree(specs, saved.params, weights);
      await writeTree(trainable, saved.mu, mu);
      await writeTree(trainable, saved.nu, nu);
      if (ema) await writeTree(specs, saved.ema ?? saved.params, ema);
    },
    release: () => releaseAll(all),
  };
}

function* each(
  specs: readonly ParamSpec[],
  make: (spec: ParamSpec) => Tensor,
): Generator<readonly [string, Tensor]> {
  for (const spec of specs) yield [spec.name, make(spec)];
}

function bytesOf({ shape, type }: DeviceTensor): number {
  return shape.reduce((n, size) => n * size, type === "bfloat16" ? 2 : 4);
}

/** One file tensor at a time, so that host memory holds the tree and no second copy of it. */
async function readTree(
  specs: readonly ParamSpec[],
  tensors: ReadonlyMap<string, DeviceTensor>,
): Promise<ParamTree> {
  const layers = new Map<string, ParamSpec[]>();
  for (const spec of specs) layers.set(spec.path, [...(layers.get(spec.path) ?? []), spec]);
  const tree: ParamTree = new Map();
  for (const stack of layers.values()) {
    const read = new Map<string, Tensor>();
    for (const { name } of stack) {
      const found = tensors.get(name);
      if (found) read.set(name, widened(await found.read()));
    }
    for (const [path, array] of toFileParams(stack, read)) tree.set(path, array);
  }
  return tree;
}

/** Write those of the tree's tensors that `into` has. */
async function writeTree(specs: readonly ParamSpec[], tree: ParamTree, into: DeviceTensors): Promise<void> {
  for (const [name, { data, shape }] of toGraphParams(specs, tree))
    await writeTensor(into.byName.get(name), data, shape);
}

async function writeTensor(
  into: DeviceTensor | undefined,
  data: Float32Array,
  shape: readonly number[],
): Promise<void> {
  await into?.write(
    into.type === "bfloat16" ? tensor(float32ToBf16(data), shape, "bfloat16") : tensor(data, shape),
  );
}

/** Files hold float32, whatever the device holds. */
function widened(stored: Tensor): Tensor {
  return stored.type === "bfloat16"
    ? tensor(bf16ToFloat32(stored.data as Uint16Array), stored.shape)
    : stored;
}
