import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { InsulaError } from "@insula/model-types";
import { describeShared, sharedPath } from "@insula/test-kit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { FastActionTokenizer, fitFastTokenizer, makeByteTokenizer } from "../src/index.js";
import { loadFastTokenizer, loadTextTokenizer, saveFastTokenizer } from "../src/node.js";
import { FITTED, random, smoothChunk } from "./shared-fast.js";

const codeOf = (run: Promise<unknown>): Promise<string> =>
  run.then(
    () => "none",
    (error: InsulaError) => error.code,
  );

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "insula-fast-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe("tokenizers as files", () => {
  test("a fitted tokenizer is the same after saving and loading", async () => {
    const chunks = Array.from({ length: 30 }, (_, i) => smoothChunk(16, 4, random(i)));
    const fitted = fitFastTokenizer(chunks, { vocabSize: 300 });
    const path = join(folder, "deep", "fast");
    await saveFastTokenizer(path, fitted);
    const loaded = await loadFastTokenizer(path);
    expect(loaded.files).toEqual(fitted);
    expect(loaded.encode(chunks[0]!)).toEqual(new FastActionTokenizer(fitted).encode(chunks[0]!));
  });

  test("a byte tokenizer is recognised", async () => {
    const path = join(folder, "text.json");
    const made = makeByteTokenizer({ pieces: ["cup"] });
    writeFileSync(path, JSON.stringify(made));
    const loaded = await loadTextTokenizer(path);
    expect(loaded.encode("a cup")).toEqual(made.encode("a cup"));
  });

  test("missing and broken files", async () => {
    const broken = join(folder, "broken.json");
    writeFileSync(broken, "{");
    expect(await codeOf(loadFastTokenizer(join(folder, "nowhere")))).toBe("fast/missing-file");
    expect(await codeOf(loadTextTokenizer(join(folder, "nowhere.model")))).toBe("text/missing-file");
    expect(await codeOf(loadTextTokenizer(folder))).toBe("text/missing-file");
    expect(await codeOf(loadTextTokenizer(broken))).toBe("text/json");
    writeFileSync(join(folder, "tokenizer.json"), "{}");
    expect(await codeOf(loadFastTokenizer(folder))).toBe("fast/missing-file");
    writeFileSync(join(folder, "processor_config.json"), "[]");
    expect(await codeOf(loadFastTokenizer(folder))).toBe("fast/tokenizer-json");
  });
});

describeShared("published tokenizers", () => {
  test("load from their folders", async () => {
    const sizes = await Promise.all(
      ["data/fast_plus", ...FITTED.map((name) => `data/fast_fitted/${name}`)].map(async (path) => {
        const { vocabSize, scale, minToken, bpe } = await loadFastTokenizer(sharedPath(path));
        return [vocabSize, scale, minToken, bpe];
      }),
    );
    expect(sizes).toEqual([
      [2048, 10, -354, "integer"],
      [1024, 10, -71, "integer"],
      [1024, 50, -158, "integer"],
      [1024, 50, -112, "integer"],
      [1024, 50, -158, "integer"],
      [1024, 50, -158, "integer"],
    ]);
  });

  test("text tokenizers by their kind", async () => {
    const model = await loadTextTokenizer(sharedPath("data/text_tokenizers/mistral_v1/tokenizer.model.v1"));
    const json = await loadTextTokenizer(
      sharedPath("data/text_tokenizers/kitoken_golden/tokenizers/mistral01.tokenizer.json"),
    );
    expect(json.encode("pick up the cup")).toEqual(model.encode("pick up the cup"));
  });
});
