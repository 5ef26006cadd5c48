/** @file A few held-out frames: what the robot saw, what the demonstrator did, what the model answers. */

import type { Prediction } from "../validation/predictions.js";
import { short, whole } from "./format.js";
import { escapeHtml, type Html, html, raw } from "./html.js";
import type { RunFacts } from "./read-run.js";

/** Frames that are shown. */
const SHOWN = 6;

export function predictionsSection({ predictions, pictures }: RunFacts): Html | undefined {
  if (!predictions || predictions.chunks.length === 0) return undefined;
  const { step, dims, chunks } = predictions;
  return html`<section id="predictions"><h2>Sample predictions</h2>
<p class="note">Held-out frames at step ${whole(step)}: what the robot saw, and the action chunk from there on. <span class="key"><span><i style="background:var(--muted)"></i>recorded</span><span><i style="background:var(--fast)"></i>sampled</span></span></p>
${chunks.slice(0, SHOWN).map((chunk) => prediction(chunk, dims, pictures))}
</section>`;
}

function prediction(
  chunk: Prediction,
  dims: readonly string[],
  pictures: ReadonlyMap<string, Uint8Array>,
): Html {
  const { episode, frame, prompt, cameras } = chunk;
  const views = cameras.flatMap(({ name, file }) => {
    const png = pictures.get(file);
    return png
      ? [
          html`<figure><img alt="${name}" src="data:image/png;base64,${Buffer.from(png).toString("base64")}"><figcaption>${name}</figcaption></figure>`,
        ]
      : [];
  });
  return html`<article class="prediction"><h3>“${prompt}” <small>episode ${episode}, frame ${frame}</small></h3>
<div class="views">${views.length > 0 ? views : html`<p class="note">The camera images are gone.</p>`}</div>
<div class="panels">${dims.map((name, d) => panel(chunk, name, d))}</div></article>`;
}

const [WIDTH, HEIGHT, PAD] = [180, 84, 6];

/** One dim over the steps of the chunk, on a scale of its own. */
function panel({ recorded, sampled }: Prediction, name: string, d: number): Html {
  const column = (rows: number[][]) => rows.map((row) => row[d]!).filter(Number.isFinite);
  const [truth, model] = [column(recorded), column(sampled)];
  const all = [...truth, ...model];
  if (all.length === 0) return raw("");
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const steps = Math.max(2, truth.length, model.length);
  const path = (values: readonly number[]) =>
    values
      .map((value, t) => {
        const x = PAD + (t / (steps - 1)) * (WIDTH - 2 * PAD);
        const y = HEIGHT - PAD - ((value - low) / (high > low ? high - low : 1)) * (HEIGHT - 2 * PAD);
        return `${t ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
      })
      .join("");
  return raw(
    `<figure class="panel"><svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escapeHtml(name)}, recorded and sampled">` +
      `<path class="wide" d="${path(truth)}" style="stroke:var(--muted)"/><path class="line" d="${path(model)}" style="stroke:var(--fast)"/></svg>` +
      `<figcaption>${escapeHtml(name)}<span>${short(low, 2)} … ${short(high, 2)}</span></figcaption></figure>`,
  );
}
