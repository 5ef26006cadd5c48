import { type ModelConfig, withoutLora } from "@insula/model-types";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  addLora,
  buildTrainingModel,
  createFastSampler,
  createSampler,
  initParams,
  isLora,
  mergeLora,
  paramSpecs,
  toFileParams,
  toGraphParams,
} from "../src/index.js";
import { runModel, testBatch, testConfig, testParams } from "./fixtures.js";
import { both, loraConfig } from "./lora-config.js";

const config = loraConfig();
const plain = withoutLora(config);
const data = testBatch(config);

async function run(c: ModelConfig, params = testParams(c), input = data) {
  const { context, outputs } = buildTrainingModel(c, { batchSize: 2 });
  const wanted = new Map(outputs);
  if (context.taps.has("v_t")) wanted.set("v_t", context.taps.get("v_t")!);
  return runModel(context, wanted, params, input);
}

test("with B at zero, losses and the weights' gradients are those of the plain model, to the bit", async () => {
  const params = testParams(plain);
  const [adapted, base] = [await run(config, addLora(params, config, 3).params), await run(plain, params)];
  expect(Object.keys(base).length).toBeGreaterThan(60);
  for (const [name, { data }] of Object.entries(base)) {
    if (name.startsWith("grad/"))
      expect(adapted[name]!.data as Float32Array, name).toBeAllclose(data as Float32Array, { rtol: 1e-6 });
    else expect(adapted[name]!.data, name).toEqual(data);
  }
  // B moves first: its gradient is there, A's is zero while B is.
  const largest = (name: string) =>
    Math.max(...(adapted[`grad/${name}/0`]!.data as Float32Array).map(Math.abs));
  for (const einsum of ["attn/q_einsum/", "attn/kv_einsum_1/", "mlp/gating_einsum_", "mlp_1/linear_"]) {
    expect(largest(`PaliGemma/llm/layers/${einsum}lora_b`), einsum).toBeGreaterThan(1e-7);
    expect(largest(`PaliGemma/llm/layers/${einsum}lora_a`), einsum).toBe(0);
  }
});

/** Heads, groups, types, ranks, targets, scales. */
const cases: [string, ModelConfig][] = [
  ["pi05_ki", loraConfig({}, both(5, { alpha: 2, rslora: true }))],
  ["two passes", loraConfig({ kiForm: "two-pass" })],
  ["pi0", loraConfig({ pi05: false, knowledgeInsulation: false, lora: both(1, { alpha: 0.5 }) })],
  ["pi0_fast", loraConfig({ pi05: false, knowledgeInsulation: false, pi0Fast: true })],
  ["fused qkv", loraConfig({ ...heads(4, 4) })],
  ["grouped heads", loraConfig({ ...heads(4, 2) })],
  ["some targets", loraConfig({ lora: { attn: { rank: 2, targets: ["kv_einsum"] } } }, { ffn: { rank: 2 } })],
];

function heads(numHeads: number, numKvHeads: number) {
  const { vlm, expert } = testConfig();
  const of = { numHeads, numKvHeads };
  return { vlm: { ...vlm, ...of }, expert: { ...expert, ...of } };
}

describe("merged weights compute the same", () => {
  test.each(cases)("%s", async (_, adaptedConfig) => {
    const params = testParams(adaptedConfig);
    const mergedConfig = withoutLora(adaptedConfig);
    const merged = mergeLora(params, adaptedConfig);
    expect([...merged.keys()]).toEqual([...testParams(mergedConfig).keys()]);
    const batch = testBatch(adaptedConfig);
    const [adapted, base] = [await run(adaptedConfig, params, batch), await run(mergedConfig, merged, batch)];
    for (const [name, { data }] of Object.entries(base)) {
      expect(adapted[name]!.data as Float32Array, name).toBeAllclose(data as Float32Array, {
        rtol: name.startsWith("grad/") ? 1e-4 : 2e-5,
        atol: 1e-6,
      });
    }
  });
});

describe("gradients of A and B", () => {
  // dW of the merged model, as a plain matrix, decides: dA = scale · dW·Bᵀ, dB = scale · Aᵀ·dW.
  test("are the chain rule applied to the merged weight's gradient", async () => {
    const c = loraConfig({ lora: both(3, { alpha: 1.5 }) });
    const params = testParams(c);
    const adapted = await run(c, params);
    const merged = await run(withoutLora(c), mergeLora(params, c));
    const files = (out: typeof adapted, specs: ReturnType<typeof paramSpecs>) =>
      toFileParams(
        specs,
        new Map(
          specs.flatMap(({ name }) => {
            const g = out[`grad/${name}`];
            return g ? [[name, { data: g.data as Float32Array, shape: g.shape }]] : [];
          }),
        ),
      );
    const grads = files(adapted, paramSpecs(c));
    const dense = files(merged, paramSpecs(withoutLora(c)));
    const pairs = [...grads.keys()].filter((path) => path.endsWith("lora_a"));
    expect(pairs).toHaveLength(10);
    for (const path of pairs) {
      const weight = path.replace(/\/lora_a$/, "/w").replace(/_lora_a$/, "");
      const bPath = path.replace(/a$/, "b");
      const [a, b, dw] = [params.get(path)!, params.get(bPath)!, dense.get(weight)!];
      const [rank, rows, columns] = [a.shape.at(-1)!, dw.shape.at(-2)!, dw.shape.at(-1)!];
      const scale = 1.5 / rank;
      const matrices = dw.data.length / (rows * columns);
      const headsSummed = weight.includes("attn_vec") ? 4 : 1;
      const dA = new Float64Array(a.data.length);
      const dB = new Float64Array(b.data.length);
      for (let m = 0; m < matrices; m++) {
        const layer = Math.floor(m / headsSummed) * headsSummed;
        for (let other = layer; other < layer + headsSummed; other++) {
          const up = headsSummed === 1 ? m : other;
          for (let i = 0; i < rows; i++)
            for (let j = 0; j < columns; j++)
              for (let r = 0; r < rank; r++) {
                const g = scale * dw.data[(m * rows + i) * columns + j]!;
                dA[(m * rows + i) * rank + r]! += g * b.data[(up * rank + r) * columns + j]!;
                dB[(up * rank + r) * columns + j]! += g * a.data[(m * rows + i) * rank + r]!;
              }
        }
      }
      expect(grads.get(path)!.data, path).toBeAllclose(Float32Array.from(dA), { rtol: 1e-4, atol: 1e-6 });
      expect(grads.get(bPath)!.data, bPath).toBeAllclose(Float32Array.from(dB), { rtol: 1e-4, atol: 1e-6 });
    }
  });

  test("are the slope of the loss that trains them", async () => {
    const params = testParams(config);
    const { context, outputs, losses } = buildTrainingModel(config, { batchSize: 2 });
    const gradients = await runModel(context, outputs, params, data);
    const cases = [
      ["attn/q_einsum/lora_a", "fast_loss"],
      ["attn/attn_vec_einsum/lora_b", "fast_loss"],
      ["attn/kv_einsum_1/lora_b", "action_loss"],
      ["mlp_1/linear_lora_a", "action_loss"],
    ] as const;
    for (const [path, loss] of cases) {
      const name = `PaliGemma/llm/layers/${path}`;
      const { data: values, shape } = params.get(name)!;
      const specs = context.specs.filter((s) => s.path === name);
      const entries = specs.map((s) => [s.name, gradients[`grad/${s.name}`]! as never] as const);
      const direction = toFileParams(specs, new Map(entries)).get(name)!.data;
      const length = Math.sqrt(direction.reduce((sum, g) => sum + g * g, 0));
      const at = async (t: number) => {
        const moved = values.map((x, i) => x + (t * direction[i]!) / length);
        const tree = new Map(params).set(name, { data: moved, shape });
        return Number((await runModel(context, new Map([["l", losses[loss]!]]), tree, data))["l"]!.data[0]);
      };
      const slope = ((await at(0.03)) - (await at(-0.03))) / 0.06;
      expect(Math.abs(slope / length - 1), path).toBeLessThan(0.01);
    }
  });
});

test("sampling, with adapters and merged", async () => {
  const params = testParams(config);
  const adapted = await createSampler({ config, params, batchSize: 2 });
  const merged = await createSampler({ config: plain, params: mergeLora(params, config), batchSize: 2 });
  const [a, b] = [
    await adapted.sample(data.batch.observation, data.draws.noise),
    await merged.sample(data.batch.observation, data.draws.noise),
  ];
  expect(a.data).toBeAllclose(b.data, { rtol: 1e-4 });
  const bare = new Map([...params].filter(([path]) => !isLora(path)));
  const base = await createSampler({ config: plain, params: bare, batchSize: 2 });
  const without = await base.sample(data.batch.observation, data.draws.noise);
  expect(Math.max(...a.data.map((x, i) => Math.abs(x - without.data[i]!)))).toBeGreaterThan(1e-3);
  await Promise.all([adapted.release(), merged.release(), base.release()]);
});

test("the order of heads and parts is openpi's, whatever the sizes", () => {
  const dim = fc.integer({ min: 1, max: 3 });
  fc.assert(
    fc.property(
      fc.record({ seed: fc.nat(), rank: dim, kv: fc.constantFrom(1, 2, 4) }),
      ({ seed, rank, kv }) => {
        const c = loraConfig({ ...heads(4, kv), lora: both(rank) });
        const params = testParams(c, seed);
        const specs = paramSpecs(c);
        expect(toFileParams(specs, toGraphParams(specs, params))).toEqual(params);
        const { width, headDim, depth } = c.vlm;
        const shape = (path: string) => params.get(`PaliGemma/llm/layers/${path}`)!.shape;
        if (kv === 4) {
          expect(shape("attn/qkv_einsum/lora_a")).toEqual([depth, 3, 4, width, rank]);
          expect(shape("attn/qkv_einsum/lora_b")).toEqual([depth, 3, 4, rank, headDim]);
        } else {
          expect(shape("attn/q_einsum/lora_a")).toEqual([depth, 4, width, rank]);
          expect(shape("attn/kv_einsum/lora_b")).toEqual([depth, 2, kv, rank, headDim]);
        }
        expect(shape("attn/attn_vec_einsum_1/lora_a")).toEqual([depth, 4, headDim, rank]);
        expect(shape("attn/attn_vec_einsum_1/lora_b")).toEqual([depth, 4, rank, c.expert.width]);
        expect(shape("mlp_1/gating_einsum_lora_a")).toEqual([depth, 2, c.expert.width, rank + 1]);
        expect(shape("mlp/linear_lora_b")).toEqual([depth, rank + 1, width]);
      },
    ),
    { numRuns: 12 },
  );
});

test("adapters are added to plain parameters, which stay what they are", () => {
  const base = initParams(plain, 5);
  const { params, added } = addLora(base, config, 5);
  expect(params).toEqual(initParams(config, 5));
  expect(added).toEqual([...params.keys()].filter(isLora));
  expect(added).toHaveLength(20);
  for (const [path, tensor] of base) expect(params.get(path)).toBe(tensor);
  for (const path of added) {
    const zero = params.get(path)!.data.every((x) => x === 0);
    expect(zero, path).toBe(path.endsWith("lora_b"));
  }
  expect(addLora(params, config, 6)).toEqual({ params, added: [] });
  const drawn = initParams(loraConfig({ lora: both(3, { initB: "normal" }) }), 5);
  const b = drawn.get("PaliGemma/llm/layers/mlp/linear_lora_b")!.data;
  const std = Math.sqrt(b.reduce((sum, x) => sum + x * x, 0) / b.length);
  expect(std).toBeGreaterThan(0.007);
  expect(std).toBeLessThan(0.013);
});

test("pi0_fast decodes the same tokens with adapters and merged", async () => {
  const c = loraConfig({ pi05: false, knowledgeInsulation: false, pi0Fast: true });
  const params = testParams(c);
  const input = testBatch(c).batch.observation;
  const results = [];
  for (const [cfg, tree] of [
    [c, params],
    [withoutLora(c), mergeLora(params, c)],
  ] as const) {
    const sampler = await createFastSampler({ config: cfg, params: tree, batchSize: 2, maxDecodingSteps: 6 });
    results.push(await sampler.sample(input));
    await sampler.release();
  }
  expect(results[0]).toEqual(results[1]);
});
