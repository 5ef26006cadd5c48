/** @file Golden action chunks through a FAST tokenizer: coefficients, tokens, decoded actions. */
import { dct, FastActionTokenizer } from "@insula/fast-tokenizer";
import type { NdArray } from "@insula/model-types";
import type { FileTensor } from "@insula/safetensors";
import { EXACT, FLOAT64, TIE_DISTANCE, type Tolerance } from "../tolerance.js";
import type { Unit } from "../unit.js";

const FILE = "goldens.safetensors";
const INDEX = "goldens.json";

/** A tokenizer that does what the reference does with coefficients it has no tokens for. */
export function upstreamTokenizer(tokenizer: unknown, config: unknown): FastActionTokenizer {
  return new FastActionTokenizer({ tokenizer, config }, { outOfAlphabet: "drop" });
}

/** `c000`, `c001` … of a file of chunks. */
export function chunkNames(tensors: ReadonlyMap<string, FileTensor>): string[] {
  return [...tensors.keys()].flatMap((n) => /^(.+)\/actions$/.exec(n)?.[1] ?? []).sort();
}

/**
 * Encode and decode every chunk.
 * @param chunks tensors `<chunk>/actions`
 * @param group directory and file, for the report
 */
export function putChunks(
  unit: Unit,
  fast: FastActionTokenizer,
  chunks: ReadonlyMap<string, FileTensor>,
  group: string,
): void {
  const golden = unit.tensors(FILE);
  for (const [index, name] of chunkNames(chunks).entries()) {
    const actions = chunks.get(`${name}/actions`)!;
    const [horizon, dim] = actions.shape as [number, number];
    const quantised = putQuantised(unit, fast, actions, name, group);
    const tokens = quantised ? fast.encodeCoefficients(quantised) : fast.encode(actions);
    const inGroup = (what: string) => ({ group: `${group}/*/${what}` });
    unit.put(FILE, `${name}/tokens`, { data: tokens, shape: [tokens.length] }, EXACT, inGroup("tokens"));
    // Of the golden's tokens where there are some, so that one difference is reported once.
    const ids = (golden.get(`${name}/tokens`)?.data ?? tokens) as Int32Array;
    const decoded = fast.decode(ids, { horizon, dim, onError: "upstream" });
    unit.put(FILE, `${name}/decoded`, decoded.actions, FLOAT64, inGroup("decoded"));
    const put = (key: string, value: unknown, tolerance: Tolerance = EXACT) =>
      unit.putValue(INDEX, ["cases", String(index), key], value, tolerance, {
        group: `${group}/cases/*/${key}`,
      });
    put("n_tokens", tokens.length);
    // The reference is content with broken characters when their number is right, and gives zeros when it is not.
    put("decode_ok", decoded.status === "ok" || decoded.actions.data.some((a) => a !== 0));
    const largest = Array.from(actions.data, Number).reduce((max, a) => Math.max(max, Math.abs(a)), 0);
    const tolerance = { atol: FLOAT64.rtol! * largest, label: "1e-12 of max action" };
    put("max_abs_err", largestDifference(decoded.actions, actions), tolerance);
  }
}

/**
 * Compare the rounded coefficients. One may differ by 1 where the unrounded one lies on a tie; then the golden's
 * are returned, so that the tokens can be compared all the same.
 */
function putQuantised(
  unit: Unit,
  fast: FastActionTokenizer,
  actions: NdArray,
  name: string,
  group: string,
): Int32Array | undefined {
  const own = fast.quantize(actions);
  const golden = unit.tensors(FILE).get(`${name}/dct_q`)?.data as Int32Array | undefined;
  // FAST+'s goldens have no coefficients of their own, they share those of the chunks' file.
  if (!golden && unit.json(INDEX)["actions_from"]) return undefined;
  const exact = dct(actions).data;
  const onTie = own.map((q, i) => {
    if (!golden || q === golden[i]) return 0;
    return Math.abs(q - golden[i]!) === 1 && tieDistance(exact[i]! * fast.scale) < TIE_DISTANCE ? 1 : 0;
  });
  const rows = onTie.map((tied) => 1 - tied);
  unit.put(FILE, `${name}/dct_q`, { data: own, shape: actions.shape }, EXACT, {
    group: `${group}/*/dct_q`,
    rows,
  });
  return onTie.includes(1) ? golden : undefined;
}

/** How far `x` is from the nearest half. */
export function tieDistance(x: number): number {
  return Math.abs(x - Math.floor(x) - 0.5);
}

function largestDifference(a: NdArray, b: NdArray): number {
  let max = 0;
  for (let i = 0; i < a.data.length; i++)
    max = Math.max(max, Math.abs(Number(a.data[i]) - Number(b.data[i])));
  return max;
}
