/** @file The line that a person reads: means since the last line, rate and time to go. */
import type { MetricsRow } from "./row.js";

/**
 * One console line for the rows since the last one. Losses and norms are means over them, as openpi logs, but for
 * steps that changed nothing; the learning rate is the last one's.
 * @param wallMs wall time per step, for the time to go.
 */
export function consoleLine(rows: readonly MetricsRow[], totalSteps: number, wallMs: number): string {
  const last = rows.at(-1)!;
  const taken = rows.filter((row) => !row.skipped);
  const mean = (pick: (row: MetricsRow) => number | undefined) => {
    const values = (taken.length > 0 ? taken : rows).map(pick).filter((v) => v !== undefined);
    return values.length ? values.reduce((a, b) => a + b, 0) / values.length : undefined;
  };
  const width = String(totalSteps).length;
  const parts: (string | undefined)[] = [
    `step ${String(last.step).padStart(width)}/${totalSteps}`,
    field(
      "total",
      mean((r) => r.total),
      loss,
    ),
    field(
      "fast_loss",
      mean((r) => r.fast_loss),
      loss,
    ),
    field(
      "action_loss",
      mean((r) => r.action_loss),
      loss,
    ),
    field(
      "fast_acc",
      mean((r) => r.fast_accuracy),
      (v) => `${(100 * v).toFixed(1)}%`,
    ),
    field(
      "grad",
      mean((r) => r.grad_norm),
      short,
    ),
    field(
      "vlm",
      mean((r) => r.grad_norm_vlm),
      short,
    ),
    field(
      "expert",
      mean((r) => r.grad_norm_expert),
      short,
    ),
    field("lr", last.lr, (v) => v.toExponential(2)),
    `${short(mean((r) => r.samples_per_s)!)} samples/s`,
    `ETA ${duration(((totalSteps - last.step) * wallMs) / 1000)}`,
  ];
  return parts.filter((p) => p !== undefined).join("  ");
}

/** `1h02m`, `3m05s`, `12s`. */
export function duration(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  const two = (n: number) => String(n).padStart(2, "0");
  if (s >= 3600) return `${Math.floor(s / 3600)}h${two(Math.floor((s % 3600) / 60))}m`;
  return s >= 60 ? `${Math.floor(s / 60)}m${two(s % 60)}s` : `${s}s`;
}

const field = (name: string, value: number | undefined, format: (v: number) => string) =>
  value === undefined ? undefined : `${name} ${format(value)}`;
const loss = (v: number) => v.toFixed(4);
const short = (v: number) =>
  v !== 0 && (Math.abs(v) < 0.01 || Math.abs(v) >= 1e5) ? v.toExponential(1) : v.toPrecision(3);
