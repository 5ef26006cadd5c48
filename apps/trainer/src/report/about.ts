/** @file Where and when the run ran, what it left, and what this page could not find. */
import { gigabytes } from "../plan.js";
import { instant, whole } from "./format.js";
import { type Html, html } from "./html.js";
import type { RunFacts } from "./read-run.js";

export function aboutSection(
  { dir, sessions, checkpoints, manifest, config }: RunFacts,
  { missing, version, now }: { missing: readonly string[]; version: string; now: number },
): Html {
  const rows = sessions.map(
    (s) =>
      html`<tr><td>${instant(s.started)}</td><td class="n">${whole(s.step)}</td><td>${s.version}</td><td>${s.host}</td><td>${s.cpu}, ${s.cores} cores, ${gigabytes(s.memoryBytes)}</td><td>${s.device}</td><td>${s.os}, Node ${s.node}, ONNX Runtime ${s.onnxruntime}</td></tr>`,
  );
  const facts: [string, string][] = [
    ["folder", dir],
    ["checkpoints", checkpoints.length > 0 ? checkpoints.map(whole).join(", ") : "none yet"],
    ["compute type", config.computeType],
    ...(manifest ? ([["artifact", manifest.artifactHash]] as [string, string][]) : []),
  ];
  return html`<section id="about"><h2>Run</h2>
<table class="facts"><tbody>${facts.map(([name, value]) => html`<tr><th>${name}</th><td>${value}</td></tr>`)}</tbody></table>
${
  rows.length > 0
    ? html`<h3>${rows.length === 1 ? "Started once" : `Started ${rows.length} times`}</h3><div class="scroll"><table>
<thead><tr><th>when</th><th class="n">after step</th><th>version</th><th>host</th><th>machine</th><th>device</th><th>software</th></tr></thead><tbody>${rows}</tbody></table></div>`
    : html`<p class="note">On which machine it ran was not recorded.</p>`
}
${missing.length > 0 && html`<h3>Not found</h3><ul class="warnings">${missing.map((what) => html`<li>${what}</li>`)}</ul>`}
<p class="note">Written ${instant(now)} by insula ${version}.</p></section>`;
}
