/** @file Goldens of what FAST tokenizers share: the byte-level text behind their ids, and rounding ties. */
import { readdir, readFile } from "node:fs/promises";
import { dct } from "@insula/fast-tokenizer";
import { readSafetensors } from "@insula/safetensors";
import { chunkNames, tieDistance, upstreamTokenizer } from "../fast/chunks.js";
import { EXACT, FLOAT64, type Tolerance } from "../tolerance.js";
import { missingInput, type Unit } from "../unit.js";
import type { Family } from "./family.js";

const PRETOKENIZE = "pretokenize.json";
const TIES = "tie_distance.json";
const CORPUS = "corpus.safetensors";
/** The scale of all fitted goldens. */
const SCALE = 10;

export const fastTextFamily: Family = {
  name: "fast-text",
  perFile: true,
  claim: (_, files) => [PRETOKENIZE, TIES, CORPUS].filter((f) => files.includes(f)).map((f) => [f]),
  async verify(unit) {
    if (unit.has(CORPUS)) unit.used(CORPUS); // what the tokenizers beside it are fitted on
    if (unit.has(PRETOKENIZE)) await putIds(unit);
    if (unit.has(TIES)) await putTies(unit);
  },
};

/** Text of any characters to ids, by the tokenizer that the golden's note names. */
async function putIds(unit: Unit): Promise<void> {
  const { note = "", rows = [] } = unit.json(PRETOKENIZE) as {
    note?: string;
    rows?: { codepoints: number[] }[];
  };
  const folder = /bpe\d+/.exec(note)?.[0] ?? (await fitted(unit)).at(-1);
  if (folder === undefined) throw missingInput("a folder bpe* beside it");
  const text = await readFile(unit.path(folder, "tokenizer.json"), "utf8").catch(
    (error: NodeJS.ErrnoException) => {
      throw error.code === "ENOENT" ? missingInput(`${folder}/tokenizer.json`) : error;
    },
  );
  // With these numbers a coefficient is its code point.
  const bpe = upstreamTokenizer(JSON.parse(text), { scale: 1, min_token: 0 });
  unit.used(PRETOKENIZE, "versions", "note", "rows");
  for (const [i, { codepoints }] of rows.entries()) {
    const ids = [...bpe.encodeCoefficients(codepoints)];
    unit.putValue(PRETOKENIZE, ["rows", String(i), "ids"], ids, EXACT, { group: "pretokenize/rows/*/ids" });
  }
  unit.skip(
    PRETOKENIZE,
    "rows/*/pieces",
    "an inner step without a name in the public packages; the ids follow from it",
  );
}

/** Distance of the unrounded coefficients from a tie, chunk by chunk. */
async function putTies(unit: Unit): Promise<void> {
  const folder = (await fitted(unit))[0];
  if (folder === undefined) throw missingInput("a folder bpe* with chunks beside it");
  const chunks = await readSafetensors(unit.path(folder, "goldens.safetensors"));
  for (const [i, name] of chunkNames(chunks).entries()) {
    const actions = chunks.get(`${name}/actions`)!;
    const coefficients = dct(actions).data.map((x) => x * SCALE);
    const distances = coefficients.map(tieDistance);
    const largest = coefficients.reduce((max, c) => Math.max(max, Math.abs(c)), 1);
    // As exact as the coefficients themselves are.
    const tolerance = { atol: FLOAT64.rtol! * largest, label: "1e-12 of max coefficient" };
    const put = (key: string, value: number, t: Tolerance) =>
      unit.putValue(TIES, [String(i), key], value, t, { group: `tie_distance/*/${key}` });
    put(
      "min_tie_distance",
      distances.reduce((a, b) => Math.min(a, b)),
      tolerance,
    );
    put("n_below_1e_9", distances.filter((d) => d < 1e-9).length, EXACT);
  }
}

/** Folders of fitted tokenizers that have chunks. */
async function fitted(unit: Unit): Promise<string[]> {
  const entries = await readdir(unit.path());
  return entries.filter((n) => /^bpe\d+$/.test(n)).sort((a, b) => Number(a.slice(3)) - Number(b.slice(3)));
}
