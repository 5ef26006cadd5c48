import { readFileSync } from "node:fs";
import { describeShared, sharedJson, sharedPath } from "@insula/test-kit";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  hfTextTokenizer,
  makeByteTokenizer,
  parseByteTokenizer,
  sentencePieceTokenizer,
  type TextTokenizer,
} from "../src/index.js";
import { codeOf } from "./error-of.js";

const KITOKEN = "data/text_tokenizers/kitoken_golden";

/** Cases of one golden set: text, ids. `small` writes newlines and a space as escapes. */
function goldenCases(set: string, folder: string): [string, number[]][] {
  const read = (name: string): string => readFileSync(sharedPath(KITOKEN, name), "utf8");
  const input = read(`${set}_input.txt`);
  const ids = read(`${folder}/${set}_tokens_mistral01.txt`);
  const numbers = (line: string): number[] => line.split(",").filter(Boolean).map(Number);
  if (set === "utf8") return [[input, numbers(ids.trim())]];
  const rows = ids.trimEnd().split("\n");
  const plain = (line: string): string =>
    set === "small" ? line.replaceAll("\\n", "\n").replaceAll("\\s", " ") : line;
  return input
    .split("\n")
    .slice(0, rows.length)
    .map((line, i) => [plain(line), numbers(rows[i]!.trim())]);
}

describeShared("SentencePiece against the reference", () => {
  const mistral = sentencePieceTokenizer(
    readFileSync(sharedPath("data/text_tokenizers/mistral_v1/tokenizer.model.v1")),
  );

  test("Mistral's model: sizes and special ids", () => {
    const { vocabSize, bosId, eosId, padId, unkId } = mistral;
    expect({ vocabSize, bosId, eosId, padId, unkId }).toEqual({
      vocabSize: 32_000,
      bosId: 1,
      eosId: 2,
      padId: -1,
      unkId: 0,
    });
    expect(mistral.pieceToId("▁cup")).toBe(mistral.encode("cup")[0]);
  });

  test.each(["small", "mixed", "utf8"])("Mistral's ids: %s", (set) => {
    const cases = goldenCases(set, "sentencepiece");
    expect(cases.length).toBe({ small: 20, mixed: 120, utf8: 1 }[set]);
    for (const [text, ids] of cases) expect(mistral.encode(text)).toEqual(ids);
  });

  test("Mistral's decoding gives the text back", () => {
    const expected = readFileSync(sharedPath(KITOKEN, "sentencepiece/utf8_output_mistral01.txt"), "utf8");
    const [[, ids]] = goldenCases("utf8", "sentencepiece") as [[string, number[]]];
    expect(mistral.decode(ids)).toBe(expected);
    for (const [text, caseIds] of goldenCases("mixed", "sentencepiece")) {
      expect(mistral.decode(caseIds)).toBe(text);
    }
  });

  test("the third Mistral model, with control pieces", () => {
    const v3 = sentencePieceTokenizer(
      readFileSync(sharedPath("data/text_tokenizers/mistral_v1/mistral_instruct_tokenizer_240323.model.v3")),
    );
    expect(v3.vocabSize).toBe(32_768);
    // Control pieces in a text are text.
    expect(v3.encode("[INST]")).not.toContain(v3.pieceToId("[INST]"));
    expect(v3.decode([v3.bosId, ...v3.encode("pick up the cup"), v3.eosId])).toBe("pick up the cup");
  });

  test("the stand-in of PaliGemma: user-defined pieces, byte fallback", () => {
    const standIn = sentencePieceTokenizer(
      readFileSync(sharedPath("golden/common/transforms/standin_sentencepiece.model")),
    );
    const { sp_vocab: vocabSize, sentencepiece: rows } = sharedJson<{
      sp_vocab: number;
      sentencepiece: {
        text: string;
        ids: number[];
        pieces: string[];
        bos: number[];
        eos: number[];
        decoded: string;
      }[];
    }>("golden/common/transforms/tokenize.json");
    expect(standIn.vocabSize).toBe(vocabSize);
    for (const row of rows) {
      expect(standIn.encode(row.text)).toEqual(row.ids);
      expect(standIn.encode(row.text, { addBos: true })).toEqual(row.bos);
      expect(standIn.encode(row.text, { addEos: true })).toEqual(row.eos);
      expect(row.ids.map((id) => standIn.idToPiece(id))).toEqual(row.pieces);
      expect(standIn.decode(row.ids)).toBe(row.decoded);
    }
  });

  test("round trip of any text (byte fallback loses nothing)", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 60 }), (text) => {
        fc.pre(!text.includes("▁"));
        expect(mistral.decode(mistral.encode(text))).toBe(text);
      }),
    );
  });

  test("HF's tokenizer.json of the same model: the same ids", () => {
    const hf = hfTextTokenizer(sharedJson(`${KITOKEN}/tokenizers/mistral01.tokenizer.json`));
    expect([hf.vocabSize, hf.bosId, hf.eosId]).toEqual([32_000, 1, 2]);
    for (const set of ["mixed", "utf8"]) {
      for (const [text, ids] of goldenCases(set, "tokenizers")) expect(hf.encode(text)).toEqual(ids);
    }
    expect(hf.encode("cup", { addBos: true, addEos: true })).toEqual([1, ...mistral.encode("cup"), 2]);
    expect(hf.decode([1, ...hf.encode("pick up the cup"), 2])).toBe("pick up the cup");
  });

  test("ids outside the vocabulary and files of other kinds", () => {
    expect(codeOf(() => mistral.decode([32_000]))).toBe("text/id");
    expect(codeOf(() => mistral.decode([-1]))).toBe("text/id");
    expect(codeOf(() => sentencePieceTokenizer(new Uint8Array()))).toBe("text/sentencepiece");
    expect(codeOf(() => sentencePieceTokenizer(new TextEncoder().encode("<html>")))).toBe(
      "text/sentencepiece",
    );
    // model_type 1: one unknown piece, trainer_spec { model_type: UNIGRAM }.
    const unigram = Uint8Array.from([10, 9, 10, 5, 60, 117, 110, 107, 62, 24, 2, 18, 2, 24, 1]);
    expect(() => sentencePieceTokenizer(unigram, "u.model")).toThrow("u.model: has model type unigram");
  });
});

describe("byte tokenizer", () => {
  const pieces = ["Task: ", "Task", ", State: ", "Action: ", "cup", "…"];
  const tokenizer = makeByteTokenizer({ pieces });

  test("longest piece first, else bytes", () => {
    expect(tokenizer.vocabSize).toBe(259 + 6);
    expect(tokenizer.encode("Task: cup")).toEqual([259, 263]);
    expect(tokenizer.encode("Taskcu")).toEqual([260, 3 + 99, 3 + 117]);
    expect(tokenizer.encode("a", { addBos: true, addEos: true })).toEqual([2, 3 + 97, 1]);
    expect(tokenizer.encode("…")).toEqual([264]);
    expect(tokenizer.pieceToId("cup")).toBe(263);
  });

  test("any text comes back, through JSON too", () => {
    const again: TextTokenizer = parseByteTokenizer(JSON.parse(JSON.stringify(tokenizer)));
    fc.assert(
      fc.property(
        fc
          .array(fc.oneof(fc.constantFrom(...pieces), fc.string({ unit: "grapheme" })))
          .map((p) => p.join("")),
        (text) => {
          const ids = again.encode(text, { addBos: true, addEos: true });
          expect(ids).toEqual(tokenizer.encode(text, { addBos: true, addEos: true }));
          expect(again.decode([...ids, 0, 0])).toBe(text);
        },
      ),
    );
  });

  test("refuses bad pieces and bad JSON", () => {
    for (const bad of [[""], ["a", "a"], [1 as unknown as string]]) {
      expect(codeOf(() => makeByteTokenizer({ pieces: bad }))).toBe("text/byte-tokenizer");
    }
    for (const json of [null, 3, {}, { type: "insula-byte-tokenizer", version: 2, pieces: [] }]) {
      expect(codeOf(() => parseByteTokenizer(json))).toBe("text/byte-tokenizer");
    }
    expect(codeOf(() => tokenizer.decode([265]))).toBe("text/id");
  });
});

test("HF tokenizers name what is missing", () => {
  const json = {
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
    decoder: null,
    model: { type: "BPE", vocab: { a: 0, b: 1, "[E]": 2 }, merges: [], unk_token: null },
  };
  expect(codeOf(() => hfTextTokenizer(json).encode("a", { addBos: true }))).toBe("text/no-special");
  expect(hfTextTokenizer(json, { eosToken: "[E]" }).encode("a", { addEos: true })).toEqual([0, 2]);
  expect(hfTextTokenizer(json, { config: { eos_token: { content: "[E]" } } }).eosId).toBe(2);
  expect(codeOf(() => hfTextTokenizer({}))).toBe("text/tokenizer-json");
});
