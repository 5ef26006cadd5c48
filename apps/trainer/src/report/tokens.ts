/** @file What tokenisation does to the data. */
import type { Bin } from "../inspect/distribution.js";
import type { TokenAudit } from "../inspect/token-audit.js";
import { percent, short, whole } from "./format.js";
import { type Content, type Html, html, raw } from "./html.js";

export function tokensSection(audit: TokenAudit): Html {
  const { samples, frames, maxTokenLen, cut, refused, quantization, example } = audit;
  const kinds = [
    ["sequence", audit.length],
    ["prompt and state", audit.promptTokens],
    ["actions", audit.causalTokens],
  ] as const;
  return html`<section id="tokens"><h2>Tokens</h2>
<p class="note">${whole(samples)} of ${whole(frames)} training frames looked at.
${cut === 0 ? `All fit into ${maxTokenLen} tokens; the longest leaves ${maxTokenLen - audit.length.max} free.` : html`<strong class="bad">${percent(cut / samples)} are longer than ${maxTokenLen} tokens and lose their end.</strong>`}
${audit.maxFastTargets > 0 && ` At most ${audit.maxFastTargets} FAST targets per sample.`}
${refused.count > 0 && html`<strong class="bad">${refused.count} cannot be tokenised: ${refused.first}</strong>`}</p>
<div class="grid2"><div>${bars(audit.histogram, maxTokenLen)}</div><div class="scroll"><table>
<thead><tr><th>tokens</th><th class="n">min</th><th class="n">median</th><th class="n">mean</th><th class="n">99 %</th><th class="n">max</th></tr></thead>
<tbody>${kinds.map(
    ([name, s]) =>
      html`<tr><th>${name}</th>${[s.min, s.p50, s.mean, s.p99, s.max].map((v) => html`<td class="n">${short(v)}</td>`)}</tr>`,
  )}</tbody></table></div></div>
${
  quantization.length > 0 &&
  html`<h3>Quantisation error of the action tokenizer</h3><div class="scroll"><table>
<thead><tr><th></th><th class="n">RMSE</th><th class="n">largest</th></tr></thead>
<tbody>${quantization.map(({ name, rmse, max }) => html`<tr><th>${name}</th><td class="n">${short(rmse, 3)}</td><td class="n">${short(max, 3)}</td></tr>`)}</tbody></table></div>`
}
${example && exampleTable(example)}
</section>`;
}

function exampleTable({ episode, frame, prompt, tokens }: NonNullable<TokenAudit["example"]>): Html {
  const rows = tokens.map(
    (t) =>
      html`<tr><td class="n">${t.position}</td><td class="n">${t.id}</td><td>${t.kind}</td><td>${t.attention}</td><td>${t.loss && "yes"}</td><td><code>${t.piece}</code></td></tr>`,
  );
  return html`<details><summary>One sample token by token: episode ${episode}, frame ${frame}, “${prompt}”</summary><div class="scroll"><table>
<thead><tr><th class="n">at</th><th class="n">id</th><th>kind</th><th>attention</th><th>loss</th><th>piece, or actions from frequency f or step t, dim d</th></tr></thead>
<tbody>${rows}</tbody></table></div></details>`;
}

const [WIDTH, HEIGHT, LEFT, BOTTOM] = [520, 180, 12, 24];

/** Bars, and a line where the limit is. */
function bars(bins: readonly Bin[], limit: number): Content {
  if (bins.length === 0) return undefined;
  const low = bins[0]!.from;
  const high = Math.max(bins.at(-1)!.to + 1, limit + 1);
  const most = Math.max(...bins.map((bin) => bin.count));
  const x = (value: number) => LEFT + ((value - low) / (high - low)) * (WIDTH - 2 * LEFT);
  const y = (count: number) => HEIGHT - BOTTOM - (count / most) * (HEIGHT - BOTTOM - 22);
  const drawn = bins.map(
    ({ from, to, count }) =>
      `<rect x="${x(from).toFixed(1)}" y="${y(count).toFixed(1)}" width="${Math.max(0.5, x(to + 1) - x(from) - 1).toFixed(1)}" height="${(HEIGHT - BOTTOM - y(count)).toFixed(1)}" style="fill:var(--${from > limit ? "bad" : "fast"})"><title>${from} to ${to} tokens: ${count} samples</title></rect>`,
  );
  const at = x(limit).toFixed(1);
  const labels = [low, bins.at(-1)!.to].map(
    (value) => `<text x="${x(value).toFixed(1)}" y="${HEIGHT - 8}" text-anchor="middle">${value}</text>`,
  );
  return raw(
    `<figure class="chart"><figcaption><b>Tokens per sample</b></figcaption><svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="Histogram of tokens per sample">` +
      `${drawn.join("")}<line class="limit" x1="${at}" x2="${at}" y1="16" y2="${HEIGHT - BOTTOM}"/>` +
      `<text x="${at}" y="11" text-anchor="${Number(at) > WIDTH - 60 ? "end" : "middle"}">maxTokenLen ${limit}</text>${labels.join("")}</svg></figure>`,
  );
}
