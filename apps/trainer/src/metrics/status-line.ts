/**
 * @file The live line at the bottom of a terminal: progress, losses, speed, time to go. {@link statusLine} is a pure
 * function of what is known; ./live-output.ts puts it on the screen.
 */
import { duration } from "./console.js";
import type { MetricsRow } from "./row.js";

/** What the line shows. */
export interface Status {
  /** Optimizer steps taken, and to take. */
  step: number;
  totalSteps: number;
  /** What is going on besides steps: `validating`, `saving`. */
  activity?: string;
  /** Smoothed; absent before the first step. */
  rates?: Rates;
  /** Wall time per step, for the time to go; absent before the first step. */
  wallMs?: number;
}

/** Means over the latest steps. */
export interface Rates {
  total: number;
  fastLoss?: number;
  actionLoss?: number;
  samplesPerS: number;
  /** Share of the time that was spent waiting for data. */
  dataShare: number;
}

/** How much of the old mean stays with every step: about the last ten count. */
const KEEP = 0.9;

/** The means after one more step. */
export function nextRates(before: Rates | undefined, row: MetricsRow): Rates {
  const now: Rates = {
    total: row.total,
    ...(row.fast_loss === undefined ? {} : { fastLoss: row.fast_loss }),
    ...(row.action_loss === undefined ? {} : { actionLoss: row.action_loss }),
    samplesPerS: row.samples_per_s,
    dataShare: row.step_ms > 0 ? row.data_ms / row.step_ms : 0,
  };
  if (!before || row.skipped) return before ?? now;
  const mixed = Object.entries(now).map(([key, value]) => {
    const old = before[key as keyof Rates];
    // A loss that was not finite must not stay for ever.
    return [key, Number.isFinite(old) ? KEEP * old! + (1 - KEEP) * value : value];
  });
  return Object.fromEntries(mixed) as unknown as Rates;
}

/** Narrower than this nothing is worth showing but the steps. */
const [BAR_MIN, BAR_MAX] = [8, 30];

/**
 * The line for a terminal `columns` wide, never longer: what matters least is left out first, and the bar takes what
 * is left. No control characters.
 */
export function statusLine(status: Status, columns: number): string {
  const { step, totalSteps, activity, rates, wallMs } = status;
  const share = totalSteps > 0 ? Math.min(1, step / totalSteps) : 1;
  const width = String(totalSteps).length;
  const head = [
    `${String(Math.floor(100 * share)).padStart(3)}%`,
    `${String(step).padStart(width)}/${totalSteps}`,
  ];
  const left = wallMs === undefined ? "ETA …" : `ETA ${duration(((totalSteps - step) * wallMs) / 1000)}`;
  // In the order in which they are given up, last first.
  const parts = [...(activity ? [activity] : []), left, ...(rates ? rateParts(rates) : [])];
  const line = (n: number) => [...head, ...parts.slice(0, n)].join("  ");
  let shown = parts.length;
  while (shown > 0 && line(shown).length > columns) shown--;
  const text = line(shown);
  const room = columns - text.length - 2;
  if (room < BAR_MIN) return text.slice(0, Math.max(0, columns));
  return `${bar(share, Math.min(room, BAR_MAX))}  ${text}`;
}

function rateParts({ total, fastLoss, actionLoss, samplesPerS, dataShare }: Rates): string[] {
  const both = fastLoss !== undefined && actionLoss !== undefined;
  return [
    both ? `fast ${fastLoss.toFixed(3)} action ${actionLoss.toFixed(3)}` : `loss ${total.toFixed(3)}`,
    `${samplesPerS.toPrecision(3)} samples/s`,
    `data ${Math.round(100 * dataShare)}%`,
  ];
}

/** Whole cells, then one of eight parts of a cell, then dots. */
function bar(share: number, width: number): string {
  const eighths = Math.round(8 * share * width);
  const whole = Math.floor(eighths / 8);
  const part = eighths % 8 === 0 ? "" : PARTS[(eighths % 8) - 1]!;
  return `${"█".repeat(whole)}${part}`.padEnd(width, "·");
}

const PARTS = "▏▎▍▌▋▊▉";
