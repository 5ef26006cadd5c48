/** @file Histograms of the gradients, per parameter group and per parameter, every so many steps. */
import type { ManifestParam } from "@insula/ki-model";
import type { StepDone, StepHook } from "../train/parts.js";
import { type Histogram, type HistogramSum, histogramSum } from "./histogram.js";

/** Values of one tensor that are looked at; of larger ones every n-th. */
const MOST_VALUES = 1 << 16;

/**
 * After every `interval`-th step, `gradients/<group>` and `gradients/<path>` for TensorBoard; all layers of a stacked
 * parameter together, before clipping. Only then are gradients copied from the device, one tensor at a time.
 */
export function gradientHistograms(
  interval: number,
  params: readonly Pick<ManifestParam, "name" | "path" | "group">[],
): StepHook {
  return async ({ row, session, recorder }) => {
    if (row.step % interval !== 0 || row.skipped) return;
    const histograms = await readHistograms(session, params, row.loss_scale ?? 1);
    recorder.events.write(row.step, row.time, { histograms });
  };
}

async function readHistograms(
  session: StepDone["session"],
  params: readonly Pick<ManifestParam, "name" | "path" | "group">[],
  lossScale: number,
): Promise<Record<string, Histogram>> {
  const sums = new Map<string, HistogramSum>();
  const sum = (tag: string) => {
    const found = sums.get(tag) ?? histogramSum();
    sums.set(tag, found);
    return found;
  };
  const { byName } = session.gradients();
  for (const { name, path, group } of params) {
    const tensor = byName.get(name);
    if (!tensor) continue;
    const values = looked((await tensor.read()).data as Float32Array, lossScale);
    sum(`gradients/${group}`).add(values);
    sum(`gradients/${path}`).add(values);
  }
  return Object.fromEntries(
    [...sums].flatMap(([tag, sum]) => {
      const histogram = sum.result();
      return histogram ? [[tag, histogram]] : [];
    }),
  );
}

/** At most about {@link MOST_VALUES} of them, spread evenly, without the loss scale. */
function looked(data: Float32Array, lossScale: number): Float32Array {
  const stride = Math.ceil(data.length / MOST_VALUES);
  if (stride === 1 && lossScale === 1) return data;
  return Float32Array.from(
    { length: Math.ceil(data.length / stride) },
    (_, i) => data[i * stride]! / lossScale,
  );
}
