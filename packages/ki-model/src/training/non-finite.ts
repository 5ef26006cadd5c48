/** @file Tensors with elements that are not finite: what is said of them, and finding them on the host. */
import { sizeOf } from "@insula/model-types";
import { bf16ToFloat32 } from "@insula/safetensors";
import { trainFeeds } from "../feeds.js";
import type { DeviceParams, FlowDraws, TrainBatch } from "../train-session.js";
import { batchSizeOf } from "./samples.js";

/** The first tensor that is not finite. */
export interface NonFinite {
  /** A parameter, an input of the batch, a value of the forward or of the backward pass. */
  kind: "parameter" | "input" | "forward" | "backward";
  /** The parameter's path, the input's name, or the value's name in the graph: `vlm/layer3/MatMul_2`. */
  name: string;
  shape: readonly number[];
  /** What a value has to do with: the parameter that it is computed with; for gradients the place in the forward pass. */
  at?: string;
  /** The first element that is not finite, and how many are not. */
  found: number;
  index: readonly number[];
  count: number;
  /** Samples of the batch in which that is so; none for a parameter and for what only several together show. */
  samples: readonly number[];
}

/** One line: `vlm/layer3/MatMul_2 [1, 16, 24] of PaliGemma/llm/layers/mlp/linear layer 3: NaN at [0, 2, 5], …`. */
export function nonFiniteText(bad: NonFinite): string {
  const { kind, name, shape, at, found, index, count } = bad;
  const place = at === undefined ? "" : kind === "backward" ? `, backward of ${at}` : ` of ${at}`;
  const total = sizeOf(shape);
  const where = total === 1 ? `${found}` : `${found} at [${index.join(", ")}]`;
  const others = count > 1 ? `, ${count} of ${total} elements are not finite` : "";
  return `${kind} ${name} [${shape.join(", ")}]${place}: ${where}${others}`;
}

/** The first parameter. They are read one by one. */
export async function badParameter({ byName }: DeviceParams): Promise<NonFinite | undefined> {
  for (const [name, held] of byName) {
    const { data, shape, type } = await held.read();
    const floats = type === "bfloat16" ? bf16ToFloat32(data as Uint16Array) : (data as Float32Array);
    const bad = firstBad(floats, shape);
    if (bad) return { kind: "parameter", name, shape, ...bad, samples: [] };
  }
  return undefined;
}

/** The first of a graph's inputs; what it does not read does not count: π0.5 has its state in the text. */
export function badInput(
  inputs: readonly { name: string }[],
  batch: TrainBatch,
  draws: FlowDraws,
): NonFinite | undefined {
  const feeds = trainFeeds(batch, draws);
  for (const { name } of inputs) {
    const feed = feeds[name];
    if (!(feed?.data instanceof Float32Array)) continue;
    const bad = firstBad(feed.data, feed.shape);
    if (!bad) continue;
    const rows = feed.shape[0]! / batchSizeOf(batch);
    return {
      kind: "input",
      name,
      shape: feed.shape,
      ...bad,
      samples: badRows(feed.data, feed.shape)
        .map((row) => Math.floor(row / rows))
        .filter(unique),
    };
  }
  return undefined;
}

const unique = <T>(value: T, i: number, all: readonly T[]): boolean => all.indexOf(value) === i;

/** Rows of axis 0 with an element that is not finite. */
function badRows(data: Float32Array, shape: readonly number[]): number[] {
  const width = data.length / shape[0]!;
  return Array.from({ length: shape[0]! }, (_, row) => row).filter(
    (row) => findBad(data.subarray(row * width, (row + 1) * width)) >= 0,
  );
}

/** The first element that is not finite, −1 without any; a loop, for parameters are billions of numbers. */
function findBad(data: Float32Array): number {
  for (let i = 0; i < data.length; i++) if (data[i]! - data[i]! !== 0) return i;
  return -1;
}

/** The first element of a tensor that is not finite, and how many are not. */
export function firstBad(
  data: Float32Array,
  shape: readonly number[],
): Pick<NonFinite, "found" | "index" | "count"> | undefined {
  const first = findBad(data);
  if (first < 0) return undefined;
  const index: number[] = [];
  let rest = first;
  for (const size of [...shape].reverse()) {
    index.unshift(rest % size);
    rest = Math.floor(rest / size);
  }
  const count = data.reduce((n, value) => n + (Number.isFinite(value) ? 0 : 1), 0);
  return { found: data[first]!, index, count };
}
