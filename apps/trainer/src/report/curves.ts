/** @file Training and validation over the steps. */
import { smoothed } from "../metrics/curves.js";
import type { MetricsRow, ValidationRow } from "../metrics/row.js";
import { chart, type Series } from "./chart.js";
import { type Html, html } from "./html.js";
import type { RunFacts } from "./read-run.js";

type Pick<Row> = (row: Row) => number | null | undefined;

export function curves({ rows, validations }: RunFacts): Html | undefined {
  if (rows.length === 0) return undefined;
  const raw = (label: string, color: string, pick: Pick<MetricsRow>): Series => ({
    label,
    color,
    points: points(rows, pick),
  });
  const trained = (color: string, pick: Pick<MetricsRow>): Series[] => {
    const all = points(rows, pick);
    const smooth = smoothed(all.map(([, y]) => y));
    return [
      { label: "each step", color, look: "faint", points: all },
      { label: "training, smoothed", color, look: "line", points: all.map(([x], i) => [x, smooth[i]!]) },
    ];
  };
  const heldOut = (pick: Pick<ValidationRow>): Series => ({
    label: "held out",
    color: "held",
    look: "dots",
    points: points(validations, pick),
  });
  const fastLoss = (row: MetricsRow) => row.fast_loss;
  const charts = [
    chart({
      title: "FAST token loss, nats per token",
      series: [...trained("fast", fastLoss), heldOut((row) => row.val_fast_loss)],
    }),
    chart({
      title: "Action loss (flow matching)",
      series: [...trained("action", (row) => row.action_loss), heldOut((row) => row.val_action_loss)],
    }),
    chart({
      title: "FAST token accuracy",
      series: [...trained("fast", (row) => row.fast_accuracy), heldOut((row) => row.val_fast_accuracy)],
      include: [0],
    }),
    chart({
      title: "Sampled-action error, relative to the mean action's",
      series: [
        heldOut((row) => row.val_action_error),
        {
          label: "mean action",
          color: "muted",
          look: "dashed",
          points: validations.length > 0 ? ends(validations).map((x) => [x, 1] as const) : [],
        },
      ],
      include: [0, 1],
    }),
    chart({
      title: "Gradient norm, before clipping",
      series: [
        raw("VLM", "fast", (row) => row.grad_norm_vlm),
        raw("action expert", "action", (row) => row.grad_norm_expert),
      ],
      include: [0],
    }),
    chart({
      title: "Learning rate",
      series: [raw("learning rate", "muted", (row) => row.lr)],
      include: [0],
      legend: false,
    }),
    chart({
      title: "Samples per second",
      series: trained("muted", (row) => row.samples_per_s),
      include: [0],
      legend: false,
    }),
    chart({
      title: "Share of a step spent waiting for data",
      series: trained("muted", (row) => (row.step_ms > 0 ? row.data_ms / row.step_ms : undefined)),
      include: [0, 1],
      legend: false,
    }),
  ];
  return html`<section id="curves"><h2>Curves</h2><div class="grid2">${charts}</div></section>`;
}

function points<Row extends { step: number }>(rows: readonly Row[], pick: Pick<Row>): [number, number][] {
  return rows.flatMap((row) => {
    const y = pick(row);
    return typeof y === "number" && Number.isFinite(y) ? [[row.step, y] as [number, number]] : [];
  });
}

/** First and last step; the same twice makes no line. */
function ends(rows: readonly { step: number }[]): number[] {
  return [...new Set([rows[0]!.step, rows.at(-1)!.step])];
}
