/** @file An audit of tokens as text. */
import { table } from "../table.js";
import { type Summary, textHistogram } from "./distribution.js";
import type { TokenAudit } from "./token-audit.js";

/** The whole report, sections apart by empty lines. */
export function auditLines(audit: TokenAudit): string[] {
  const { samples, frames, maxTokenLen, cut, refused } = audit;
  const looked = samples === frames ? "all" : `${samples} of`;
  const lines = [
    `${audit.config} (${audit.modelType}): ${looked} ${frames} frames in ${audit.episodes} training episodes of ${audit.dataset}`,
    "",
    table(
      ["tokens", "min", "p50", "mean", "p99", "max"],
      [
        summaryRow("sequence", audit.length),
        summaryRow("prompt and state", audit.promptTokens),
        summaryRow("actions (causal)", audit.causalTokens),
      ],
    ),
    "",
    textHistogram(audit.histogram, maxTokenLen),
    "",
    verdict(audit),
  ];
  if (cut > 0) lines.push(cutLine(audit));
  if (audit.maxFastTargets > 0) {
    const sure = samples === frames ? "" : " of those looked at";
    lines.push(`FAST targets per sample${sure}: at most ${audit.maxFastTargets}`);
  }
  if (refused.count > 0) {
    lines.push(`${refused.count} samples cannot be tokenised, training would stop: ${refused.first}`);
  }
  if (audit.quantization.length > 0) {
    const rows = audit.quantization.map(({ name, rmse, max }) => [name, digits(rmse), digits(max)]);
    lines.push("", table(["quantisation error of", "RMSE", "max"], rows));
  }
  if (audit.example) lines.push("", ...exampleLines(audit.example));
  return lines;
}

const summaryRow = (name: string, s: Summary): string[] => [
  name,
  ...[s.min, s.p50, s.mean, s.p99, s.max].map((v) => String(Number(v.toFixed(1)))),
];

const digits = (v: number): string => (v === 0 ? "0" : v.toPrecision(3));

function verdict({ maxTokenLen, cut, samples, length }: TokenAudit): string {
  if (cut === 0) {
    const spare = maxTokenLen - length.max;
    return `all fit into maxTokenLen ${maxTokenLen}; the longest leaves ${spare} free`;
  }
  const share = ((100 * cut) / samples).toPrecision(2);
  return `${cut} of ${samples} samples (${share} %) are longer than maxTokenLen ${maxTokenLen}`;
}

function cutLine({ cutPrompts, length }: TokenAudit): string {
  const enough = Math.ceil(length.max / 8) * 8;
  const prompts =
    cutPrompts > 0 ? `; in ${cutPrompts} the prompt alone fills the row, which training refuses` : "";
  return `cut samples have no FAST loss${prompts}. --set model.maxTokenLen=${enough} fits all that were seen`;
}

function exampleLines({ episode, frame, prompt, tokens }: NonNullable<TokenAudit["example"]>): string[] {
  const rows = tokens.map((t) => [
    String(t.position),
    String(t.id),
    t.kind,
    t.attention,
    t.loss ? "yes" : "",
    t.piece,
  ]);
  return [
    `episode ${episode}, frame ${frame}: ${JSON.stringify(prompt)}`,
    table(
      ["at", "id", "kind", "attention", "loss", "piece, or actions from frequency f or step t, dim d"],
      rows,
    ),
  ];
}
