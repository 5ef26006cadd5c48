/**
 * @file Several sources as one, each drawn as often as its weight says. An epoch is a fixed number of frames; every
 * source walks its own permutations through the epochs, so that none of its frames comes twice before all have come.
 */
import { InsulaError, isNdArray, type Sample } from "@insula/model-types";
import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import type { FrameLocation, FrameSource } from "../frame-source.js";
import { epochOrder } from "../load/sampler.js";
import type { SampleOptions } from "../read/sample.js";

/** One part of a mixture. */
export interface MixPart {
  source: FrameSource;
  /** Relative share of the frames; the weights need not add up to 1 (openpi demands that). */
  weight: number;
  /** Makes its samples alike those of the others; may be asynchronous. */
  transform?: (sample: Sample) => Sample | Promise<Sample>;
  /** What to read of its frames, over what a caller of `sample` asks for. */
  sample?: SampleOptions;
  /** Stands for it in errors. Default: its number, and its folder where it is a dataset. */
  name?: string;
}

/** How long an epoch is, and how samples are compared. */
export interface MixOptions {
  /** Frames of an epoch. Default: all frames of all sources together. */
  epochFrames?: number;
  /** How the first samples are read that must agree. */
  sample?: SampleOptions;
}

/** A mixture. Frame `offsets[i] + j` is frame `j` of source `i`. */
export interface MixedFrames extends FrameSource {
  readonly offsets: readonly number[];
  /** Frames of each source in every epoch: its share of `epochFrames`, to within one. */
  readonly counts: readonly number[];
  order(seed: number, epoch: number): Uint32Array;
  locate(index: number): FrameLocation;
}

/**
 * Mix sources. Reads the first frame of each: after its transform every sample must have the same keys, dtypes and
 * shapes. `order(seed, epoch)` has `counts[i]` frames of source `i`, in an order that depends on its arguments alone.
 * @throws InsulaError `mix/weight` for a weight that is not above 0, or so small that it gets no frame of an epoch,
 *   `mix/features` naming source, key, expected and found, `mix/empty`, `mix/epoch-frames`.
 */
export async function mixSources(parts: readonly MixPart[], options: MixOptions = {}): Promise<MixedFrames> {
  if (parts.length === 0) throw new InsulaError("mix/empty", "mixSources: expected at least one source");
  const offsets: number[] = [];
  let total = 0;
  for (const { source } of parts) {
    offsets.push(total);
    total += source.totalFrames;
  }
  if (total >= 2 ** 32) throw new InsulaError("mix/frames", `mixSources: ${total} frames; at most 2^32 - 1`);
  const { epochFrames = total } = options;
  const counts = sharesOf(parts, epochFrames);
  const read = async (i: number, frame: number, given?: SampleOptions): Promise<Sample> => {
    const { source, transform, sample } = parts[i]!;
    const read = await source.sample(frame, { ...given, ...sample });
    return transform ? transform(read) : read;
  };
  await checkAlike(parts, (i) => read(i, 0, options.sample));
  const partOf = (index: number): number => {
    if (!(Number.isSafeInteger(index) && index >= 0 && index < total)) {
      throw new InsulaError("dataset/index", `mixture: frame ${index} is outside [0, ${total})`);
    }
    return offsets.findLastIndex((first) => first <= index);
  };
  return {
    offsets,
    counts,
    totalFrames: total,
    async sample(index, given) {
      const i = partOf(index);
      return read(i, index - offsets[i]!, given);
    },
    order: (seed, epoch) => mixedOrder(parts, offsets, counts, seed, epoch),
    locate(index) {
      const i = partOf(index);
      const frame = index - offsets[i]!;
      return parts[i]!.source.locate?.(frame) ?? { dataset: nameOf(parts[i]!, i), episode: 0, frame };
    },
  };
}

/** Whole numbers of frames in proportion to the weights: the largest remainders are rounded up. */
function sharesOf(parts: readonly MixPart[], epochFrames: number): number[] {
  if (!(Number.isSafeInteger(epochFrames) && epochFrames > 0 && epochFrames < 2 ** 32)) {
    throw new InsulaError(
      "mix/epoch-frames",
      `mixSources: epochFrames: expected at least 1, found ${epochFrames}`,
    );
  }
  for (const [i, part] of parts.entries()) {
    if (part.weight > 0 && Number.isFinite(part.weight)) continue;
    throw new InsulaError(
      "mix/weight",
      `mixSources: ${nameOf(part, i)}: expected a weight above 0, found ${part.weight}`,
    );
  }
  const sum = parts.reduce((a, { weight }) => a + weight, 0);
  const exact = parts.map(({ weight }) => (weight / sum) * epochFrames);
  const counts = exact.map(Math.floor);
  const byRemainder = exact
    .map((v, i) => [v - counts[i]!, i] as const)
    .sort((a, b) => b[0] - a[0] || a[1] - b[1]);
  let left = epochFrames - counts.reduce((a, b) => a + b, 0);
  for (const [, i] of byRemainder) if (left-- > 0) counts[i]!++;
  const none = counts.indexOf(0);
  if (none >= 0) {
    throw new InsulaError(
      "mix/weight",
      `mixSources: ${nameOf(parts[none]!, none)}: weight ${parts[none]!.weight} of ${sum} is less than one of ${epochFrames} frames; lengthen the epoch (epochFrames)`,
    );
  }
  return counts;
}

function mixedOrder(
  parts: readonly MixPart[],
  offsets: readonly number[],
  counts: readonly number[],
  seed: number,
  epoch: number,
): Uint32Array {
  const order = new Uint32Array(counts.reduce((a, b) => a + b, 0));
  // Which source comes when: a shuffle of as many of each as there are to be.
  let at = 0;
  for (const [i, n] of counts.entries()) order.fill(i, at, (at += n));
  const rng = xoroshiro128plus(derivedSeed(seed, 0));
  for (let e = 0; e <= epoch; e++) rng.jump();
  for (let k = order.length - 1; k > 0; k--) {
    const j = uniformInt(rng, 0, k);
    [order[k], order[j]] = [order[j]!, order[k]!];
  }
  const walks = parts.map(({ source }, i) => walk(source, derivedSeed(seed, i + 1), epoch * counts[i]!));
  for (let k = 0; k < order.length; k++) {
    const i = order[k]!;
    order[k] = offsets[i]! + walks[i]!();
  }
  return order;
}

/** The frames of a source from the `taken`-th on, one permutation after the other. */
function walk(source: FrameSource, seed: number, taken: number): () => number {
  const pass = (n: number): Uint32Array => source.order?.(seed, n) ?? epochOrder(source.totalFrames, seed, n);
  // Every pass is as long as the first.
  const { length } = source.order ? pass(0) : { length: source.totalFrames };
  let number = Math.floor(taken / length);
  let position = taken % length;
  let order: Uint32Array | undefined;
  return () => {
    if (position === length) {
      position = 0;
      number++;
      order = undefined;
    }
    order ??= pass(number);
    return order[position++]!;
  };
}

/** Seeds of one run that do not meet each other: a bijection of 32-bit numbers for each `stream` (murmur3's end). */
function derivedSeed(seed: number, stream: number): number {
  let h = (seed + Math.imul(stream + 1, 0x9e3779b9)) | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

async function checkAlike(parts: readonly MixPart[], first: (i: number) => Promise<Sample>): Promise<void> {
  let expected: Map<string, string> | undefined;
  for (const [i, part] of parts.entries()) {
    const found = describe(await first(i));
    if (!expected) {
      expected = found;
      continue;
    }
    for (const key of new Set([...expected.keys(), ...found.keys()])) {
      const [a, b] = [expected.get(key) ?? "nothing", found.get(key) ?? "nothing"];
      if (a === b) continue;
      throw new InsulaError(
        "mix/features",
        `${nameOf(part, i)}: ${key}: expected ${a} as in ${nameOf(parts[0]!, 0)}, found ${b}; samples of a mixture must agree, give the source a transform`,
      );
    }
  }
}

/** Key → dtype and shape, nested keys joined by "/". */
function describe(sample: Sample, prefix = "", into: Map<string, string> = new Map()): Map<string, string> {
  for (const [key, leaf] of Object.entries(sample)) {
    const name = prefix + key;
    if (isNdArray(leaf)) into.set(name, `${leaf.data.constructor.name} [${leaf.shape.join(", ")}]`);
    else if (typeof leaf === "object" && leaf !== null && !ArrayBuffer.isView(leaf)) {
      describe(leaf as Sample, `${name}/`, into);
    } else into.set(name, typeof leaf);
  }
  return into;
}

function nameOf({ name, source }: MixPart, i: number): string {
  if (name !== undefined) return name;
  const root = source.totalFrames > 0 ? source.locate?.(0).dataset : undefined;
  return root === undefined ? `source ${i}` : `source ${i} (${root})`;
}
