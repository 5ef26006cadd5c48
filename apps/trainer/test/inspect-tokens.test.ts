import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FastActionTokenizer } from "@insula/fast-tokenizer";
import { openLeRobotDataset } from "@insula/lerobot-dataset";
import { InsulaError, type NdArray } from "@insula/model-types";
import { ensureSampleData } from "@insula/sample-data";
import { describeShared, sharedPath } from "@insula/test-kit";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { getConfig } from "../src/configs/registry.js";
import { resolveConfig } from "../src/configs/resolve.js";
import { makePipeline } from "../src/data/pipeline.js";
import { findData } from "../src/data/source.js";
import type { Tokenizers } from "../src/data/tokenizers.js";
import { trainSample } from "../src/data/train-data.js";
import {
  count,
  emptyDistribution,
  histogram,
  summarize,
  svgHistogram,
  textHistogram,
} from "../src/inspect/distribution.js";
import { fastTargets, maxFastTargets } from "../src/inspect/fast-targets.js";
import { type TokenizedFrame, tokenizedFrames } from "../src/inspect/frames.js";
import { openTokenSource, type TokenSource } from "../src/inspect/source.js";
import { auditTokens, type TokenAudit } from "../src/inspect/token-audit.js";
import { actionDecoder } from "../src/inspect/token-table.js";
import { runCli } from "../src/program.js";

const base = mkdtempSync(join(tmpdir(), "insula-inspect-"));
afterAll(() => rmSync(base, { recursive: true }));
beforeAll(() => ensureSampleData());

function fastOf({ actions }: Tokenizers): FastActionTokenizer {
  if (actions?.type !== "fast") throw new Error(`expected FAST, found ${actions?.type}`);
  return actions.codec;
}

async function insula(...args: string[]) {
  const lines = { out: [] as string[], err: [] as string[] };
  const code = await runCli(args, {
    out: (line) => void lines.out.push(line),
    err: (line) => void lines.err.push(line),
  });
  return { code, out: lines.out.join("\n"), err: lines.err.join("\n") };
}

async function withSource<T>(
  options: { config?: string; dataset?: string; model?: Record<string, unknown> },
  run: (source: TokenSource) => Promise<T>,
): Promise<T> {
  const { config: name = "pi05_droid_ki", dataset, model } = options;
  const config = resolveConfig(getConfig(name), {
    size: "tiny",
    overrides: {
      data: { ...(dataset ? { repoId: dataset } : {}), defaultPrompt: "do something" },
      ...(model ? { model } : {}),
    },
  });
  const source = await openTokenSource(config, await findData(config, { log: () => undefined }));
  try {
    return await run(source);
  } finally {
    await source.dataset.close();
  }
}

async function all(frames: AsyncIterable<TokenizedFrame>): Promise<TokenizedFrame[]> {
  const out: TokenizedFrame[] = [];
  for await (const frame of frames) out.push(frame);
  return out;
}

test("tokens are those that training sees, image by image", async () => {
  await withSource({}, async (source) => {
    const { config, spec, stats, tokenizers, dataset } = source;
    const pipeline = makePipeline({ config, spec, stats, tokenizers, tasks: dataset.tasks });
    const withImages = await openLeRobotDataset(dataset.root, { cameras: [...spec.cameraColumns] });
    const frames = await all(tokenizedFrames(source, 5));
    expect(frames).toHaveLength(5);
    expect(new Set(frames.map((f) => f.episode)).size).toBe(5);
    for (const { episode, frame, tokens } of frames) {
      const at = dataset.episodes.find((e) => e.index === episode)!.from + frame;
      const sample = await withImages.sample(at, {
        actionHorizon: config.model.actionHorizon,
        actionKeys: [spec.actionKey],
      });
      const trained = trainSample(pipeline, sample);
      expect(tokens).toMatchObject({
        tokens: (trained["tokenized_prompt"] as NdArray).data,
        tokenMask: (trained["tokenized_prompt_mask"] as NdArray).data,
        lossMask: (trained["token_loss_mask"] as NdArray).data,
      });
    }
    await withImages.close();
  });
});

describeShared("real DROID episodes", () => {
  const dataset = (name: string) => sharedPath("data", "lerobot", name);

  test("three forms of one dataset give one audit", async () => {
    const audits: TokenAudit[] = [];
    for (const name of ["droid_subset_v21", "droid_subset_v30", "droid_subset_v30_multifile"]) {
      audits.push(await withSource({ dataset: dataset(name) }, (source) => auditTokens(source)));
    }
    const [first, ...others] = audits.map(({ dataset: _, ...rest }) => rest);
    for (const other of others) expect(other).toEqual(first);
  });

  test("counts are those of the sequences, errors those of coding and back", async () => {
    // Shorter than the longest: some are cut.
    const options = { dataset: dataset("droid_subset_v30"), model: { maxTokenLen: 160 } };
    await withSource(options, async (source) => {
      const audit = await auditTokens(source, { example: 3 });
      const frames = await all(tokenizedFrames(source));
      const tokens = frames.flatMap(({ tokens: t }) =>
        !(t instanceof InsulaError) && "lossMask" in t ? [t] : [],
      );
      expect(audit.samples).toBe(frames.length);
      expect(audit.frames).toBe(frames.length);
      expect(audit.cut).toBe(tokens.filter((t) => t.length > audit.maxTokenLen).length);
      expect(audit.cut).toBeGreaterThan(0);
      const lengths = tokens.map((t) => t.length).sort((a, b) => a - b);
      expect([audit.length.min, audit.length.max]).toEqual([lengths[0], lengths.at(-1)]);
      expect(audit.length.mean).toBeCloseTo(lengths.reduce((a, b) => a + b) / lengths.length, 9);
      expect(audit.histogram.reduce((sum, bin) => sum + bin.count, 0)).toBe(frames.length);
      const targets = tokens.map((t) => fastTargets(t.lossMask));
      expect(audit.maxFastTargets).toBe(Math.max(...targets));
      expect(await maxFastTargets(source)).toBe(audit.maxFastTargets);

      // Errors of the first joint, by hand: half the quantile range per normalised unit.
      const fast = fastOf(source.tokenizers);
      const { q01, q99 } = source.stats["actions"]!;
      let [sum, n, max] = [0, 0, 0];
      for (const { actions } of frames) {
        const [horizon, dim] = actions.shape as [number, number];
        const back = fast.decode(fast.encode(actions), { horizon, dim }).actions.data;
        for (let t = 0; t < horizon; t++, n++) {
          const error =
            (Math.abs(back[t * dim]! - actions.data[t * dim]!) * (q99![0]! - q01![0]! + 1e-6)) / 2;
          sum += error ** 2;
          max = Math.max(max, error);
        }
      }
      expect(audit.quantization[0]).toMatchObject({ name: "joint 1 (rad/s)" });
      expect(audit.quantization[0]!.rmse).toBeCloseTo(Math.sqrt(sum / n), 9);
      expect(audit.quantization[0]!.max).toBeCloseTo(max, 9);

      // The example's rows are its sequence.
      const shown = frames[3]!;
      expect(audit.example).toMatchObject({ episode: shown.episode, frame: shown.frame });
      const ids = (shown.tokens as { tokens: Int32Array; length: number }).tokens;
      const rows = audit.example!.tokens.filter((row) => row.kind !== "pad");
      expect(rows.map((row) => row.id)).toEqual([...ids.subarray(0, rows.length)]);
      expect(rows.filter((row) => row.loss).map((row) => row.attention)).toEqual(
        new Array(fastTargets((shown.tokens as unknown as { lossMask: Uint8Array }).lossMask)).fill("causal"),
      );
    });
  });

  test("with room for the longest none is cut, and the bound grows", async () => {
    const short = { dataset: dataset("droid_subset_v30"), model: { maxTokenLen: 160 } };
    const small = await withSource(short, (source) => auditTokens(source));
    const options = { dataset: dataset("droid_subset_v30"), model: { maxTokenLen: small.length.max } };
    const audit = await withSource(options, (source) => auditTokens(source));
    expect(audit).toMatchObject({ cut: 0, length: small.length });
    expect(audit.maxFastTargets).toBe(audit.causalTokens.max);
    expect(audit.maxFastTargets).toBeGreaterThan(small.maxFastTargets);
  });

  test("coefficients of the token table are the chunk's", async () => {
    await withSource({ dataset: dataset("droid_subset_v30") }, async (source) => {
      const fast = fastOf(source.tokenizers);
      for (const { actions } of await all(tokenizedFrames(source, 8))) {
        const decode = actionDecoder(fast, 8);
        const spelt = [...fast.encode(actions)].flatMap((id) => {
          const text = decode(id);
          if (text.startsWith("…")) return [];
          return text
            .split(": ")[1]!
            .split(" ")
            .flatMap((run) => {
              const [value, times = 1] = run.split("×").map(Number) as [number, number?];
              return new Array<number>(times).fill(value);
            });
        });
        expect(spelt).toEqual([...fast.quantize(actions)]);
      }
    });
  });

  test("the command: text, JSON, SVG", async () => {
    const svg = join(base, "lengths.svg");
    const args = ["inspect", "tokens", "--size", "tiny", "--dataset", dataset("droid_subset_v30")];
    const cut = ["--set", "model.maxTokenLen=160"];
    const { code, out, err } = await insula(...args, ...cut, "--svg", svg);
    expect({ code, err }).toEqual({ code: 0, err: `histogram written to ${svg}` });
    expect(out).toContain("all 542 frames in 7 training episodes");
    expect(out).toMatch(/\d+ of 542 samples \([\d.]+ %\) are longer than maxTokenLen 160/);
    expect(out).toMatch(/gripper \(0 open, 1 closed\) +0\.\d+ +0\.\d+/);
    expect(out).toMatch(/special +prefix +<bos>/);
    expect(readFileSync(svg, "utf8")).toMatch(/^<svg [\s\S]*maxTokenLen 160[\s\S]*<\/svg>\n$/);
    const json = await insula(...args, "--json", "--samples", "20");
    expect(JSON.parse(json.out)).toMatchObject({ samples: 20, frames: 542, modelType: "pi05_ki" });
  });
});

test("model types without FAST: the prompt alone", async () => {
  const audit = await withSource({ config: "pi05_droid" }, (source) => auditTokens(source, { limit: 50 }));
  expect(audit).toMatchObject({ samples: 50, maxFastTargets: 0, quantization: [], cut: 0 });
  expect(audit.length).toEqual(audit.promptTokens);
  expect(audit.example!.tokens.every((row) => row.attention !== "causal" && !row.loss)).toBe(true);
});

test("prompts that fill the row are counted apart; what cannot be encoded is told, or stops the bound", async () => {
  const tight = await withSource({ model: { maxTokenLen: 12 } }, (source) =>
    auditTokens(source, { limit: 9 }),
  );
  expect(tight).toMatchObject({ samples: 9, cut: 9, cutPrompts: 9, maxFastTargets: 0 });
  await withSource({}, async (source) => {
    const actions = source.stats["actions"]!;
    // A dimension without spread: normalised actions of a million.
    const collapsed = { ...actions, q99: actions.q01!.slice() };
    const broken = { ...source, stats: { ...source.stats, actions: collapsed } };
    const audit = await auditTokens(broken, { limit: 40 });
    expect(audit.refused.count).toBeGreaterThan(0);
    expect(audit.refused.first).toMatch(/^episode \d+, frame \d+: fast: dimension \d/);
    await expect(maxFastTargets(broken)).rejects.toThrow(/^episode \d+, frame \d+: fast: dimension/);
  });
});

test("--svg that cannot be written is refused before any work", async () => {
  const { code, err } = await insula("inspect", "tokens", "--svg", "/dev/null/x.svg");
  expect(code).toBe(1);
  expect(err).toMatch(/^error: --svg .*\[run\/unwritable\]$/);
  expect(existsSync("/dev/null/x.svg")).toBe(false);
});

test("distributions: percentiles that occur, bins that hold everything", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(400), { minLength: 1, maxLength: 300 }), fc.nat(400), (values, limit) => {
      const distribution = emptyDistribution();
      for (const value of values) count(distribution, value);
      const sorted = [...values].sort((a, b) => a - b);
      const summary = summarize(distribution);
      expect(summary.min).toBe(sorted[0]);
      expect(summary.max).toBe(sorted.at(-1));
      expect(summary.p50).toBe(sorted[Math.ceil(0.5 * values.length) - 1]);
      expect(summary.p99).toBe(sorted[Math.ceil(0.99 * values.length) - 1]);
      const bins = histogram(distribution);
      for (const { from, to, count: n } of bins) {
        expect(n).toBe(values.filter((v) => v >= from && v <= to).length);
      }
      expect(bins.reduce((sum, bin) => sum + bin.count, 0)).toBe(values.length);
      expect(textHistogram(bins, limit).split("\n")).toHaveLength(bins.length);
      const svg = svgHistogram(bins, { title: "a < b", limit, summary });
      expect(svg.match(/<rect x=/g)).toHaveLength(bins.length);
      expect(svg).toContain("a &lt; b");
      expect(svg).not.toMatch(/NaN|Infinity|undefined/);
    }),
    { numRuns: 60 },
  );
  expect(histogram(emptyDistribution())).toEqual([]);
  expect(summarize(emptyDistribution())).toEqual({ min: 0, p50: 0, mean: 0, p99: 0, max: 0 });
});
