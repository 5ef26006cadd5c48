/** @file Which action tokenizer a run uses, and training with each kind. */
import { cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fitFastTokenizer } from "@insula/fast-tokenizer";
import { saveFastTokenizer } from "@insula/fast-tokenizer/node";
import { ensureSampleData, type SampleDataPaths } from "@insula/sample-data";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { parseOverrides } from "../src/configs/overrides.js";
import { getConfig } from "../src/configs/registry.js";
import { resolveConfig } from "../src/configs/resolve.js";
import type { RunConfig } from "../src/configs/types.js";
import { findData } from "../src/data/source.js";
import { loadTokenizers, type Tokenizers } from "../src/data/tokenizers.js";
import { runCli } from "../src/program.js";

const base = mkdtempSync(join(tmpdir(), "insula-action-tokenizers-"));
afterAll(() => rmSync(base, { recursive: true }));
afterEach(() => vi.unstubAllEnvs());

let sample: SampleDataPaths;
beforeAll(async () => {
  sample = await ensureSampleData(join(base, "data"), undefined, { episodes: 4 });
});

const resolve = (name: string, size: "tiny" | "full", ...set: string[]): RunConfig =>
  resolveConfig(getConfig(name), {
    size,
    overrides: parseOverrides([`data.repoId=${sample.datasetDir}`, ...set]),
  });

/** What `insula train` would load. */
async function tokenizersOf(config: RunConfig, tokenizers?: string): Promise<Tokenizers> {
  const source = await findData(config, {
    log: () => undefined,
    ...(tokenizers === undefined ? {} : { tokenizers }),
  });
  return loadTokenizers(source.tokenizers, config.model);
}

async function insula(...args: string[]) {
  const [out, err]: [string[], string[]] = [[], []];
  const code = await runCli(args, { out: (l) => out.push(l), err: (l) => err.push(l) });
  return { code, out: out.join("\n"), err: err.join("\n") };
}

test("a configuration's FAST tokenizer comes before the embedded one, and after that of --tokenizers", async () => {
  const own = join(base, "own");
  const chunk = { data: Float64Array.from({ length: 120 }, (_, i) => Math.sin(i)), shape: [15, 8] };
  await saveFastTokenizer(own, fitFastTokenizer([chunk], { scale: 7, vocabSize: 300, byteAlphabet: true }));
  const named = resolve("paligemma_fast_specialist_droid", "tiny", `data.fastModelTokenizer.path=${own}`);
  const plain = resolve("paligemma_fast_droid", "tiny");
  expect((await tokenizersOf(named)).fast!.scale).toBe(7);
  expect((await tokenizersOf(plain)).fast!.scale).toBe(10);

  const text = join(base, "given", "text");
  mkdirSync(text, { recursive: true });
  cpSync(sample.textTokenizerPath, join(text, "tokenizer.json"));
  // A folder without FAST leaves the configuration its own; size full has no embedded text tokenizer, either.
  expect((await tokenizersOf({ ...named, size: "full" }, join(base, "given"))).fast!.scale).toBe(7);
  cpSync(sample.fastTokenizerDir, join(base, "given", "fast"), { recursive: true });
  expect((await tokenizersOf(named, join(base, "given"))).fast!.scale).toBe(10);
});

test("without a network, a repository that was never downloaded is an error that says what to do", async () => {
  vi.stubEnv("HF_HUB_OFFLINE", "1");
  vi.stubEnv("HF_HUB_CACHE", join(base, "empty"));
  const train = ["train", "paligemma_fast_specialist_droid", "--log-dir", join(base, "offline")];
  const { code, err } = await insula(...train, "--dataset", sample.datasetDir, "--size", "tiny");
  expect(code).toBe(1);
  expect(err.replaceAll(base, "BASE")).toMatchInlineSnapshot(
    `"error: data.fastModelTokenizer.path: KarlP/fast_droid_specialist at main: not in BASE/empty/models--KarlP--fast_droid_specialist, and offline (HF_HUB_OFFLINE or the option); load it once with a network, for tokenizer.json, bpe_tokenizer/tokenizer.json, processor_config.json; nor is there such a path here; or put the tokenizer into fast/ of a --tokenizers folder [hub/offline]"`,
  );
});

test("size full asks for the tokenizers that are missing, and for no others", async () => {
  await expect(tokenizersOf(resolve("paligemma_fast_droid", "full"))).rejects.toMatchInlineSnapshot(
    `[InsulaError: size full needs PaliGemma's tokenizer (text/tokenizer.model) and FAST+ (fast/tokenizer.json, fast/processor_config.json) in one folder: --tokenizers DIR. With --size tiny or small there are embedded ones]`,
  );
  await expect(
    tokenizersOf(resolve("paligemma_fast_specialist_droid", "full")),
  ).rejects.toMatchInlineSnapshot(
    `[InsulaError: size full needs PaliGemma's tokenizer (text/tokenizer.model) in a folder: --tokenizers DIR. With --size tiny or small there are embedded ones]`,
  );
});

test.each([
  "data.fastModelTokenizer.pth=x",
  'data.fastModelTokenizer={"type":"fsst","path":null}',
  "data.fastModelTokenizer.path=3",
])("--set %s is refused", (setting) => {
  expect(() => resolve("paligemma_fast_droid", "tiny", setting)).toThrowErrorMatchingSnapshot();
});
