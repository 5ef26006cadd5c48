/** @file How far sampled actions are from recorded ones, per dim, in the robot's units. */
import { robotSpec } from "../data/robots.js";
import type { ValidationRow } from "../metrics/row.js";
import { percent, short, whole } from "./format.js";
import { type Html, html } from "./html.js";
import type { RunFacts } from "./read-run.js";

export function errorsSection({ validations, config }: RunFacts): Html | undefined {
  const rows = validations.filter((row) => row.val_action_error_dims);
  const last = rows.at(-1);
  if (!last) return undefined;
  const names = robotSpec(config.data.robot).actionNames;
  const [first, best] = [rows[0]!, rows.find((row) => row.step === last.val_best_step)];
  const columns = [
    ...(first === last ? [] : [first]),
    ...(best && best !== last && best !== first ? [best] : []),
    last,
  ];
  const yardstick = last.val_mean_action_error_dims!;
  return html`<section id="errors"><h2>Sampled-action error</h2>
<p class="note">Mean absolute error over ${whole(last.val_chunks ?? 0)} chunks of held-out episodes, in the units of each dim, sampled with the ${last.val_weights === "ema" ? "average of the weights" : "weights"}${config.emaDecay !== null && " that a checkpoint serves"}. The bar is the error relative to always answering with the mean action of the training data: shorter is better, full is no better.</p>
<div class="scroll"><table>
<thead><tr><th></th>${columns.map((row) => html`<th class="n">step ${whole(row.step)}${row.step === last.val_best_step && " (best)"}</th>`)}<th class="n">mean action</th><th>relative, step ${whole(last.step)}</th></tr></thead>
<tbody>${yardstick.map((mean, d) => {
    const relative = mean > 0 ? last.val_action_error_dims![d]! / mean : undefined;
    return html`<tr><th>${names[d] ?? d}</th>${columns.map((row) => html`<td class="n">${short(row.val_action_error_dims![d], 3)}</td>`)}<td class="n">${short(mean, 3)}</td><td class="relative">${relative !== undefined && meter(relative)}</td></tr>`;
  })}
<tr class="sum"><th>mean over dims, relative</th>${columns.map((row) => html`<td class="n">${percent(row.val_action_error)}</td>`)}<td class="n">100 %</td><td class="relative">${meter(last.val_action_error!)}</td></tr>
</tbody></table></div>
${notDecoded(last)}
</section>`;
}

function meter(relative: number): Html {
  const width = Math.min(100, 100 * relative).toFixed(1);
  return html`<span class="meter ${relative > 1 ? "over" : ""}"><i style="width:${width}%"></i></span> ${percent(relative)}`;
}

function notDecoded({ val_not_decoded: n }: ValidationRow): Html | undefined {
  return n
    ? html`<p class="note">${n} chunks did not decode and count as the middle of the normalisation.</p>`
    : undefined;
}
