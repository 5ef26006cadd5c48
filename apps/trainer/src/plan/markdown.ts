/** @file The tables of docs/scaling.md. `insula plan --markdown` prints them; a test compares. */
import { getConfig } from "../configs/registry.js";
import { resolveConfig } from "../configs/resolve.js";
import { type Alternative, PROCESSORS, predictedSeconds, tabulate } from "./scaling.js";
import { gigabytes, operations } from "./units.js";

/** All generated tables, one text. */
export function scalingTables(): string {
  const config = resolveConfig(getConfig("pi05_droid_ki"), { size: "full" });
  const rows = tabulate(config, { buckets: false });
  const averaged = rows.filter((r) => r.emaDecay !== null);
  const [{ plan }] = rows as [Alternative];
  const state = [
    ["parameters", plan.bytes.parameters],
    ["gradients", plan.bytes.gradients],
    ["moments", plan.bytes.moments],
    ["average (EMA)", averaged[0]!.plan.bytes.ema],
    ["constants of the graphs", plan.bytes.constants],
    ["optimizer step", plan.bytes.optimizer],
  ] as const;
  return [
    "### State",
    grid(
      ["", "memory"],
      state.map(([name, bytes]) => [name, gigabytes(bytes)]),
    ),
    "### Activations and operations of one step",
    grid(
      ["batch", "kept", "rematerialised", "operations", "rematerialised"],
      pairs(averaged).map(([kept, again]) => [
        String(kept.batchSize),
        gigabytes(kept.plan.bytes.activations),
        gigabytes(again.plan.bytes.activations),
        operations(kept.plan.flops),
        operations(again.plan.flops),
      ]),
    ),
    "### What fits",
    grid(
      ["memory", "as openpi trains it", "rematerialised", "rematerialised, without average"],
      PROCESSORS.map(({ name, memory }) => [
        name,
        largest(rows, memory, false, true),
        largest(rows, memory, true, true),
        largest(rows, memory, true, false),
      ]),
    ),
    "### Predicted time of a step",
    grid(
      ["batch", "rematerialised", ...PROCESSORS.map((p) => p.name)],
      averaged.map((row) => [
        String(row.batchSize),
        row.rematerialize ? "yes" : "no",
        ...PROCESSORS.map((p) =>
          row.need > p.memory ? "–" : `${predictedSeconds(row.plan, p).toFixed(2)} s`,
        ),
      ]),
    ),
  ].join("\n\n");
}

/** Rows of one batch size: kept, rematerialised. */
function pairs(rows: readonly Alternative[]): [Alternative, Alternative][] {
  return rows
    .filter((r) => !r.rematerialize)
    .map((r) => [r, rows.find((s) => s.rematerialize && s.batchSize === r.batchSize)!]);
}

function largest(
  rows: readonly Alternative[],
  memory: number,
  rematerialize: boolean,
  average: boolean,
): string {
  const fitting = rows.filter(
    (r) => r.rematerialize === rematerialize && (r.emaDecay !== null) === average && r.need <= memory,
  );
  return fitting.length === 0 ? "nothing" : `batch ${Math.max(...fitting.map((r) => r.batchSize))}`;
}

/** A Markdown table, padded as Prettier pads it. */
function grid(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((h, i) => Math.max(3, h.length, ...rows.map((r) => r[i]!.length)));
  const line = (cells: readonly string[]) => `| ${cells.map((c, i) => c.padEnd(widths[i]!)).join(" | ")} |`;
  return [line(head), line(widths.map((w) => "-".repeat(w))), ...rows.map(line)].join("\n");
}
