/** @file Goldens of prompts: SentencePiece, PaligemmaTokenizer, FASTTokenizer and the actions in generated tokens. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import {
  FASTTokenizer,
  type FastActionTokenizer,
  PaligemmaTokenizer,
  type SentencePieceTokenizer,
  sentencePieceTokenizer,
} from "@insula/fast-tokenizer";
import { type FileTensor, readSafetensors } from "@insula/safetensors";
import { upstreamTokenizer } from "../fast/chunks.js";
import { compare, EXACT, FLOAT64 } from "../tolerance.js";
import { missingInput, type Unit } from "../unit.js";
import { pythonNumber } from "./discretise.js";
import { claimFiles, type Family } from "./family.js";

const FILE = "tokenize.json";
const MODEL = "standin_sentencepiece.model";

interface Row {
  prompt: string;
  state: readonly (string | number)[];
  max_len: number;
  fast_chunk?: string;
}

interface Extract {
  chunk: string | null;
  generated: readonly number[];
  extracted?: readonly (readonly number[])[];
}

export const tokenizeFamily: Family = {
  name: "tokenize",
  perFile: true,
  claim: claimFiles([FILE, MODEL], [FILE]),
  async verify(unit) {
    if (!unit.has(MODEL)) throw missingInput(MODEL);
    unit.used(MODEL);
    unit.used(FILE, "versions", "fast");
    const text = sentencePieceTokenizer(await readFile(unit.path(MODEL)), MODEL);
    unit.putValue(FILE, ["sp_vocab"], text.vocabSize, EXACT);
    putTexts(unit, text);
    const fast = await readFast(unit);
    putRows(unit, text, fast);
    putExtracted(unit, text, fast);
  },
};

interface Fast {
  tokenizer: FastActionTokenizer;
  chunks: ReadonlyMap<string, FileTensor>;
}

/** The fitted tokenizer and its chunks: `fast` is a path from the folder above the golden's root. */
async function readFast(unit: Unit): Promise<Fast | undefined> {
  const path = (unit.json(FILE)["fast"] as string | undefined) ?? "public/fast/bpe1024";
  const below = path.slice(path.indexOf("/") + 1);
  const candidates = [
    unit.path("..", "..", path),
    unit.path("..", path),
    ...unit.roots.flatMap((root) => [join(root, "..", path), join(root, path), join(root, below)]),
  ];
  const dir = candidates.find(
    (c) => existsSync(join(c, "goldens.safetensors")) && existsSync(join(c, "tokenizer.json")),
  );
  if (dir === undefined) return undefined;
  const index = JSON.parse(await readFile(join(dir, "goldens.json"), "utf8")) as {
    scale: number;
    min_token: number;
  };
  const { scale, min_token } = index;
  const tokenizer = JSON.parse(await readFile(join(dir, "tokenizer.json"), "utf8")) as unknown;
  return {
    tokenizer: upstreamTokenizer(tokenizer, { scale, min_token }),
    chunks: await readSafetensors(join(dir, "goldens.safetensors")),
  };
}

function putTexts(unit: Unit, text: SentencePieceTokenizer): void {
  const rows = (unit.json(FILE)["sentencepiece"] ?? []) as readonly { text: string }[];
  for (const [i, row] of rows.entries()) {
    const ids = text.encode(row.text);
    const found = {
      ids,
      pieces: ids.map((id) => text.idToPiece(id)),
      bos: text.encode(row.text, { addBos: true }),
      eos: text.encode(row.text, { addEos: true }),
      decoded: text.decode(ids),
    };
    for (const [key, value] of Object.entries(found)) {
      unit.putValue(FILE, ["sentencepiece", String(i), key], value, EXACT, {
        group: `tokenize/sentencepiece/*/${key}`,
      });
    }
  }
}

function putRows(unit: Unit, text: SentencePieceTokenizer, fast: Fast | undefined): void {
  const rows = (unit.json(FILE)["rows"] ?? []) as readonly Row[];
  if (!fast) unit.skip(FILE, "rows/*/fast", "needs the FAST tokenizer that 'fast' names, which is not there");
  for (const [i, row] of rows.entries()) {
    const put = (kind: string, values: Record<string, ArrayLike<number>>) => {
      for (const [key, value] of Object.entries(values)) {
        unit.putValue(FILE, ["rows", String(i), kind, key], Array.from(value), EXACT, {
          group: `tokenize/rows/*/${kind}/${key}`,
        });
      }
    };
    const state = row.state.map(pythonNumber);
    const plain = new PaligemmaTokenizer(row.max_len, { text });
    const pi0 = plain.tokenize(row.prompt);
    const pi05 = plain.tokenize(row.prompt, state);
    put("pi0", { tokens: pi0.tokens, mask: pi0.tokenMask });
    put("pi05", { tokens: pi05.tokens, mask: pi05.tokenMask });
    if (!fast) continue;
    const sequences = new FASTTokenizer(row.max_len, { text, fast: fast.tokenizer });
    const chunk = fast.chunks.get(`${row.fast_chunk}/actions`);
    for (const [kind, actions] of [
      ["fast", chunk],
      ["fast_prefix", undefined],
    ] as const) {
      if (kind === "fast" && !chunk) continue;
      const { tokens, tokenMask, arMask, lossMask } = sequences.tokenize(row.prompt, state, actions);
      put(kind, { tokens, mask: tokenMask, ar: arMask, loss: lossMask });
    }
  }
}

function putExtracted(unit: Unit, text: SentencePieceTokenizer, fast: Fast | undefined): void {
  const cases = (unit.json(FILE)["extract"] ?? []) as readonly Extract[];
  if (!fast) {
    unit.skip(FILE, "extract", "needs the FAST tokenizer that 'fast' names, which is not there");
    return;
  }
  const sequences = new FASTTokenizer(256, { text, fast: fast.tokenizer });
  const usual = fast.chunks.values().next().value!.shape;
  for (const [i, { chunk, generated, extracted }] of cases.entries()) {
    const decoded = chunk === null ? undefined : fast.chunks.get(`${chunk}/decoded`);
    const [horizon, dim] = (
      extracted ? [extracted.length, extracted[0]!.length] : (decoded?.shape ?? usual)
    ) as [number, number];
    const { actions } = sequences.extractActions(generated, { horizon, dim, onError: "upstream" });
    const rows = Array.from({ length: horizon }, (_, t) => [
      ...actions.data.subarray(t * dim, (t + 1) * dim),
    ]);
    const put = (key: string, value: unknown) =>
      unit.putValue(FILE, ["extract", String(i), key], value, FLOAT64, {
        group: `tokenize/extract/*/${key}`,
      });
    put("extracted", rows);
    put(
      "all_zero",
      actions.data.every((x) => x === 0),
    );
    put("matches_decoded", decoded !== undefined && compare(actions.data, decoded.data, FLOAT64).ok);
  }
}
