/**
 * @file The one numeric matcher: every element within `atol + rtol · scale`, where scale is the largest
 * magnitude of the expected tensor (`scale: "max"`, as the tolerances against the reference are stated) or the element's
 * own (`scale: "element"`). A failure shows the worst element of both.
 */
export interface Tolerance {
  rtol?: number;
  atol?: number;
  scale?: "max" | "element";
}

export interface Comparison {
  ok: boolean;
  maxAbs: number;
  maxRel: number;
  worst: number;
}

/** Compare elementwise. NaN equals NaN only. */
export function compare(
  actual: ArrayLike<number | bigint>,
  expected: ArrayLike<number | bigint>,
  tolerance: Tolerance = {},
): Comparison {
  const { rtol = 0, atol = 0, scale = "max" } = tolerance;
  let max = 0;
  for (let i = 0; i < expected.length; i++) max = Math.max(max, Math.abs(Number(expected[i])));
  let ok = actual.length === expected.length;
  let maxAbs = 0;
  let maxRel = 0;
  let worst = -1;
  for (let i = 0; i < expected.length; i++) {
    const a = Number(actual[i]);
    const e = Number(expected[i]);
    if (Object.is(a, e) || a === e || (Number.isNaN(a) && Number.isNaN(e))) continue;
    const difference = Math.abs(a - e);
    const reference = scale === "max" ? max : Math.abs(e);
    if (!(difference <= atol + rtol * reference)) ok = false;
    if (!(difference <= maxAbs)) [maxAbs, worst] = [difference, i];
    maxRel = Math.max(maxRel, difference / (reference || 1));
  }
  return { ok, maxAbs, maxRel, worst };
}
