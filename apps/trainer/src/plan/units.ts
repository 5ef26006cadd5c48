/** @file Numbers as the plan shows them, and sizes as the command line takes them. */
import { InvalidArgumentError } from "commander";

/** `0.62 M`, `3.35 G`. */
export function count(n: number): string {
  if (n >= 1e9) return `${(n / 1e9).toFixed(2)} G`;
  return n >= 1e4 ? `${(n / 1e6).toFixed(2)} M` : String(n);
}

/** Decimal gigabytes, `0.62 GB`. */
export function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(bytes < 1e10 ? 2 : 1)} GB`;
}

/** As {@link gigabytes}, in megabytes below a tenth of one: `1.65 MB`. */
export function bytes(n: number): string {
  return n < 1e8 ? `${(n / 1e6).toFixed(n < 1e7 ? 2 : 1)} MB` : gigabytes(n);
}

/** Operations: `88.2 TFLOP`, `0.31 TFLOP`, `4.2 GFLOP`. */
export function operations(n: number): string {
  return n >= 1e11 ? `${(n / 1e12).toFixed(n < 1e13 ? 2 : 1)} TFLOP` : `${(n / 1e9).toFixed(1)} GFLOP`;
}

const UNITS: Readonly<Record<string, number>> = { MB: 1e6, GB: 1e9, TB: 1e12, MiB: 2 ** 20, GiB: 2 ** 30 };

/** Parse `80GB`, `24 GiB` or a number of bytes. */
export function byteCount(text: string): number {
  const [, digits, unit] = /^\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)?\s*$/.exec(text) ?? [];
  const name = Object.keys(UNITS).find((u) => u.toLowerCase() === unit?.toLowerCase());
  const value = Number(digits) * (unit === undefined ? 1 : name === undefined ? Number.NaN : UNITS[name]!);
  if (!(value > 0)) throw new InvalidArgumentError("Expected a size, for example 80GB or 24GiB.");
  return value;
}
