/**
 * @file The one error type. Errors are an API: `code` is stable and can be tested for; the message names
 * the function or file, the key, what was expected, what was found and, where there is one, the remedy.
 */
/**
 * Bad input, or a failure of what lies outside: a file, a runtime. Test for `code`; the message is for people
 * and may change its wording.
 */
export class InsulaError extends Error {
  /** Stable identifier `area/problem`, for example `transforms/missing-key`. */
  readonly code: string;

  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = "InsulaError";
    this.code = code;
  }
}

/** The candidate closest to `word` by edit distance, or undefined when none is near enough to be meant. */
export function closestMatch(word: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const candidate of candidates) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return bestDistance <= Math.max(2, word.length / 2) ? best : undefined;
}

/** Levenshtein distance, one row at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitute = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substitute, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
