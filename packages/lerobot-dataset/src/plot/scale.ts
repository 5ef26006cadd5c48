/** @file Axes: ranges that end at round numbers, ticks between, and points to draw. */

/** Ticks at multiples of 1, 2 or 5 times a power of ten. */
export interface Axis {
  readonly low: number;
  readonly high: number;
  readonly ticks: readonly number[];
  /** A tick as text, all with the same decimals. */
  format(tick: number): string;
}

/** An axis for values of `[low, high]` with about `count` ticks. `exact`: end where the values end. */
export function axis(low: number, high: number, count: number, exact = false): Axis {
  // A constant still needs some height.
  const pad = high > low ? 0 : Math.max(Math.abs(low) * 0.1, 0.5);
  const [from, to] = [low - pad, high + pad];
  const rough = (to - from) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((s) => s >= rough * 0.999) ?? rough;
  const first = exact ? Math.ceil(from / step - 1e-9) : Math.floor(from / step + 1e-9);
  const last = exact ? Math.floor(to / step + 1e-9) : Math.ceil(to / step - 1e-9);
  const ticks = Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
  const decimals = Math.min(12, Math.max(0, -Math.floor(Math.log10(step) + 1e-9)));
  const tiny = step < 1e-9 || step >= 1e9;
  return {
    low: exact ? from : first * step,
    high: exact ? to : last * step,
    ticks,
    format: (tick) =>
      tiny ? tick.toExponential(1) : (tick === 0 ? 0 : tick).toFixed(decimals).replace("-", "−"),
  };
}

/** A point of a line, in the units of the data. */
export type Point = readonly [x: number, y: number];

/**
 * The points to draw of `values` at `times`: all of them up to `2 * columns`; beyond, the least and greatest of each
 * of `columns` stretches, so that no spike is lost.
 */
export function linePoints(times: ArrayLike<number>, values: ArrayLike<number>, columns: number): Point[] {
  const { length } = values;
  if (length <= 2 * columns) return Array.from(values, (value, i): Point => [times[i]!, value]);
  return Array.from({ length: columns }, (_, c): Point[] => {
    const [begin, end] = [Math.floor((c * length) / columns), Math.floor(((c + 1) * length) / columns)];
    let [least, greatest] = [begin, begin];
    for (let i = begin; i < end; i++) {
      if (values[i]! < values[least]!) least = i;
      if (values[i]! > values[greatest]!) greatest = i;
    }
    return [Math.min(least, greatest), Math.max(least, greatest)].map((i): Point => [times[i]!, values[i]!]);
  }).flat();
}
