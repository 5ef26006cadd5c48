/**
 * @file The tolerances of the project's numeric contract, and the one comparison that uses them. They are
 * chosen so that the smallest typical mistake (a loss moved by 1.2e-4) cannot pass.
 */

/** `|actual - expected| ≤ max(atol, rtol · scale)`, scale being the tensor's largest magnitude or the element's own. */
export interface Tolerance {
  rtol?: number;
  atol?: number;
  scale?: "max" | "element";
  /** How reports write it, where that says more than the numbers. */
  label?: string;
}

/** Tokens, ids, masks, positions, strings, uint8 pixels. */
export const EXACT: Tolerance = {};
/** DCT and normalisation in float64. */
export const FLOAT64: Tolerance = { rtol: 1e-12 };
/** The same in float32; learning rates and parameter norms. */
export const FLOAT32: Tolerance = { rtol: 1e-6 };
/** Inner values of a model, valid rows only, and sampled actions. */
export const ACTIVATION: Tolerance = { rtol: 1e-4 };
/** Losses; per-example and per-step ones relative to the largest of them. */
export const LOSS: Tolerance = { rtol: 2e-5 };
/** Gradients, relative to the tensor's largest, with a floor for tensors that are zero in theory. */
export const GRADIENT: Tolerance = { rtol: 1e-4, atol: 1e-6 };
/** Norms of gradients and of updates. */
export const GRADIENT_NORM: Tolerance = { rtol: 1e-4 };
/** Parameters after AdamW steps, where the gradient is more than float noise ({@link GRADIENT_NOISE}). */
export const PARAMETER: Tolerance = { atol: 1e-6 };

/** Whose tolerances: the contract's own, measured on CPUs, or those for a GPU. */
export const TOLERANCE_SETS = ["cpu", "cuda"] as const;
export type ToleranceSet = (typeof TOLERANCE_SETS)[number];

/**
 * On a GPU, float32 matrix products (TF32 off) add in another order and in more partial sums than the reference did
 * on a CPU, and exp, sin and cos differ in their last bits. Losses still stay below the smallest typical mistake.
 */
const CUDA: ReadonlyMap<Tolerance, Tolerance> = new Map([
  [ACTIVATION, { rtol: 5e-4 }],
  [LOSS, { rtol: 5e-5 }],
  [GRADIENT, { rtol: 5e-4, atol: 5e-6 }],
  [GRADIENT_NORM, { rtol: 2e-4 }],
  [PARAMETER, { atol: 5e-6 }],
]);

/** A tolerance of the contract in another set; what is computed on the host keeps its own. */
export function toleranceIn(set: ToleranceSet, tolerance: Tolerance): Tolerance {
  return set === "cuda" ? (CUDA.get(tolerance) ?? tolerance) : tolerance;
}

/** Below this, Adam divides noise by itself: such parameters are not compared. */
export const GRADIENT_NOISE = 1e-5;
/** A quantised coefficient may differ only where the unrounded one lies this near to a tie. */
export const TIE_DISTANCE = 1e-6;

/** What a comparison found. */
export interface Comparison {
  ok: boolean;
  /** Largest absolute difference. */
  maxAbs: number;
  /** Largest difference relative to the tolerance's scale, those below its floor left out. */
  maxRel: number;
  /** Element with the largest difference; -1 when all are equal. */
  worst: number;
}

type Numbers = ArrayLike<number | bigint>;

/**
 * Compare elementwise. NaN equals NaN only.
 * @param rows one flag per row of `actual.length / rows.length` elements; rows with 0 are left out.
 */
export function compare(
  actual: Numbers,
  expected: Numbers,
  tolerance: Tolerance,
  rows?: ArrayLike<number>,
): Comparison {
  const { rtol = 0, atol = 0, scale = "max" } = tolerance;
  const rowSize = rows ? expected.length / rows.length : 1;
  const counts = (i: number) => rows?.[Math.floor(i / rowSize)] !== 0;
  let largest = 0;
  for (let i = 0; i < expected.length; i++) {
    const magnitude = Math.abs(Number(expected[i]));
    if (magnitude > largest && counts(i)) largest = magnitude;
  }
  const found: Comparison = { ok: actual.length === expected.length, maxAbs: 0, maxRel: 0, worst: -1 };
  for (let i = 0; i < expected.length; i++) {
    const a = Number(actual[i]);
    const e = Number(expected[i]);
    if (a === e || (Number.isNaN(a) && Number.isNaN(e)) || !counts(i)) continue;
    const difference = Math.abs(a - e);
    const reference = scale === "max" ? largest : Math.abs(e);
    if (!(difference <= Math.max(atol, rtol * reference))) found.ok = false;
    if (!(difference <= found.maxAbs)) [found.maxAbs, found.worst] = [difference, i];
    // Below a floor the relative figure says nothing.
    if (rtol > 0 && difference <= atol) continue;
    const relative = reference > 0 ? difference / reference : Number.POSITIVE_INFINITY;
    if (!(relative <= found.maxRel)) found.maxRel = relative;
  }
  return found;
}

/** `exact`, `2e-5 rel`, `1e-4 of max, at least 1e-6 abs`. */
export function toleranceText({ rtol, atol, scale = "max", label }: Tolerance): string {
  if (label !== undefined) return label;
  const short = (x: number) => x.toExponential().replace("e+", "e");
  const parts = [
    ...(rtol ? [`${short(rtol)} ${scale === "max" ? "of max" : "rel"}`] : []),
    ...(atol ? [`${short(atol)} abs`] : []),
  ];
  return parts.join(", at least ") || "exact";
}
