/** Whatever a sample holds, a transform returns a sample or throws an InsulaError. */
import { FASTTokenizer } from "@insula/fast-tokenizer";
import { InsulaError, type Leaf, type NdArray, type Sample, type TypedArray } from "@insula/model-types";
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  absoluteActions,
  augmentImages,
  collate,
  deltaActions,
  extractFASTActions,
  injectDefaultPrompt,
  normalize,
  padStatesAndActions,
  parseImage,
  promptFromLeRobotTask,
  repackTransform,
  resizeImages,
  resizeWithPadJax,
  subsampleActions,
  tokenizeFASTInputs,
  tokenizePrompt,
  transformDict,
  unnormalize,
} from "../src/index.js";
import { bytePromptTokenizer } from "./byte-tokenizers.js";
import { fast, text, vocabSize } from "./small-tokenizers.js";

const three = (v: number): Float64Array => new Float64Array(3).fill(v);
const stats = { mean: three(0), std: three(1), q01: three(-1), q99: three(1) };
const table = { state: stats, actions: stats };
const random = (): number => 0.3;
const tokenizer = new FASTTokenizer(16, { text, fast, vocabSize });

const RUNS: Readonly<Record<string, (sample: Sample) => unknown>> = {
  deltaActions: deltaActions([true, false, true]),
  absoluteActions: absoluteActions([true, true]),
  subsampleActions: subsampleActions(2),
  padStatesAndActions: padStatesAndActions(5),
  normalize: normalize(table),
  quantiles: normalize(table, { useQuantiles: true, strict: true }),
  unnormalize: unnormalize(table),
  injectDefaultPrompt: injectDefaultPrompt("go"),
  promptFromLeRobotTask: promptFromLeRobotTask({ 0: "pick" }),
  repackTransform: repackTransform({ a: { b: "state" }, "c/d": "image/base" }),
  resizeImages: resizeImages(6, 7),
  augmentImages: (sample) => augmentImages(sample, random),
  tokenizePrompt: tokenizePrompt(bytePromptTokenizer(16), { discreteStateInput: true }),
  tokenizeFASTInputs: tokenizeFASTInputs(tokenizer),
  extractFASTActions: extractFASTActions(tokenizer, { horizon: 1, dim: 2 }),
  transformDict: (sample) => transformDict({ "image/(.+)": "image/$1/x", state: null }, sample),
  collate: (sample) => collate([sample, sample], { realActionDim: 3 }),
  parseImage: (sample) => parseImage(sample["state"] as NdArray),
  resizeWithPadJax: (sample) => resizeWithPadJax(sample["state"] as NdArray<Uint8Array>, 6, 7),
};

const typed = fc.constantFrom<(n: number) => TypedArray>(
  (n) => new Float32Array(n).fill(Number.NaN),
  (n) => Float64Array.from({ length: n }, (_, i) => i / 3),
  (n) => new Uint8Array(n).fill(200),
  (n) => new Int32Array(n).fill(-7),
  (n) => new BigInt64Array(n).fill(-7n),
);
const axis = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 0, max: 4 }) },
  fc.constantFrom(-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY),
);
const array = fc
  .record({ make: typed, shape: fc.array(axis, { maxLength: 4 }), lie: fc.integer({ min: 0, max: 9 }) })
  .map(({ make, shape, lie }): NdArray => {
    const size = shape.reduce((a, b) => a * b, 1);
    const sound = Number.isSafeInteger(size) && size >= 0 ? size : 3;
    return { data: make(lie === 0 ? sound + 1 : sound), shape };
  });
const leaf: fc.Arbitrary<Leaf> = fc.oneof(
  { weight: 6, arbitrary: array },
  fc.string(),
  fc.double(),
  fc.boolean(),
  fc.bigInt(),
);
const cameras = fc.dictionary(fc.constantFrom("base", "wrist", "__proto__"), leaf);
const sample = fc.record(
  {
    state: fc.oneof({ weight: 5, arbitrary: leaf }, cameras),
    actions: leaf,
    actions_is_pad: leaf,
    prompt: fc.oneof(leaf, cameras),
    task_index: leaf,
    image: fc.oneof({ weight: 4, arbitrary: cameras }, leaf),
    image_mask: fc.oneof(cameras, leaf),
    tokenized_prompt: leaf,
    tokenized_prompt_mask: leaf,
    token_loss_mask: leaf,
  },
  { requiredKeys: [] },
) as unknown as fc.Arbitrary<Sample>;

test.each(Object.keys(RUNS))("%s", (name) => {
  let refused = 0;
  fc.assert(
    fc.property(sample, (hostile) => {
      if ((name === "parseImage" || name === "resizeWithPadJax") && !isArray(hostile["state"])) return;
      try {
        expect(typeof RUNS[name]!(hostile)).toBe("object");
      } catch (error) {
        if (!(error instanceof InsulaError)) throw error;
        refused++;
      }
    }),
    { numRuns: 1000 },
  );
  if (!["injectDefaultPrompt", "transformDict"].includes(name)) expect(refused).toBeGreaterThan(0);
});

const isArray = (leaf: unknown): boolean =>
  typeof leaf === "object" && leaf !== null && Array.isArray((leaf as NdArray).shape);

test("a pattern that is no regular expression is named", () => {
  expect(() => transformDict({ "a(": "b" }, { a: 1 })).toThrow("'a(' is no regular expression");
});
