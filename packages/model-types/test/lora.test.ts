import { describe, expect, test } from "vitest";
import {
  adapterOf,
  GEMMA_VARIANTS,
  type GemmaLora,
  hasLora,
  loraEinsums,
  loraScale,
  makeModelConfig,
  SIZE_PRESETS,
  withoutLora,
} from "../src/index.js";

test("openpi's variants", () => {
  expect(SIZE_PRESETS.full.vlm).toEqual(GEMMA_VARIANTS.gemma_2b);
  expect(SIZE_PRESETS.full.expert).toEqual(GEMMA_VARIANTS.gemma_300m);
  for (const [base, rank] of [
    ["gemma_2b", 16],
    ["gemma_300m", 32],
  ] as const) {
    const { lora, ...sizes } = GEMMA_VARIANTS[`${base}_lora`];
    expect(sizes).toEqual(GEMMA_VARIANTS[base]);
    expect(lora).toEqual({ attn: { rank, alpha: rank }, ffn: { rank, alpha: rank } });
  }
});

test("single fields of a stack; the size fills the others", () => {
  const lora: GemmaLora = { attn: { rank: 2 } };
  const config = makeModelConfig({ size: "tiny", vlm: { lora }, expert: { mlpDim: 100 } });
  expect(config.vlm).toEqual({ ...SIZE_PRESETS.tiny.vlm, lora });
  expect(config.expert).toEqual({ ...SIZE_PRESETS.tiny.expert, mlpDim: 100 });
  expect(hasLora(config.vlm)).toBe(true);
  expect(withoutLora(config)).toEqual(makeModelConfig({ size: "tiny", expert: { mlpDim: 100 } }));
  for (const none of [null, {}, { attn: null, ffn: null }, { attn: { rank: 2, targets: [] } }])
    expect(hasLora({ ...config.vlm, lora: none })).toBe(false);
});

test("scale: alpha over the rank or its root, 1 unless said", () => {
  expect(loraScale({ rank: 16 })).toBe(1);
  expect(loraScale({ rank: 16, alpha: 8 })).toBe(0.5);
  expect(loraScale({ rank: 16, alpha: 8, rslora: true })).toBe(2);
});

test("einsums follow the heads, adapters the targets", () => {
  const { vlm } = SIZE_PRESETS.tiny;
  expect(loraEinsums("attn", vlm)).toEqual(["q_einsum", "kv_einsum", "attn_vec_einsum"]);
  expect(loraEinsums("attn", { numHeads: 4, numKvHeads: 4 })).toEqual(["qkv_einsum", "attn_vec_einsum"]);
  const attn = { rank: 2, targets: ["kv_einsum"] } as const;
  const stack = { ...vlm, lora: { attn, ffn: { rank: 3 } } };
  expect(adapterOf(stack, "kv_einsum")).toBe(attn);
  expect(adapterOf(stack, "q_einsum")).toBeUndefined();
  expect(adapterOf(stack, "linear")).toEqual({ rank: 3 });
});

describe("refused", () => {
  const wrong: [object, string][] = [
    [{ attn: { rank: 0 } }, "vlm.lora.attn.rank: expected an integer of at least 1, found 0"],
    [{ ffn: { rank: 1.5 } }, "vlm.lora.ffn.rank: expected an integer of at least 1, found 1.5"],
    [{ ffn: { rank: 1, alpha: 0 } }, "vlm.lora.ffn.alpha: expected a number above 0, found 0"],
    [{ attn: { rank: 1, initB: "ones" } }, "vlm.lora.attn.initB: expected zeros or normal, found ones"],
    [
      { attn: { rank: 1, targets: ["qkv_einsum"] } },
      "vlm.lora.attn.targets: expected some of q_einsum, kv_einsum, attn_vec_einsum, found qkv_einsum",
    ],
  ];
  test.each(wrong)("%j", (lora, message) => {
    expect(() => makeModelConfig({ size: "tiny", vlm: { lora } })).toThrow(
      expect.objectContaining({ code: "config/lora", message: `model config: ${message}` }),
    );
  });

  test("the expert's are not looked at where there is none", () => {
    makeModelConfig({ size: "tiny", pi0Fast: true, expert: { lora: { attn: { rank: 0 } } } });
  });
});
