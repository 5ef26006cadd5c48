/** @file The tables of docs/scaling.md. `insula plan --markdown` prints them; a test compares. */
import { planMemory } from "@insula/ki-model";
import { GEMMA_VARIANTS } from "@insula/model-types";
import { runArtifactOptions } from "../artifact.js";
import { getConfig } from "../configs/registry.js";
import { resolveConfig } from "../configs/resolve.js";
import type { RunConfig } from "../configs/types.js";
import { memoryNeed } from "./make-plan.js";
import { type Alternative, PROCESSORS, predictedSeconds, TABLE_BATCHES, tabulate } from "./scaling.js";
import { gigabytes, operations } from "./units.js";

/** FAST targets of a sample: chunks of DROID take 20 to 60. */
const LOSS_ROWS = 64;

const { gemma_2b_lora, gemma_300m_lora } = GEMMA_VARIANTS;
const ADAPTERS = { vlm: { lora: gemma_2b_lora.lora }, expert: { lora: gemma_300m_lora.lora } };

const VARIANTS = [
  { name: "float32", computeType: "float32", train: "all", model: {} },
  { name: "bfloat16", computeType: "bfloat16", train: "all", model: {} },
  { name: "bfloat16, LoRA", computeType: "bfloat16", train: "lora", model: ADAPTERS },
  { name: "bfloat16, expert alone", computeType: "bfloat16", train: "expert", model: {} },
] as const;

interface Variant {
  name: string;
  computeType: "float32" | "bfloat16";
  config: RunConfig;
  rows: Alternative[];
}

/** All generated tables, one text. */
export function scalingTables(): string {
  const variants = VARIANTS.map(({ name, ...settings }): Variant => {
    const overrides = { ...settings, device: "cuda", lossRows: LOSS_ROWS };
    const config = resolveConfig(getConfig("pi05_droid_ki"), { size: "full", overrides });
    return { name, computeType: settings.computeType, config, rows: tabulate(config) };
  });
  const names = variants.map((v) => v.name);
  const first = variants.map((v) => v.rows[0]!.plan.bytes);
  const state = (
    [
      ["parameters", "parameters"],
      ["gradients", "gradients"],
      ["moments", "moments"],
      ["ema", "average (EMA)"],
      ["optimizer", "optimizer step"],
    ] as const
  ).map(([key, name]) => [name, ...first.map((bytes) => gigabytes(bytes[key]))]);
  const averaged = variants.map((v) => pairs(v.rows.filter((r) => r.emaDecay !== null)));
  const batches = averaged[0]!.map(([row]) => String(row.batchSize));
  return [
    "### State",
    grid(["", ...names], state),
    "### Activations",
    "Kept and, after the stroke, with every layer rematerialised.",
    grid(
      ["batch", ...names],
      batches.map((batch, i) => [
        batch,
        ...averaged.map((rows) => rows[i]!.map(({ plan }) => gigabytes(plan.bytes.activations)).join(" / ")),
      ]),
    ),
    "### Operations of one step",
    grid(
      ["batch", ...names],
      batches.map((batch, i) => [
        batch,
        ...averaged.map((rows) => rows[i]!.map(({ plan }) => operations(plan.flops)).join(" / ")),
      ]),
    ),
    "### What fits",
    "The largest batch of the table: kept / rematerialised / rematerialised without average.",
    grid(
      ["memory", ...names],
      PROCESSORS.map(({ name, memory }) => [
        name,
        ...variants.map(({ rows }) =>
          [
            largest(rows, memory, false, true),
            largest(rows, memory, true, true),
            largest(rows, memory, true, false),
          ].join(" / "),
        ),
      ]),
    ),
    "### Gradient accumulation",
    "The size of the micro-batches in which a batch of 32 fits, every layer rematerialised: with average / without.",
    grid(
      ["memory", ...names],
      PROCESSORS.map(({ name, memory }) => [
        name,
        ...variants.map((variant) =>
          [true, false].map((ema) => largestMicro(variant, memory, ema)).join(" / "),
        ),
      ]),
    ),
    "### Predicted time of a step",
    "Seconds, every layer rematerialised, with the average where it fits and without it elsewhere.",
    ...PROCESSORS.flatMap((processor) => [
      `#### ${processor.name}`,
      grid(
        ["batch", ...names],
        batches.map((batch) => [
          batch,
          ...variants.map(({ rows, computeType }) => {
            const fits = rows.find(
              (r) => String(r.batchSize) === batch && r.rematerialize === true && r.need <= processor.memory,
            );
            return fits ? predictedSeconds(fits.plan, processor, computeType).toFixed(2) : "–";
          }),
        ]),
      ),
    ]),
  ].join("\n\n");
}

/** Rows of one batch size: kept, rematerialised. */
function pairs(rows: readonly Alternative[]): [Alternative, Alternative][] {
  return rows
    .filter((r) => r.rematerialize === false)
    .map((r) => [r, rows.find((s) => s.rematerialize === true && s.batchSize === r.batchSize)!]);
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
  return fitting.length === 0 ? "–" : String(Math.max(...fitting.map((r) => r.batchSize)));
}

/** The largest micro-batch of the table in which its largest batch fits. */
function largestMicro({ config, rows }: Variant, memory: number, average: boolean): string {
  const batchSize = Math.max(...TABLE_BATCHES);
  const whole = largest(rows, memory, true, average);
  if (whole === "–") return whole;
  for (const micro of TABLE_BATCHES.toReversed()) {
    if (micro > Number(whole)) continue;
    if (micro === batchSize) return String(batchSize);
    const options = { ...runArtifactOptions(config), batchSize, rematerialize: true };
    const plan = planMemory(config.model, { ...options, gradientAccumulation: batchSize / micro });
    if (memoryNeed(plan).totalBytes - (average ? 0 : plan.bytes.ema) <= memory) return String(micro);
  }
  return "–";
}

/** A Markdown table, padded as Prettier pads it. */
function grid(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((h, i) => Math.max(3, h.length, ...rows.map((r) => r[i]!.length)));
  const line = (cells: readonly string[]) => `| ${cells.map((c, i) => c.padEnd(widths[i]!)).join(" | ")} |`;
  return [line(head), line(widths.map((w) => "-".repeat(w))), ...rows.map(line)].join("\n");
}
