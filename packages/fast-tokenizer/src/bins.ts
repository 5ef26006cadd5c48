/**
 * @file Numbers as bins: the code of RT-2 and OpenVLA, one id per number. Decoding is openpi's (`models/tokenizer.py`,
 * `BinningTokenizer.extract_actions`); openpi does not encode.
 */
import { InsulaError, type NdArray } from "@insula/model-types";
import type { ActionCodec } from "./action-codec.js";
import { checkChunk } from "./dct.js";
import { checkShape } from "./extract.js";

/**
 * `count` bins of one width over −1…1. Number x has id `floor((x + 1) / 2 · count)`, outside of −1…1 the outermost;
 * id b means `2b / count - 1`, its bin's lower end. Row-major, so a step's numbers stand together.
 * @throws InsulaError `tokenizer/bins` unless `count` is a natural number of at least 2. The codec: `fast/shape`,
 *   `fast/not-finite`, `fast/wrong-count`, `fast/out-of-vocabulary`.
 */
export function makeBinCodec(count: number): ActionCodec {
  if (!(Number.isSafeInteger(count) && count >= 2)) {
    throw new InsulaError("tokenizer/bins", `bins: expected a natural number of at least 2, found ${count}`);
  }
  return {
    vocabSize: count,
    encode(actions: NdArray): Int32Array {
      const { data, dim } = checkChunk(actions, "fast");
      return Int32Array.from(data, (x: number, i) => {
        if (Number.isFinite(x)) {
          return Math.min(Math.max(Math.floor(((x + 1) / 2) * count), 0), count - 1);
        }
        throw new InsulaError("fast/not-finite", `bins: actions[${Math.floor(i / dim)}, ${i % dim}] is ${x}`);
      });
    },
    decode(ids, shape) {
      const { horizon, dim } = checkShape("bins", shape);
      if (ids.length !== horizon * dim) {
        throw new InsulaError("fast/wrong-count", `bins: ${ids.length} ids, expected ${horizon} · ${dim}`);
      }
      const data = Float64Array.from(ids, (id: number, i) => {
        if (id >= 0 && id < count) return (id / count) * 2 - 1;
        throw new InsulaError(
          "fast/out-of-vocabulary",
          `bins: id ${id} at ${i} is not in the vocabulary (0…${count - 1})`,
        );
      });
      return { actions: { data, shape: [horizon, dim] } };
    },
  };
}
