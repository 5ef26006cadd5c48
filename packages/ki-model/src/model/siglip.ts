/**
 * @file SigLIP vision tower (arXiv:2303.15343; openpi `models/siglip.py`): patches, learned positions, pre-norm
 * transformer blocks, a linear head to the language model's width. Pool "none".
 */
import {
  add,
  attend,
  cast,
  div,
  geluTanh,
  layerNorm,
  mul,
  reshape,
  sub,
  transpose,
  type Value,
  withScope,
} from "@insula/onnx-grad";
import type { ModelContext } from "./context.js";
import { linear } from "./linear.js";
import { buildLayer, type Rematerialize } from "./rematerialize.js";

const AT = "PaliGemma/img";
const BLOCK = `${AT}/Transformer/encoderblock`;

/** uint8 pixels 0…255 → float32 −1…1, rounded as the reference rounds. */
export function normalizePixels(image: Value): Value {
  return sub(mul(div(cast(image, "float32"), 255), 2), 1);
}

/**
 * Images → tokens.
 * @param images `[n, size, size, 3]`, float32 in −1…1
 * @returns `[n, patches, vlmWidth]`, of the compute type
 */
export function siglip(context: ModelContext, images: Value, rematerialize: Rematerialize = false): Value {
  const { config, weight, tap, graph, computeType } = context;
  const { width, depth, patchSize: p } = config.siglip;
  return withScope(graph, "siglip", () => {
    const n = images.shape[0]!;
    const side = config.imageSize / p;
    // A convolution with stride = kernel is a product of flattened patches.
    const grid = transpose(reshape(images, [n, side, p, side, p, 3]), [0, 1, 3, 2, 4, 5]);
    const patches = reshape(grid, [n, side * side, p * p * 3]);
    const stem = linear(context, `${AT}/embedding`, patches);
    tap("siglip/stem", reshape(stem, [n, side, side, width]));
    const placed = tap("siglip/with_posemb", add(stem, weight(`${AT}/pos_embedding`)));
    let x = cast(placed, computeType);
    for (let layer = 0; layer < depth; layer++) {
      const input = x;
      x = buildLayer(graph, rematerialize, "siglip", layer, () => block(context, input, layer));
    }
    const encoded = tap("siglip/encoded", layerNormAt(context, `${AT}/Transformer/encoder_norm`, x));
    return tap("siglip/logits", linear(context, `${AT}/head`, encoded));
  });
}

function block(context: ModelContext, x: Value, layer: number): Value {
  const { graph, tap } = context;
  const name = `siglip/block${String(layer).padStart(2, "0")}`;
  return withScope(graph, `block${layer}`, () => {
    const attended = tap(
      `${name}/sa`,
      selfAttention(context, layerNormAt(context, `${BLOCK}/LayerNorm_0`, x, layer), layer),
    );
    const y = tap(`${name}/plus_sa`, add(x, attended));
    const hidden = geluTanh(
      linear(
        context,
        `${BLOCK}/MlpBlock_0/Dense_0`,
        layerNormAt(context, `${BLOCK}/LayerNorm_1`, y, layer),
        layer,
      ),
    );
    const mlp = tap(`${name}/mlp`, linear(context, `${BLOCK}/MlpBlock_0/Dense_1`, hidden, layer));
    return tap(`${name}/plus_mlp`, add(y, mlp));
  });
}

/** Layer norm in float32, between x's type and x's type. */
function layerNormAt({ weight }: ModelContext, path: string, x: Value, layer?: number): Value {
  const scale = weight(`${path}/scale`, layer);
  return cast(layerNorm(cast(x, "float32"), scale, weight(`${path}/bias`, layer), 1e-6), x.dtype);
}

/** Bidirectional multi-head attention without a mask. x `[n, t, w]`. */
function selfAttention(context: ModelContext, x: Value, layer: number): Value {
  const { numHeads, width } = context.config.siglip;
  const [n, t] = x.shape as [number, number];
  const head = width / numHeads;
  const project = (name: string) =>
    reshape(linear(context, `${BLOCK}/MultiHeadDotProductAttention_0/${name}`, x, layer), [
      n,
      t,
      numHeads,
      head,
    ]);
  const heads = (y: Value) => transpose(y, [0, 2, 1, 3]); // [n, heads, t, head]
  const q = heads(mul(cast(project("query"), "float32"), 1 / Math.sqrt(head)));
  const k = heads(cast(project("key"), "float32"));
  const v = heads(project("value"));
  const y = attend(q, k, v); // [n, heads, t, head]
  const merged = reshape(transpose(y, [0, 2, 1, 3]), [n, t, width]);
  return linear(context, `${BLOCK}/MultiHeadDotProductAttention_0/out`, merged, layer);
}
