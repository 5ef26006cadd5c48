/** @file The data and their normalisation statistics. */
import { findDegenerate, findHeavyTails, type NormStatsMap } from "@insula/transforms";
import type { RunConfig } from "../configs/types.js";
import { robotSpec } from "../data/robots.js";
import { duration } from "../metrics/console.js";
import { short, whole } from "./format.js";
import { type Html, html } from "./html.js";
import type { RunFacts } from "./read-run.js";
import type { RunData } from "./run-data.js";

/** Tasks that are listed; the rest is counted. */
const TASKS = 12;

export function dataSection(run: RunFacts, data: RunData | string): Html {
  return html`<section id="data"><h2>Data</h2>
${typeof data === "string" ? html`<p class="note">The dataset could not be opened: ${data}</p>` : dataset(data, run)}
${run.stats ? statistics(run.stats, run.config) : html`<p class="note">The run's folder has no normalisation statistics.</p>`}
</section>`;
}

function dataset(
  { root, robot, fps, frames, split, lengths, cameras, tasks }: RunData,
  { config }: RunFacts,
): Html {
  const rows: [string, string | Html][] = [
    ["dataset", root],
    ["robot", robot],
    ["frames", `${whole(frames)} at ${fps} fps, ${duration(frames / fps)}`],
    [
      "episodes",
      `${whole(split.train.length)} to train on, ${whole(split.heldOut.length)} held out; ${lengths[0]} to ${lengths[2]} frames, median ${lengths[1]}`,
    ],
    [
      "cameras",
      cameras
        .map(({ name, shape, used }) => `${name} (${shape.join(" × ")}${used ? "" : ", not used"})`)
        .join(", ") || "none",
    ],
    ["augmentation", config.data.augment],
  ];
  const rest = tasks.length - TASKS;
  return html`<table class="facts"><tbody>${rows.map(([name, value]) => html`<tr><th>${name}</th><td>${value}</td></tr>`)}</tbody></table>
<h3>${whole(tasks.length)} ${tasks.length === 1 ? "task" : "tasks"}</h3>
<ul class="tasks">${tasks
    .slice(0, TASKS)
    .map(
      ({ task, frames: n }) =>
        html`<li>${task === "" ? html`<em>empty</em>` : task}<span>${n !== undefined && `${whole(n)} frames`}</span></li>`,
    )}</ul>
${rest > 0 && html`<p class="note">and ${whole(rest)} more</p>`}`;
}

function statistics(stats: NormStatsMap, config: RunConfig): Html {
  const { actionNames } = robotSpec(config.data.robot);
  const names = { actions: actionNames };
  const method = config.data.useQuantileNorm ? ("quantile" as const) : ("zscore" as const);
  // Tails are judged by the extremes, which openpi's files do not have.
  const extremes = Object.fromEntries(
    Object.entries(stats).filter(([, s]) => s.q01 && s.q99 && s.min && s.max),
  );
  const warnings = [...findDegenerate(stats, { names, method }), ...findHeavyTails(extremes, { names })].map(
    ({ message }) => message,
  );
  const all = ["mean", "std", "q01", "q99", "min", "max"] as const;
  const head = all.filter((name) => Object.values(stats).some((s) => s[name]));
  return html`<h3>Normalisation statistics</h3>
<p class="note">${config.data.assetId}, normalised by ${method === "quantile" ? "the 1 % and 99 % quantiles" : "mean and standard deviation"}${config.data.deltaActions ? ", actions relative to the state" : ""}.</p>
${
  warnings.length > 0
    ? html`<ul class="warnings">${warnings.map((message) => html`<li>${message}</li>`)}</ul>`
    : html`<p class="good">${Object.keys(extremes).length > 0 ? "Every dimension has a spread, and none a heavy tail." : "Every dimension has a spread."}</p>`
}
<div class="scroll"><table><thead><tr><th></th>${head.map((name) => html`<th class="n">${name}</th>`)}</tr></thead><tbody>
${Object.entries(stats).map(([key, s]) =>
  Array.from(
    s.mean,
    (_, d) =>
      html`<tr><th>${key} ${key === "actions" && actionNames[d] ? actionNames[d] : d}</th>${head.map((name) => html`<td class="n">${short(s[name]?.[d])}</td>`)}</tr>`,
  ),
)}
</tbody></table></div>`;
}
