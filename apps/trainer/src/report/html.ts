/** @file Markup that cannot be broken by what it shows: every value is escaped unless it is markup itself. */

/** Markup. */
export interface Html {
  readonly markup: string;
}

export type Content = Html | string | number | undefined | null | false | readonly Content[];

/** A template whose values are escaped; nested templates are not. Numbers that are none show as a dash. */
export function html(strings: TemplateStringsArray, ...values: readonly Content[]): Html {
  return {
    markup: strings.map((text, i) => text + (i < values.length ? markupOf(values[i]) : "")).join(""),
  };
}

function markupOf(value: Content): string {
  if (value === undefined || value === null || value === false) return "";
  if (typeof value === "number") return Number.isFinite(value) ? String(value) : "–";
  if (typeof value === "string") return escapeHtml(value);
  return "markup" in value ? value.markup : value.map(markupOf).join("");
}

/** For text and for attributes in quotes. */
export function escapeHtml(text: string): string {
  return text.replace(
    /[<>&"']/g,
    (c) => ({ "<": "&lt;", ">": "&gt;", "&": "&amp;", '"': "&quot;", "'": "&#39;" })[c]!,
  );
}

/** Text that is markup already, made here and nowhere else: styles, numbers of an SVG path. */
export const raw = (markup: string): Html => ({ markup });
