/** Broken and malicious input: whatever comes, an InsulaError or a valid result, in bounded time. */
import { readFileSync } from "node:fs";
import { InsulaError } from "@insula/model-types";
import { describeShared, sharedPath } from "@insula/test-kit";
import { describe, expect, test, vi } from "vitest";
import {
  FASTTokenizer,
  FastActionTokenizer,
  fitFastTokenizer,
  hfTextTokenizer,
  makeByteTokenizer,
  parseByteTokenizer,
  sentencePieceTokenizer,
} from "../src/index.js";
import { fastPlus, goldenBpe, random, smoothChunk } from "./shared-fast.js";

/** Inputs per test; INSULA_FUZZ_RUNS for more. */
const CASES = Math.max(10_000, Number(process.env["INSULA_FUZZ_RUNS"] ?? 0));
/** More cases take longer. */
const TIMEOUT = 60_000 + CASES / 2;

/** Run; anything thrown must be an InsulaError. Returns whether it was thrown. */
function refused(run: () => unknown): boolean {
  try {
    run();
    return false;
  } catch (error) {
    if (error instanceof InsulaError) return true;
    throw error;
  }
}

vi.setConfig({ testTimeout: TIMEOUT });

describeShared("hostile input", () => {
  test("decode: lists of ids", () => {
    const next = random(42);
    const tokenizers = [fastPlus(), new FastActionTokenizer(goldenBpe(2048).files)];
    const odd = [-1, 2048, 1e9, 2 ** 31, 2 ** 53, 0.5, Number.NaN, Number.POSITIVE_INFINITY];
    const statuses = new Map<string, number>();
    for (let i = 0; i < CASES; i++) {
      const tokenizer = tokenizers[i % 2]!;
      const ids = Array.from({ length: Math.floor(next() ** 3 * 200) }, () =>
        next() < 0.003 ? odd[Math.floor(next() * odd.length)]! : Math.floor(next() * 2048),
      );
      const horizon = 1 + Math.floor(next() * 20);
      const dim = 1 + Math.floor(next() * 3);
      const { status, actions } = tokenizer.decode(ids, { horizon, dim, onError: "status" });
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      expect(actions === null).toBe(status !== "ok");
      if (actions) expect(actions.data.every(Number.isFinite)).toBe(true);
      if (i % 10 === 0) {
        const zeros = tokenizer.decode(ids, { horizon, dim, onError: i % 20 ? "zeros" : "upstream" });
        expect(zeros.actions.data).toHaveLength(horizon * dim);
      }
    }
    for (const status of ["ok", "malformed", "wrong-count", "out-of-vocabulary"]) {
      expect(statuses.get(status), status).toBeGreaterThan(5);
    }
  });

  test("extractActions: sequences", () => {
    const next = random(43);
    const text = makeByteTokenizer({ pieces: ["Action: ", "|"] });
    const fast = new FastActionTokenizer(
      fitFastTokenizer([smoothChunk(16, 2, next), smoothChunk(16, 2, next)], { byteAlphabet: true }),
    );
    const vocabSize = text.vocabSize + fast.vocabSize + 128;
    const tokenizer = new FASTTokenizer(64, { text, fast, vocabSize });
    const statuses = new Set<string>();
    for (let i = 0; i < CASES; i++) {
      const tokens = Array.from({ length: Math.floor(next() * 40) }, () => {
        const kind = next();
        if (kind < 0.05) return 259 + Math.floor(next() * 2);
        if (kind < 0.06) return Math.floor(next() * 4) - 1;
        return kind < 0.08
          ? Math.floor(next() * vocabSize)
          : tokenizer.toTextId(Math.floor(next() * fast.vocabSize));
      });
      const shape = { horizon: 1 + Math.floor(next() * 4), dim: 1 };
      statuses.add(tokenizer.extractActions(tokens, { ...shape, onError: "status" }).status);
    }
    expect([...statuses].sort()).toEqual(["foreign-token", "malformed", "no-action", "ok", "wrong-count"]);
  });

  test("tokenizer.json and processor_config.json: mutations of a small file", () => {
    const next = random(44);
    const chunk = smoothChunk(16, 2, next);
    const good = fitFastTokenizer([chunk, chunk, smoothChunk(16, 2, next)], { vocabSize: 200 });
    const junk = [null, -1, 1e300, "", "a b", [], {}, true, [[]], "\ud800", { type: "BPE" }];
    let rejected = 0;
    for (let i = 0; i < CASES; i++) {
      const files = mutate(good, next, junk);
      rejected += Number(
        refused(() => {
          const tokenizer = new FastActionTokenizer(files as typeof good);
          const ids = tokenizer.encode(chunk);
          tokenizer.decode(ids, { horizon: 16, dim: 2, onError: "status" });
        }),
      );
    }
    expect(rejected).toBeGreaterThan(CASES / 20);
    expect(rejected).toBeLessThan(CASES);
  });

  test("SentencePiece files: cut short and overwritten", () => {
    const next = random(45);
    const good = readFileSync(sharedPath("golden/common/transforms/standin_sentencepiece.model"));
    let rejected = 0;
    for (let i = 0; i < CASES / 10; i++) {
      let bytes = Uint8Array.from(good);
      if (i % 3 === 0) bytes = bytes.slice(0, Math.floor(next() * bytes.length));
      else {
        const changes = 1 + Math.floor(next() * 6);
        // The end holds the specifications of trainer and normaliser, the rest the vocabulary.
        const from = i % 3 === 1 ? 0 : bytes.length - 100;
        for (let c = 0; c < changes; c++) {
          bytes[from + Math.floor(next() * (bytes.length - from))] = Math.floor(next() * 256);
        }
      }
      rejected += Number(
        refused(() => {
          const tokenizer = sentencePieceTokenizer(bytes);
          tokenizer.decode(tokenizer.encode("Task: pick up the cup, State: 1 2 ½;\n"));
        }),
      );
    }
    expect(rejected).toBeGreaterThan(CASES / 40);
    for (let i = 0; i < CASES; i++) {
      const bytes = Uint8Array.from({ length: Math.floor(next() * 64) }, () => Math.floor(next() * 256));
      refused(() => sentencePieceTokenizer(bytes));
    }
  });

  test("text tokenizers of JSON", () => {
    const next = random(46);
    const junk = [null, -1, "", [], {}, true, ["a", "a"], { model: { type: "BPE" } }];
    const good = makeByteTokenizer({ pieces: ["cup", "Task: "] }).toJSON();
    for (let i = 0; i < CASES; i++) {
      refused(() => parseByteTokenizer(mutate(good, next, junk)).encode("Task: cup"));
    }
    const chars = ["<s>", "</s>", "\u0120", "t", "h", "e", "th", "the"];
    const hf = {
      added_tokens: [
        {
          id: 0,
          content: "<s>",
          special: true,
          lstrip: false,
          rstrip: false,
          normalized: false,
          single_word: false,
        },
      ],
      normalizer: { type: "Sequence", normalizers: [{ type: "NFC" }, { type: "Lowercase" }] },
      pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, use_regex: true },
      post_processor: null,
      decoder: { type: "ByteLevel" },
      model: {
        type: "BPE",
        vocab: Object.fromEntries(chars.map((piece, id) => [piece, id])),
        merges: ["t h", "th e"],
        unk_token: "<s>",
      },
    };
    expect(hfTextTokenizer(hf).encode("The")).toEqual([7]);
    let rejected = 0;
    for (let i = 0; i < CASES; i++) {
      rejected += Number(
        refused(() => {
          const tokenizer = hfTextTokenizer(mutate(hf, next, junk));
          tokenizer.decode(tokenizer.encode("The the \u00e9", { addBos: true }));
        }),
      );
    }
    expect(rejected).toBeGreaterThan(CASES / 20);
    expect(rejected).toBeLessThan(CASES);
    for (const value of [undefined, ...junk]) expect(refused(() => hfTextTokenizer(value))).toBe(true);
  });

  test("long input stays cheap", () => {
    const tokenizer = fastPlus();
    const zeros = new Int32Array(1 << 17);
    const ids = tokenizer.encodeCoefficients(zeros);
    expect(ids.length).toBeLessThan(zeros.length / 500);
    expect(tokenizer.decodeCoefficients(ids, zeros.length).some((q) => q !== 0)).toBe(false);
    // An id of FAST+ may stand for 1593 coefficients: counting goes on, memory does not grow.
    const bomb = new Int32Array(1e5).fill(ids[0]!);
    const { status } = tokenizer.decode(bomb, { horizon: 16, dim: 8, onError: "status" });
    expect(status).toBe("wrong-count");
  });
});

/** Run, and give the memory it left in use and the time it took a bound. */
function bounded(run: () => unknown): void {
  const used = (): number => process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers;
  const before = used();
  const start = performance.now();
  run();
  expect(performance.now() - start).toBeLessThan(5000);
  expect(used() - before).toBeLessThan(200e6);
}

/** Arrays in arrays, or objects in objects under one key. */
function nested(depth: number, key?: string): unknown {
  let value: unknown = 1;
  for (let i = 0; i < depth; i++) value = key === undefined ? [value] : { [key]: value };
  return value;
}

describe("small files that mean to take much", () => {
  const chunk = smoothChunk(16, 2, random(1));
  const good = fitFastTokenizer([chunk], { vocabSize: 300, byteAlphabet: true });
  const fastWith =
    (model: object, more: object = {}, config: object = {}) =>
    () =>
      new FastActionTokenizer({
        tokenizer: { ...good.tokenizer, ...more, model: { ...good.tokenizer.model, ...model } },
        config: { ...good.config, ...config },
      });

  test("JSON nested deeper than any stack", () => {
    const deep = [nested(200_000), nested(200_000, "normalizer"), nested(200_000, "pretokenizers")];
    for (const value of deep) {
      bounded(() => {
        for (const model of [
          { type: value },
          { vocab: value },
          { vocab: { a: value } },
          { merges: [value] },
        ]) {
          expect(refused(fastWith(model))).toBe(true);
        }
        expect(refused(fastWith({}, {}, { scale: value }))).toBe(true);
        refused(() => fastWith({}, { normalizer: { type: "Sequence", normalizers: value } })().encode(chunk));
        refused(() => fastWith({}, { decoder: { type: "ByteLevel", more: value } })().encode(chunk));
        expect(
          refused(() => parseByteTokenizer({ type: "insula-byte-tokenizer", version: 1, pieces: [value] })),
        ).toBe(true);
        refused(() =>
          hfTextTokenizer({ ...good.tokenizer, post_processor: null, normalizer: value }).encode("a"),
        );
        refused(() => hfTextTokenizer(value));
      });
    }
  });

  test("objects that are no text", () => {
    const odd = { toString: 1, valueOf: null };
    for (const model of [
      { type: odd },
      { vocab: { a: odd } },
      { merges: [odd, odd] },
      { merges: [[odd, odd]] },
    ]) {
      expect(refused(fastWith(model))).toBe(true);
    }
    expect(
      refused(() => parseByteTokenizer({ type: "insula-byte-tokenizer", version: 1, pieces: [odd] })),
    ).toBe(true);
  });

  test("messages stay short whatever they quote", () => {
    const long = "x".repeat(1e6);
    for (const model of [
      { type: long },
      { vocab: { [long]: -1 } },
      { merges: [long] },
      { merges: [new Array(1e5).fill(0)] },
    ]) {
      expect(fastWith(model)).toThrow(/^.{1,300}$/);
    }
  });

  test("ids and sizes that are numbers, but what numbers", () => {
    bounded(() => {
      for (const id of [2 ** 20, 2 ** 31, 2 ** 53, 1e308, -1, 0.5]) {
        expect(refused(fastWith({ vocab: { ...good.tokenizer.model.vocab, zz: id } }))).toBe(true);
      }
      // The largest that is allowed.
      const large = fastWith({ vocab: { ...good.tokenizer.model.vocab, zz: 2 ** 20 - 1 } })();
      expect(large.encode(chunk)).toEqual(new FastActionTokenizer(good).encode(chunk));
      for (const scale of [0, 5e-324, 1e-300, 1e300, -1])
        expect(refused(fastWith({}, {}, { scale }))).toBe(true);
      const wide = fastWith({}, {}, { time_horizon: 2 ** 50, action_dim: 2 ** 50 })();
      expect(refused(() => wide.decode([1]))).toBe(true);
      for (const shape of [
        { horizon: 2 ** 31, dim: 2 ** 31 },
        { horizon: 1, dim: 2 ** 40 },
      ]) {
        expect(refused(() => wide.decode([1], shape))).toBe(true);
      }
      expect(refused(() => wide.decodeCoefficients([1], 2 ** 40))).toBe(true);
    });
  });

  test("many pieces that begin alike", () => {
    const pieces = Array.from({ length: 100_000 }, (_, i) => `a${i}`);
    bounded(() => expect(makeByteTokenizer({ pieces }).encode("a99999")).toEqual([259 + 99_999]));
  });

  test("SentencePiece: lengths beyond the file, fields without an end", () => {
    const varint = (n: number): number[] =>
      n < 128 ? [n] : [(n & 127) | 128, ...varint(Math.floor(n / 128))];
    const files = [
      ...[1e3, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 50].flatMap((length) => [
        // A piece, a piece's text, the trainer's and the normaliser's specification of that length.
        [0x0a, ...varint(length)],
        [0x0a, 6, 0x0a, ...varint(length)],
        [0x12, ...varint(length), 0x18],
        [0x1a, 12, 0x12, ...varint(length)],
      ]),
      new Array<number>(20).fill(0xff),
      [0x00],
    ];
    bounded(() => {
      for (const file of files)
        expect(refused(() => sentencePieceTokenizer(Uint8Array.from(file)))).toBe(true);
      // Groups in groups: the reader goes as deep as they do.
      for (const tag of [0x0b, 0x23, 0x0c]) {
        expect(refused(() => sentencePieceTokenizer(new Uint8Array(2_000_000).fill(tag)))).toBe(true);
      }
      // A million empty pieces.
      const empty = Uint8Array.from({ length: 2_000_000 }, (_, i) => (i % 2 ? 0 : 0x0a));
      expect(refused(() => sentencePieceTokenizer(empty))).toBe(true);
    });
  });
});

/** A deep copy with one place replaced by junk, removed, or nudged. */
function mutate(value: unknown, next: () => number, junk: readonly unknown[]): unknown {
  if (typeof value !== "object" || value === null || next() < 0.03) {
    if (typeof value === "number" && next() < 0.5) return value + Math.floor(next() * 3) - 1;
    return junk[Math.floor(next() * junk.length)];
  }
  const entries = Object.entries(value);
  const at = Math.floor(next() * entries.length);
  const [key, inner] = entries[at] ?? ["x", 0];
  if (Array.isArray(value)) {
    const copy = [...value];
    if (next() < 0.2) copy.splice(at, 1);
    else copy[at] = mutate(inner, next, junk);
    return copy;
  }
  const copy: Record<string, unknown> = { ...value };
  if (next() < 0.2) delete copy[key];
  else copy[key] = mutate(inner, next, junk);
  return copy;
}
