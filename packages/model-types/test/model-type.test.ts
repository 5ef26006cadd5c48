import { expect, test } from "vitest";
import { closestMatch, ModelType, makeModelConfig, modelTypeOf, ndarray } from "../src/index.js";

test("values are openpi's strings plus pi05_ki", () => {
  expect(Object.values(ModelType)).toEqual(["pi0", "pi05", "pi0_fast", "pi05_ki"]);
});

test("flags decide the type", () => {
  expect(modelTypeOf({ pi05: true, knowledgeInsulation: true })).toBe("pi05_ki");
  expect(modelTypeOf({ pi05: true })).toBe("pi05");
  expect(modelTypeOf({})).toBe("pi0");
  expect(modelTypeOf({ pi0Fast: true })).toBe("pi0_fast");
});

test("insulation without pi05 is an error", () => {
  expect(() => makeModelConfig({ knowledgeInsulation: true })).toThrowErrorMatchingInlineSnapshot(
    `[InsulaError: model config: knowledgeInsulation needs pi05: true (only π0.5 has the adaptive expert that it insulates)]`,
  );
});

test("pi05_ki defaults", () => {
  const config = makeModelConfig({ pi05: true, knowledgeInsulation: true, size: "tiny" });
  expect(config).toMatchObject({
    actionDim: 32,
    actionHorizon: 50,
    maxTokenLen: 256,
    kiFastTokenLossWeight: 1,
    imageSize: 224,
  });
});

test("a size changes widths only", () => {
  const strip = (size: "tiny" | "small" | "full") => {
    const { vlm, expert, siglip, vocabSize, ...rest } = makeModelConfig({ pi05: true, size });
    return rest;
  };
  expect(strip("tiny")).toEqual(strip("full"));
  expect(strip("small")).toEqual(strip("full"));
});

test("experts must agree", () => {
  const vlm = { width: 8, depth: 2, mlpDim: 8, numHeads: 2, numKvHeads: 1, headDim: 4 };
  expect(() => makeModelConfig({ vlm, expert: { ...vlm, depth: 3 } })).toThrow(
    /vlm.depth 2 and expert.depth 3/,
  );
});

test("closestMatch suggests near names only", () => {
  expect(closestMatch("pi05_droid_kl", ["pi05_droid", "pi05_droid_ki"])).toBe("pi05_droid_ki");
  expect(closestMatch("zzz", ["pi05_droid"])).toBeUndefined();
});

test("ndarray checks its shape", () => {
  expect(() => ndarray(new Float32Array(3), [2, 2])).toThrow("ndarray: 3 elements do not fill shape [2, 2]");
});
