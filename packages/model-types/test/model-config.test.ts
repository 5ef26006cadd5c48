import { expect, test } from "vitest";
import { InsulaError, MODEL_SIZES, type ModelConfig, makeModelConfig, SIZE_PRESETS } from "../src/index.js";

const { vlm, expert, siglip } = SIZE_PRESETS.tiny;
const make = (changes: Partial<ModelConfig>) => makeModelConfig({ size: "tiny", ...changes });

test("every size makes every model type", () => {
  for (const size of MODEL_SIZES)
    for (const flags of [{}, { pi05: true }, { pi05: true, knowledgeInsulation: true }, { pi0Fast: true }])
      makeModelConfig({ size, ...flags });
});

const impossible: [Partial<ModelConfig>, string, string][] = [
  [
    { imageSize: 225 },
    "config/divisible",
    "imageSize: expected a multiple of siglip.patchSize 14, found 225",
  ],
  [
    { siglip: { ...siglip, numHeads: 5 } },
    "config/divisible",
    "siglip.width: expected a multiple of siglip.numHeads 5, found 48",
  ],
  [
    { vlm: { ...vlm, numKvHeads: 3 } },
    "config/divisible",
    "vlm.numHeads: expected a multiple of vlm.numKvHeads 3, found 4",
  ],
  [{ vlm: { ...vlm, headDim: 15 } }, "config/even", "vlm.headDim: expected an even number, found 15"],
  [
    { vlm: { ...vlm, headDim: 0 } },
    "config/integer",
    "vlm.headDim: expected an integer of at least 1, found 0",
  ],
  [{ expert: { ...expert, width: 63 } }, "config/even", "expert.width: expected an even number, found 63"],
  [
    { expert: { ...expert, mlpDim: -1 } },
    "config/integer",
    "expert.mlpDim: expected an integer of at least 1, found -1",
  ],
  [{ actionDim: 0 }, "config/integer", "actionDim: expected an integer of at least 1, found 0"],
  [{ actionHorizon: 2.5 }, "config/integer", "actionHorizon: expected an integer of at least 1, found 2.5"],
  [{ maxTokenLen: 1 }, "config/integer", "maxTokenLen: expected an integer of at least 2, found 1"],
  [{ vocabSize: Number.NaN }, "config/integer", "vocabSize: expected an integer of at least 1, found NaN"],
];

for (const [changes, code, message] of impossible) {
  test(message, () => {
    let error: unknown;
    try {
      make(changes);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(InsulaError);
    expect(error).toMatchObject({ code, message: expect.stringContaining(`model config: ${message}`) });
  });
}

test("expert.headDim is that of the VLM, so it is even as well", () => {
  expect(() => make({ expert: { ...expert, headDim: 15 } })).toThrow(
    "vlm.headDim 16 and expert.headDim 15 must be equal",
  );
});

test("nothing is asked of the expert where there is none", () => {
  make({ pi0Fast: true, expert: { ...expert, width: 63, headDim: 15, depth: 0 } });
});
