/**
 * @file Jumps: steps of an action far beyond what is usual for that dimension, and large against its range. The
 * usual is robust: the median of the steps that are not zero, so that a gripper which mostly rests is not judged by
 * its rest; the range keeps the tiny steps of a joint that hardly moves out.
 */

/** Bins per octave of step size. */
const PER_OCTAVE = 16;
const OCTAVES = 128;
/** Steps that a median needs. */
const ENOUGH = 20;
/** A normal distribution's standard deviation over the median of its absolute values. */
const DEVIATIONS_PER_MEDIAN = 1 / 0.6744897501960817;

/** A jump crosses this part of the dimension's range. */
const RANGE_PART = 1 / 4;

/** The steps of one dimension: their sizes as counts, and where they lead. */
export interface StepSizes {
  add(from: number, to: number): void;
  /** One robust deviation; undefined while too few steps are known. */
  deviation(): number | undefined;
  /** Steps up to this size are never jumps. */
  smallest(): number;
}

/** A logarithmic histogram: 6 % resolution, whatever the unit. */
export function stepSizes(): StepSizes {
  const counts = new Uint32Array(PER_OCTAVE * OCTAVES);
  let total = 0;
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  return {
    smallest: () => RANGE_PART * (high - low),
    add(from, to) {
      [low, high] = [Math.min(low, from, to), Math.max(high, from, to)];
      const step = Math.abs(to - from);
      if (!(step > 0) || !Number.isFinite(step)) return;
      const bin = Math.floor(PER_OCTAVE * (Math.log2(step) + OCTAVES / 2));
      counts[Math.min(Math.max(bin, 0), counts.length - 1)]!++;
      total++;
    },
    deviation() {
      if (total < ENOUGH) return undefined;
      let bin = 0;
      for (let seen = counts[0]!; seen * 2 < total; seen += counts[bin]!) bin++;
      return 2 ** ((bin + 0.5) / PER_OCTAVE - OCTAVES / 2) * DEVIATIONS_PER_MEDIAN;
    },
  };
}

/** Whether a feature is a command: `action`, `actions`, `action.…`. */
export function isAction(name: string): boolean {
  return /^actions?(\.|$)/.test(name);
}
