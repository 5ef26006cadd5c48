/** Broken and malicious input: whatever comes, an InsulaError or a valid result, in bounded time. */
import { readFileSync } from "node:fs";
import { InsulaError } from "@insula/model-types";
import { describeShared, sharedPath } from "@insula/test-kit";
import { expect, test } from "vitest";
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

const CASES = 10_000;

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

describeShared("hostile input", () => {
  test("decode: 10⁴ lists of ids", () => {
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

  test("extractActions: 10⁴ sequences", () => {
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
    for (let i = 0; i < 1000; i++) {
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
    expect(rejected).toBeGreaterThan(300);
    for (let i = 0; i < CASES; i++) {
      const bytes = Uint8Array.from({ length: Math.floor(next() * 64) }, () => Math.floor(next() * 256));
      refused(() => sentencePieceTokenizer(bytes));
    }
  });

  test("text tokenizers of JSON", () => {
    const next = random(46);
    const junk = [null, -1, "", [], {}, true, ["a", "a"], { model: { type: "BPE" } }];
    const good = makeByteTokenizer({ pieces: ["cup", "Task: "] }).toJSON();
    for (let i = 0; i < 2000; i++) {
      refused(() => parseByteTokenizer(mutate(good, next, junk)).encode("Task: cup"));
    }
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
