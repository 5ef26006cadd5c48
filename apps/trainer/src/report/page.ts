/** @file The whole report: one HTML page that asks for nothing from elsewhere. */
import { aboutSection } from "./about.js";
import { configSection } from "./config.js";
import { curves } from "./curves.js";
import { dataSection } from "./data.js";
import { errorsSection } from "./errors.js";
import { headline } from "./headline.js";
import { type Html, html, raw } from "./html.js";
import { predictionsSection } from "./predictions.js";
import type { RunFacts } from "./read-run.js";
import type { RunData } from "./run-data.js";
import { STYLE } from "./style.js";
import { tokensSection } from "./tokens.js";

export interface PageOptions {
  /** The run's dataset, or why it could not be opened. */
  data: RunData | string;
  /** Of the program. */
  version: string;
  /** Seconds since 1970. */
  now: number;
}

/** The page as text. */
export function reportPage(run: RunFacts, { data, version, now }: PageOptions): string {
  const opened = typeof data === "string" ? undefined : data;
  const missing = [
    ...run.missing,
    ...(run.validations.length === 0 ? ["validation: none so far"] : []),
    ...(opened?.missing ?? []),
    ...(typeof data === "string" ? [`dataset: ${data}`] : []),
  ];
  const sections: [string, string, Html | undefined][] = [
    ["curves", "Curves", curves(run)],
    ["errors", "Action error", errorsSection(run)],
    ["predictions", "Predictions", predictionsSection(run)],
    ["data", "Data", dataSection(run, data)],
    ["tokens", "Tokens", opened?.audit ? tokensSection(opened.audit) : undefined],
    ["config", "Configuration", configSection(run)],
    ["about", "Run", aboutSection(run, { missing, version, now })],
  ];
  const shown = sections.filter(([, , section]) => section);
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>${run.config.name} · ${run.name}</title><style>${raw(STYLE)}</style></head><body><main>
${headline(run, now)}
<nav>${shown.map(([id, title]) => html`<a href="#${id}">${title}</a>`)}</nav>
${shown.map(([, , section]) => section)}
</main></body></html>
`.markup;
}
