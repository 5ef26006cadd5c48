/**
 * @file What a verification found, as records, as a table and as JSON. Items of one kind (the tokens of 200
 * chunks) share a group: the table shows a group as one line, but a failing item always as its own.
 */
import { table } from "../table.js";

/** One golden tensor or value and how far the computed one is from it. */
export interface ItemRecord {
  /** Name of the golden folder. */
  golden: string;
  /** `<file without extension>/<tensor or key>`. */
  item: string;
  maxAbs: number;
  maxRel: number;
  tolerance: string;
  ok: boolean;
  /** Items with the same group are one line of the table. */
  group?: string;
  /** What is wrong, where numbers do not say it. */
  note?: string;
}

/** Something in a golden folder that was not compared. */
export interface NotChecked {
  golden: string;
  /** Path in the folder. */
  file: string;
  /** Tensor or key; the whole file when absent. */
  name?: string;
  reason: string;
}

/** Everything a run found. */
export interface Findings {
  items: ItemRecord[];
  notChecked: NotChecked[];
  /** Values for which the golden folder has nothing to compare with. */
  computedOnly: number;
}

export interface Report {
  ok: boolean;
  /** Why nothing, or not what was asked for, could be verified. */
  error?: string;
  seconds: number;
  counts: { items: number; ok: number; failed: number; notChecked: number };
  computedOnly: number;
  items: ItemRecord[];
  notChecked: NotChecked[];
}

/** Count. */
export function makeReport(
  { items, notChecked, computedOnly }: Findings,
  seconds: number,
  error?: string,
): Report {
  const failed = items.filter((r) => !r.ok).length;
  return {
    ok: failed === 0 && error === undefined,
    ...(error === undefined ? {} : { error }),
    seconds,
    counts: { items: items.length, ok: items.length - failed, failed, notChecked: notChecked.length },
    computedOnly,
    items,
    notChecked,
  };
}

/** The table item · max abs · max rel · tolerance · ok, what was not checked, and a summary line. */
export function reportText(report: Report): string {
  const several = new Set([...report.items, ...report.notChecked].map((r) => r.golden)).size > 1;
  const prefix = (r: { golden: string }) => (several ? `${r.golden}: ` : "");
  const rows = lines(report.items).map((r) => [
    prefix(r) + r.item,
    number(r.maxAbs),
    number(r.maxRel),
    r.tolerance,
    r.ok ? "ok" : "FAIL",
    r.note ?? "",
  ]);
  const parts = rows.length > 0 ? [table(["item", "max abs", "max rel", "tolerance", "ok", ""], rows)] : [];
  if (report.notChecked.length > 0) {
    const listed = report.notChecked.map((n) => [prefix(n) + n.file, n.name ?? "", n.reason]);
    parts.push(table(["not checked", "", "reason"], listed));
  }
  const { items, failed, notChecked } = report.counts;
  parts.push(
    `${items} items compared, ${failed} failed; ${notChecked} not checked` +
      `${report.computedOnly ? `; ${report.computedOnly} computed without a golden` : ""}` +
      `; ${report.seconds.toFixed(1)} s`,
  );
  const broken = report.items.filter((r) => !r.ok);
  if (broken.length > 0) parts.push(`failed: ${broken.map((r) => prefix(r) + r.item).join(", ")}`);
  if (report.error !== undefined) parts.push(`error: ${report.error}`);
  return parts.join("\n\n");
}

/** Groups folded to their worst, in the order of their first item; failures stand alone. */
function lines(records: readonly ItemRecord[]): ItemRecord[] {
  const out: ItemRecord[] = [];
  const groups = new Map<string, { line: ItemRecord; count: number }>();
  for (const record of records) {
    const key =
      record.group && record.ok ? `${record.golden}\n${record.group}\n${record.tolerance}` : undefined;
    const known = key === undefined ? undefined : groups.get(key);
    if (known) {
      known.count++;
      known.line.maxAbs = Math.max(known.line.maxAbs, record.maxAbs);
      known.line.maxRel = Math.max(known.line.maxRel, record.maxRel);
      known.line.item = `${record.group} (${known.count})`;
      continue;
    }
    const line = { ...record };
    if (key !== undefined) {
      line.item = `${record.group} (1)`;
      groups.set(key, { line, count: 1 });
    }
    out.push(line);
  }
  return out;
}

function number(x: number): string {
  if (x === 0) return "0";
  return Number.isFinite(x) ? x.toExponential(1) : String(x);
}

/** The report as JSON; what JSON has no number for (NaN, infinity) becomes a string. */
export function reportJson(report: Report): string {
  return JSON.stringify(
    report,
    (_, value) => (typeof value === "number" && !Number.isFinite(value) ? String(value) : value),
    2,
  );
}
