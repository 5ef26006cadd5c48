/**
 * @file Finding the action tokens in a generated sequence, on ids: behind the ids of `Action: `, up to those of `|`,
 * the end or padding. openpi decodes to text, cuts there and encodes again, which may join rare tokens differently.
 */
import type { TextTokenizer } from "../text/text-tokenizer.js";

export interface ActionMarkers {
  /** Ids of `Action: `; empty when the actions come first. */
  readonly begin: readonly number[];
  /** Ids of `|`. */
  readonly end: readonly number[];
  /** Ids that end the actions as well: end of sequence, padding. */
  readonly stop: ReadonlySet<number>;
}

/** The markers of a text tokenizer. */
export function actionMarkers(text: TextTokenizer): ActionMarkers {
  return {
    begin: text.encode("Action: "),
    end: text.encode("|"),
    stop: new Set([text.eosId, text.padId].filter((id) => id >= 0)),
  };
}

/** The ids between the markers; undefined when there is no `Action: `. */
export function actionSpan(tokens: ArrayLike<number>, markers: ActionMarkers): number[] | undefined {
  const matches = (pattern: readonly number[], at: number): boolean =>
    pattern.every((id, i) => tokens[at + i] === id);
  for (let at = 0; at < tokens.length; at++) {
    if (!matches(markers.begin, at)) continue;
    const span: number[] = [];
    for (let i = at + markers.begin.length; i < tokens.length; i++) {
      if (matches(markers.end, i) || markers.stop.has(tokens[i]!)) break;
      span.push(tokens[i]!);
    }
    return span;
  }
  return undefined;
}
