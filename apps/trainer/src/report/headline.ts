/** @file The first thing one sees: what became of the run. */

import { configModelType } from "@insula/model-types";
import { duration } from "../metrics/console.js";
import { smoothed } from "../metrics/curves.js";
import type { MetricsRow } from "../metrics/row.js";
import { count } from "../plan.js";
import { instant, percent, short, whole } from "./format.js";
import { type Content, type Html, html } from "./html.js";
import type { RunFacts } from "./read-run.js";

/** Whether a run goes on, judged by its last row. */
export type RunState = "finished" | "running" | "stopped" | "not begun";

/** A run is running while its next row is not overdue: twenty steps, and at least two minutes. */
export function runState({ rows, config }: Pick<RunFacts, "rows" | "config">, now: number): RunState {
  const last = rows.at(-1);
  if (!last) return "not begun";
  if (last.step >= config.numTrainSteps) return "finished";
  const patience = Math.max(120, (20 * last.step_ms) / 1000);
  return now - last.time < patience ? "running" : "stopped";
}

export function headline(run: RunFacts, now: number): Html {
  const { rows, config, validations, manifest } = run;
  const modelType = configModelType(config.model);
  const last = rows.at(-1);
  const state = runState(run, now);
  const seconds = rows.reduce((sum, row) => sum + row.step_ms, 0) / 1000;
  const checking = validations.reduce((sum, row) => sum + row.val_ms, 0) / 1000;
  const lastVal = validations.at(-1);
  const best = lastVal?.val_best_step === undefined ? undefined : lastVal;
  const params = manifest ? Object.values(manifest.paramCounts).reduce((a, b) => a + b, 0) : undefined;
  const tiles = [
    tile(
      "Steps",
      `${whole(last?.step ?? 0)} / ${whole(config.numTrainSteps)}`,
      `${config.batchSize} samples each`,
    ),
    ...(rows.some((row) => row.fast_loss !== undefined)
      ? [
          tile(
            "FAST loss",
            short(latest(rows, (row) => row.fast_loss)),
            lastVal?.val_fast_loss === undefined ? "smoothed" : `held out ${short(lastVal.val_fast_loss)}`,
          ),
        ]
      : []),
    ...(rows.some((row) => row.action_loss !== undefined)
      ? [
          tile(
            "Action loss",
            short(latest(rows, (row) => row.action_loss)),
            lastVal?.val_action_loss === undefined
              ? "smoothed"
              : `held out ${short(lastVal.val_action_loss)}`,
          ),
        ]
      : []),
    ...(lastVal?.val_action_error === undefined
      ? []
      : [tile("Action error", percent(lastVal.val_action_error), "of the mean action's, held out")]),
    ...(best
      ? [tile("Best step", whole(best.val_best_step!), `${best.val_metric} ${short(best.val_best)}`)]
      : []),
    tile(
      "Time",
      duration(seconds + checking),
      state === "running"
        ? `about ${duration(remaining(rows, config.numTrainSteps))} to go`
        : checking > 0
          ? `${percent(checking / (seconds + checking))} validating`
          : "steps alone",
    ),
    tile(
      "Throughput",
      seconds > 0 ? short((rows.length * config.batchSize) / seconds, 3) : "–",
      `samples/s, ${percent(rows.reduce((sum, row) => sum + row.data_ms, 0) / 1000 / (seconds || 1))} waiting for data`,
    ),
    ...(params === undefined ? [] : [tile("Parameters", count(params), modelType)]),
  ];
  return html`<header>
<p class="state ${state.replace(" ", "-")}">${STATES[state]}</p>
<h1>${config.name} <small>${run.name}</small></h1>
<p class="sub">${modelType}, size ${config.size}, seed ${config.seed}${last && html`, last step ${instant(last.time)}`}</p>
<div class="tiles">${tiles}</div>
</header>`;
}

const STATES: Readonly<Record<RunState, string>> = {
  finished: "finished",
  running: "running",
  stopped: "stopped before the end",
  "not begun": "no step taken yet",
};

function tile(label: string, value: Content, note: Content): Html {
  return html`<div class="tile"><span>${label}</span><b>${value}</b><em>${note}</em></div>`;
}

/** Seconds that the steps to come take at the speed of the latest ones. */
function remaining(rows: readonly MetricsRow[], steps: number): number {
  const latest = rows.slice(-20);
  const ms = latest.reduce((sum, row) => sum + row.step_ms, 0) / latest.length;
  return ((steps - rows.at(-1)!.step) * ms) / 1000;
}

/** The last smoothed value. */
function latest(
  rows: readonly MetricsRow[],
  pick: (row: MetricsRow) => number | undefined,
): number | undefined {
  const values = rows.map(pick).filter((v): v is number => typeof v === "number" && Number.isFinite(v));
  return smoothed(values).at(-1);
}
