/** @file Goldens of normalisation: running statistics in upstream mode, normalise and its inverse, the file format. */
import { InsulaError, type NdArray, type Sample } from "@insula/model-types";
import {
  createRunningStats,
  getStatistics,
  type NormStats,
  normalize,
  parseNormStats,
  serializeNormStats,
  unnormalize,
  updateRunningStats,
} from "@insula/transforms";
import { EXACT, FLOAT32, FLOAT64 } from "../tolerance.js";
import type { Unit } from "../unit.js";
import { claimFiles, type Family } from "./family.js";

const FILE = "normalize.safetensors";
const INDEX = "normalize.json";
const STATS = "norm_stats_example.json";

export const normalizeFamily: Family = {
  name: "normalize",
  claim: claimFiles([FILE, INDEX, STATS]),
  async verify(unit) {
    unit.used(INDEX, "versions", "zscore_roundtrip_max_abs", "quantile_roundtrip_max_abs");
    for (const sequence of sequences(unit)) putSequence(unit, sequence);
    if (!unit.has(STATS)) {
      for (const name of unit.tensors(FILE).keys()) {
        if (name.startsWith("apply/")) unit.skip(FILE, name, `needs ${STATS}, which is not there`);
      }
      return;
    }
    const stats = parseNormStats(JSON.stringify(unit.json(STATS)), STATS);
    unit.putText(STATS, serializeNormStats(stats));
    const first = stats["state"] ?? Object.values(stats)[0]!;
    putApplied(unit, first);
    if (unit.has(INDEX)) putBehaviour(unit, first);
  },
};

/** Names that have batches. */
function sequences(unit: Unit): string[] {
  const names = [...unit.tensors(FILE).keys()].flatMap((n) => /^(.*)\/batch0$/.exec(n)?.[1] ?? []);
  return names.sort();
}

function putSequence(unit: Unit, sequence: string): void {
  const tensors = unit.tensors(FILE);
  const stats = createRunningStats({ upstream: true });
  const float32 = tensors.get(`${sequence}/batch0`)!.dtype === "F32";
  const tolerance = float32 ? FLOAT32 : FLOAT64;
  for (let i = 0; ; i++) {
    const batch = tensors.get(`${sequence}/batch${i}`);
    if (!batch) break;
    unit.used(FILE, `${sequence}/batch${i}`);
    updateRunningStats(stats, batch);
    const step = ["steps", String(i)];
    const at = (key: string) => [sequence, ...step, key];
    const group = { group: `normalize/${sequence}/steps/*` };
    unit.putValue(INDEX, at("count"), stats.count, EXACT, group);
    unit.putValue(INDEX, at("min"), [...stats.min], EXACT, group);
    unit.putValue(INDEX, at("max"), [...stats.max], EXACT, group);
    if (stats.count < 2) continue;
    const found = getStatistics(stats);
    for (const field of ["mean", "std", "q01", "q99"] as const) {
      const data =
        float32 && (field === "mean" || field === "std") ? Float32Array.from(found[field]!) : found[field]!;
      unit.put(FILE, `${sequence}/after${i}/${field}`, { data, shape: [data.length] }, tolerance, {
        group: `normalize/${sequence}/after*/*`,
      });
    }
  }
  unit.putValue(INDEX, [sequence, "count"], stats.count, EXACT);
  const totals = stats.histograms.map((h) => h.reduce((a, b) => a + b));
  unit.putValue(INDEX, [sequence, "hist_total"], totals, EXACT);
  for (const [d, histogram] of stats.histograms.entries()) {
    const bins = Int32Array.from(histogram.keys()).filter((i) => histogram[i]! > 0);
    const values = Float64Array.from(bins, (i) => histogram[i]!);
    const group = { group: `normalize/${sequence}/final_hist_nonzero_*/*` };
    unit.put(
      FILE,
      `${sequence}/final_hist_nonzero_idx/${d}`,
      { data: bins, shape: [bins.length] },
      EXACT,
      group,
    );
    unit.put(
      FILE,
      `${sequence}/final_hist_nonzero_val/${d}`,
      { data: values, shape: [bins.length] },
      EXACT,
      group,
    );
  }
}

function putApplied(unit: Unit, stats: NormStats): void {
  for (const [name, x] of unit.tensors(FILE)) {
    const [, mode, input] = /^apply\/(zscore|quantile)\/.*\/(in|unnorm_in)$/.exec(name) ?? [];
    if (!mode) continue;
    unit.used(FILE, name);
    const forward = input === "in";
    const transform = (forward ? normalize : unnormalize)(
      { x: stats },
      { useQuantiles: mode === "quantile" },
    );
    const target = name.slice(0, -input!.length) + (forward ? "normalized" : "unnormalized");
    unit.put(FILE, target, transform({ x })["x"] as NdArray, { ...FLOAT64, scale: "element" });
  }
}

/** What happens to float32 data and to samples that do not fit. */
function putBehaviour(unit: Unit, stats: NormStats): void {
  const single: Sample = { x: { data: new Float32Array(stats.mean.length), shape: [stats.mean.length] } };
  for (const [mode, useQuantiles] of [
    ["zscore", false],
    ["quantile", true],
  ] as const) {
    const { data } = normalize({ x: stats }, { useQuantiles })(single)["x"] as NdArray;
    const dtype = data instanceof Float64Array ? "float64" : "float32";
    unit.putValue(INDEX, [`${mode}_float32_input_gives_dtype`], dtype, EXACT);
  }
  const narrow: Sample = { x: { data: new Float64Array(1), shape: [1] } };
  const other: Sample = { y: { data: new Float64Array(1), shape: [1] } };
  const found = {
    unnormalize_quantile_fewer_dims: outcome(() => unnormalize({ x: stats }, { useQuantiles: true })(narrow)),
    unnormalize_missing_key_is_strict: outcome(() => unnormalize({ x: stats })(other)),
    normalize_missing_key_not_strict: outcome(() => normalize({ x: stats })(other)),
    stats_of_nothing: outcome(() => getStatistics(createRunningStats({ upstream: true }))),
  };
  for (const [key, value] of Object.entries(found)) unit.putValue(INDEX, ["errors", key], value, EXACT);
}

/** `ValueError`, Python's name for what is refused here, or `ignored`. */
function outcome(action: () => unknown): string {
  try {
    action();
    return "ignored";
  } catch (error) {
    if (error instanceof InsulaError) return "ValueError";
    throw error;
  }
}
