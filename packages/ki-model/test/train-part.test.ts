import { type ModelConfig, withoutLora } from "@insula/model-types";
import { ancestors } from "@insula/onnx-grad";
import { describe, expect, test } from "vitest";
import {
  buildArtifact,
  buildTrainingModel,
  createTrainSession,
  gradientPaths,
  isExpert,
  isLora,
  loraFreezeFilter,
  type PartOptions,
  paramSpecs,
  partOptions,
  planMemory,
  type TrainPart,
} from "../src/index.js";
import { frozenPaths } from "../src/params/freeze.js";
import { runModel, testBatch, testConfig, testParams } from "./fixtures.js";
import { both, loraConfig } from "./lora-config.js";

const config = loraConfig();
const data = testBatch(config);

const PI0 = { pi05: false, knowledgeInsulation: false } as const;
const FAST = { ...PI0, pi0Fast: true } as const;
const only = (vlm: boolean, expert: boolean, changes: Partial<ModelConfig> = {}) =>
  loraConfig({ ...changes, lora: vlm ? both(2) : null }, expert ? both(2) : null);

describe("openpi's freeze filter", () => {
  const frozen = (c: ModelConfig) => {
    const is = frozenPaths(paramSpecs(c), loraFreezeFilter(c));
    return [...new Set(paramSpecs(c).map((s) => s.path))].filter(is);
  };
  /** `pi0_test.py`: leaves that `get_freeze_filter` selects. */
  const cases: [string, ModelConfig, number][] = [
    ["neither", only(false, false, PI0), 0],
    ["VLM", only(true, false, PI0), 9],
    ["expert", only(false, true, PI0), 8],
    ["both", only(true, true, PI0), 17],
    ["pi0_fast", only(true, false, FAST), 9],
  ];
  test.each(cases)("adapters on %s", (_, c, count) => {
    expect(frozen(c)).toHaveLength(count);
    for (const path of frozen(c)) expect(path).toMatch(/^PaliGemma\/llm\//);
    expect(frozen(c).filter(isLora)).toEqual([]);
  });
});

/** What of the model's parameters a part trains. */
const PARTS: [TrainPart, (path: string) => boolean][] = [
  ["all", () => true],
  ["expert", isExpert],
  ["vlm", (path) => !isExpert(path)],
  ["lora", (path) => isLora(path) || !path.includes("llm")],
  ["lora-only", isLora],
];

describe.each(PARTS)("train: %s", (part, trained) => {
  const options = partOptions(config, part);
  const built = buildTrainingModel(config, { batchSize: 2, ...options });

  test("trains that part and no other", () => {
    const paths = new Set(built.trainable.map((s) => s.path));
    expect(paths).toEqual(
      new Set(
        paramSpecs(config)
          .map((s) => s.path)
          .filter(trained),
      ),
    );
  });

  test("is still insulated", () => {
    const { vlm, expert } = gradientPaths(built);
    expect([vlm.action_loss, expert.fast_loss]).toEqual([0, 0]);
    expect(vlm.fast_loss).toBe(vlm.trained);
    expect(expert.action_loss).toBe(expert.trained);
  });

  test("has no backward pass where nothing is trained", () => {
    const { context, trainable, outputs, evalOutputs } = buildTrainingModel(config, {
      batchSize: 2,
      ...options,
      frozenType: "float32",
    });
    const forward = ancestors(evalOutputs.values());
    const backward = [...ancestors(outputs.values())].filter((v) => v.producer && !forward.has(v));
    // A product's gradient for its input reads the weight, that for the weight does not.
    const reads = new Set(backward.flatMap((v) => v.producer!.inputs.map((x) => x.name)));
    const parts: ((path: string) => boolean)[] = [isExpert, (p) => !isExpert(p), (p) => p.includes("/img/")];
    for (const inPart of parts) {
      const trains = trainable.some((s) => inPart(s.path));
      expect(context.specs.some((s) => inPart(s.path) && reads.has(s.name))).toBe(trains);
    }
  });
});

describe("a loss that trains nothing is not computed", () => {
  const run = async (options: Partial<PartOptions> & { freeze: string[] }) => {
    const { context, outputs } = buildTrainingModel(config, {
      batchSize: 2,
      frozenType: "float32",
      ...options,
    });
    return runModel(context, outputs, testParams(config), data);
  };

  test.each(["expert", "vlm"] as const)("%s: the other loss and all gradients stay", async (part) => {
    const options = partOptions(config, part);
    const [one, two] = [await run(options), await run({ freeze: options.freeze })];
    const [kept, left] =
      part === "expert" ? ["action_loss", "fast_loss"] : (["fast_loss", "action_loss"] as const);
    expect(one[left]).toBeUndefined();
    expect(one["total"]!.data).toEqual(one[kept]!.data);
    for (const name of Object.keys(one).filter((n) => n !== "total"))
      expect(one[name]!.data as Float32Array, name).toBeAllclose(two[name]!.data as Float32Array, {
        rtol: 1e-6,
        atol: 1e-8,
      });
    expect(Object.keys(two).filter((n) => n.startsWith("grad/"))).toEqual(
      Object.keys(one).filter((n) => n.startsWith("grad/")),
    );
  });

  test("and costs nothing", () => {
    const flops = (options: Partial<PartOptions>) =>
      planMemory(config, { batchSize: 2, ...options }).matmulFlops;
    const all = flops({});
    for (const part of ["expert", "vlm"] as const) {
      const options = partOptions(config, part);
      expect(flops(options)).toBeLessThan(flops({ freeze: options.freeze }));
      expect(flops(options)).toBeLessThan(all);
    }
  });

  test("elsewhere both are: the expert's adapters alone leave the VLM training", () => {
    expect(partOptions(only(false, true), "lora").only).toBeUndefined();
    expect(partOptions(only(false, true), "lora-only").only).toBe("action");
    expect(partOptions(loraConfig(PI0), "vlm").only).toBeUndefined();
  });
});

describe("adapters alone", () => {
  const options = { ...partOptions(config, "lora-only"), frozenType: "float32" } as const;
  const optimizer = { emaDecay: 0.9 };

  test("training changes them and nothing else", async () => {
    const artifact = buildArtifact(config, { batchSize: 2, ...options, optimizer });
    const params = testParams(config);
    const before = structuredClone(params);
    const session = await createTrainSession({ artifact, params });
    const first = await session.step(data.batch, data.draws, 1e-3);
    let last = first;
    for (let i = 0; i < 30; i++) last = await session.step(data.batch, data.draws, 1e-3);
    expect(last.fast_loss!).toBeLessThan(first.fast_loss!);
    expect(last.action_loss!).toBeLessThan(first.action_loss!);
    const state = await session.state();
    for (const tree of [state.params, state.ema!])
      for (const [path, { data }] of tree) {
        const same = Buffer.from(data.buffer).equals(Buffer.from(before.get(path)!.data.buffer));
        expect(same, path).toBe(!isLora(path));
      }
    expect([...state.mu.keys()].every(isLora)).toBe(true);
    await session.release();
  });

  test("train as well beside 16-bit weights, computing in float16", async () => {
    const losses = async (more: object) => {
      const artifact = buildArtifact(config, { batchSize: 2, ...options, ...more });
      const session = await createTrainSession({ artifact, params: testParams(config), runtime: "capi" });
      const seen = [];
      for (let i = 0; i < 3; i++) seen.push((await session.step(data.batch, data.draws, 1e-3)).total);
      await session.release();
      return seen;
    };
    const exact = await losses({});
    const short = await losses({ computeType: "float16", frozenType: "bfloat16" });
    expect(short).not.toEqual(exact);
    for (const [i, total] of short.entries()) expect(Math.abs(total / exact[i]! - 1)).toBeLessThan(2e-3);
    expect(short[2]!).toBeLessThan(short[0]!);
  });

  test("gradients, moments and average are theirs alone", () => {
    const bytes = (more: object) => planMemory(config, { batchSize: 2, optimizer, ...more }).bytes;
    const count = paramSpecs(config)
      .filter((s) => isLora(s.path))
      .reduce((n, { shape }) => n + shape.reduce((a, b) => a * b, 1), 0);
    const planned = bytes(options);
    expect(planned).toMatchObject({ gradients: 4 * count, moments: 8 * count, ema: 4 * count });
    expect(planned.parameters).toBe(bytes({}).parameters);
    expect(planned.gradients).toBeLessThan(0.5 * bytes({}).gradients);
    // Frozen weights are two bytes each.
    const all = planned.parameters / 4;
    expect(bytes({ ...options, frozenType: "bfloat16" }).parameters).toBe(2 * all + 2 * count);
  });
});

test("frozen weights that no graph reads are stored as the others", () => {
  const { freeze, only } = partOptions(config, "vlm");
  const artifact = buildArtifact(config, { batchSize: 2, freeze, ...(only ? { only } : {}) });
  for (const { name, group, dtype } of artifact.manifest.params)
    expect(dtype, name).toBe(group === "vlm" ? "float32" : "bfloat16");
});

describe("refused", () => {
  const plain = withoutLora(config);
  const cases: [string, () => unknown, string, string][] = [
    [
      "an expert that is not there",
      () => partOptions(testConfig(FAST), "expert"),
      "model/train",
      "no action expert",
    ],
    [
      "adapters that are not there",
      () => partOptions(plain, "lora"),
      "model/train",
      "neither model.vlm.lora nor",
    ],
    [
      "adapters of pi0_fast",
      () => partOptions(testConfig(FAST), "lora-only"),
      "model/train",
      "model.vlm.lora is not set",
    ],
    [
      "nothing to train",
      () => buildTrainingModel(config, { batchSize: 1, freeze: [".*"] }),
      "model/freeze",
      "nothing is left to train",
    ],
    [
      "a loss that is not there",
      () => buildTrainingModel(testConfig(PI0), { batchSize: 1, only: "fast" }),
      "model/loss",
      "a loss that pi0 does not have",
    ],
  ];
  test.each(cases)("%s", (_, make, code, message) => {
    expect(make).toThrow(expect.objectContaining({ code, message: expect.stringContaining(message) }));
  });
});
