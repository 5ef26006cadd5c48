/** @file Numbers and times as the report shows them. */

/** Three or four significant digits, `–` for what is missing or not finite. */
export function short(value: number | null | undefined, digits: number = 4): string {
  if (value === undefined || value === null || !Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 1e-3 || size >= 1e6) return value.toExponential(Math.max(0, digits - 2));
  return String(Number(value.toPrecision(digits)));
}

/** `12.3 %` */
export const percent = (share: number | undefined): string =>
  share === undefined || !Number.isFinite(share) ? "–" : `${(100 * share).toFixed(1)} %`;

/** `2026-11-23 00:41 UTC` */
export function instant(secondsSince1970: number): string {
  return `${new Date(1000 * secondsSince1970).toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

/** `4,793` */
export const whole = (value: number): string => value.toLocaleString("en-US");
