/**
 * node scripts/lib/gpu-placement.mjs [--device cuda:0]
 *
 * Opens every model that training and sampling run, of every model type, and lists operators that ONNX Runtime did
 * not give to the device. Prints one JSON object; exit code 1 if there is such an operator.
 */
import { parseArgs } from "node:util";

const dist = (name) => import(new URL(`../../packages/${name}/dist/index.js`, import.meta.url).href);
const { buildArtifact, buildFastDecodeModel, buildFastPrefixModel, serializeModel } = await dist("ki-model");
const { makeModelConfig } = await dist("model-types");
const { createSession } = await dist("ort-session");

const { values } = parseArgs({ options: { device: { type: "string", default: "cuda" } } });
const TYPES = {
  pi0: {},
  pi05: { pi05: true },
  pi05_ki: { pi05: true, knowledgeInsulation: true },
  pi0_fast: { pi0Fast: true },
};
const device = values.device;
const expected = device === "cpu" ? "CPUExecutionProvider" : "CUDAExecutionProvider";

const models = [];
for (const [type, fields] of Object.entries(TYPES)) {
  for (const rematerialize of [false, true]) {
    const config = makeModelConfig({ size: "tiny", vocabSize: 4096, ...fields });
    const options = {
      batchSize: 2,
      rematerialize,
      optimizer: { emaDecay: 0.99 },
      tokenBuckets: [config.maxTokenLen / 2],
    };
    const { models: built } = buildArtifact(config, options);
    if (type === "pi0_fast" && !rematerialize) {
      const inference = { batchSize: 1 };
      built.fast_prefix = serializeModel(buildFastPrefixModel(config, inference), "fast_prefix").bytes;
      built.fast_decode = serializeModel(
        buildFastDecodeModel(config, { ...inference, cacheLength: 64 }),
        "fast_decode",
      ).bytes;
    }
    for (const [name, bytes] of Object.entries(built)) {
      const session = await createSession(bytes, {
        runtime: "capi",
        device,
        disabledOptimizers: rematerialize ? ["CommonSubexpressionElimination"] : [],
      });
      const placement = session.placement();
      if (!placement?.length)
        throw new Error(`${type} ${name}: ONNX Runtime does not say where its nodes are`);
      const elsewhere = {};
      for (const { opType, provider } of placement)
        if (provider !== expected) elsewhere[opType] = (elsewhere[opType] ?? 0) + 1;
      models.push({ type, rematerialize, name, nodes: placement.length, elsewhere });
      await session.release();
    }
  }
}
const bad = models.filter((m) => Object.keys(m.elsewhere).length > 0);
const nodes = models.reduce((sum, m) => sum + m.nodes, 0);
console.log(JSON.stringify({ device, provider: expected, models: models.length, nodes, bad }));
process.exitCode = bad.length ? 1 : 0;
