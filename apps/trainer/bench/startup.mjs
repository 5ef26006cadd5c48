/**
 * Time from a configuration to a session that can train: graphs, gradients, ONNX Runtime's sessions.
 *
 *     pnpm bench startup [--rounds 3]
 *
 * Two models: `small` as `pnpm bench step` has it, and `deep`, which has every layer of the full size (27 + 18 + 18) at
 * toy widths. Each is started without a cache folder, into an empty one and from a filled one; the parameters' random
 * draws are counted apart. About one minute. Expected on two quiet cores: small below 5 s, deep below 60 s.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { buildArtifact, initParams, paramSpecs, toGraphParams } from "@insula/ki-model";
import { makeModelConfig } from "@insula/model-types";
import { createSession } from "@insula/ort-session";

const { values: args } = parseArgs({ options: { rounds: { type: "string", default: "3" } } });
const common = { pi05: true, knowledgeInsulation: true, actionHorizon: 16 };
const heads = { numHeads: 8, numKvHeads: 1, headDim: 16 };
const MODELS = {
  small: { ...common, size: "small", vocabSize: 4096 },
  deep: {
    ...common,
    vocabSize: 1024,
    imageSize: 56,
    maxTokenLen: 200,
    vlm: { width: 64, depth: 18, mlpDim: 128, ...heads },
    expert: { width: 32, depth: 18, mlpDim: 64, ...heads },
    siglip: { width: 48, depth: 27, mlpDim: 96, numHeads: 4, patchSize: 14 },
  },
};
const LIMITS = { small: 5, deep: 60 };

/** Seconds of each part. Sessions open side by side, as training opens them. */
async function start(config, cacheDir) {
  const t0 = performance.now();
  const { models } = buildArtifact(config, { batchSize: 4, imageKeys: config.imageKeys.slice(0, 2) });
  const t1 = performance.now();
  const options = { sharedArena: true, ...(cacheDir ? { cacheDir } : {}) };
  const sessions = await Promise.all([
    createSession(models.training_model, options),
    createSession(models.optimizer_model, { ...options, optimizationLevel: "none" }),
  ]);
  const t2 = performance.now();
  for (const session of sessions) await session.release();
  return { graphs: (t1 - t0) / 1000, sessions: (t2 - t1) / 1000, total: (t2 - t0) / 1000 };
}

for (const [name, declared] of Object.entries(MODELS)) {
  const config = makeModelConfig(declared);
  const began = performance.now();
  toGraphParams(paramSpecs(config), initParams(config, 0));
  console.log(`${name}: random parameters ${((performance.now() - began) / 1000).toFixed(2)} s`);
  const results = { "no cache": [], "into the cache": [], "from the cache": [] };
  for (let round = 0; round < Number(args.rounds); round++) {
    const cacheDir = mkdtempSync(join(tmpdir(), "insula-startup-"));
    results["no cache"].push(await start(config));
    results["into the cache"].push(await start(config, cacheDir));
    results["from the cache"].push(await start(config, cacheDir));
    rmSync(cacheDir, { recursive: true });
  }
  for (const [kind, runs] of Object.entries(results)) {
    const least = runs.reduce((a, b) => (b.total < a.total ? b : a));
    console.log(
      `  ${kind.padEnd(16)}${least.total.toFixed(2).padStart(6)} s = ${least.graphs.toFixed(2)} graphs + ` +
        `${least.sessions.toFixed(2)} sessions   all ${runs.map((r) => r.total.toFixed(2)).join(" ")}` +
        `   ${least.total <= LIMITS[name] ? "ok" : `more than ${LIMITS[name]} s`}`,
    );
  }
}
