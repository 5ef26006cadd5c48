/**
 * What runs in the page (and, for comparison, in Node): golden chunks through FAST, a DROID sample through its transforms.
 */
import { droidInputs, makeDroidExample } from "@insula/droid-policy";
import { FastActionTokenizer } from "@insula/fast-tokenizer";
import { ModelType } from "@insula/model-types";
import { compose, resizeImages } from "@insula/transforms";

/** Largest difference of a decoded action from the golden, as in the package's tests. */
const TOLERANCE = 1e-12;

/**
 * Encode every chunk and decode the golden ids.
 * @param tokenizers name → `{ files, cases }`, a case being `{ actions, horizon, dim, tokens, decoded }`.
 * @returns how many chunks there were, and what differs, in words.
 */
export function checkGoldens(tokenizers) {
  let chunks = 0;
  const problems = [];
  for (const [name, { files, cases }] of Object.entries(tokenizers)) {
    const tokenizer = new FastActionTokenizer(files, { outOfAlphabet: "drop" });
    for (const [i, { actions, horizon, dim, tokens, decoded }] of cases.entries()) {
      chunks++;
      const ids = tokenizer.encode({ data: Float64Array.from(actions), shape: [horizon, dim] });
      if (String([...ids]) !== String(tokens))
        problems.push(`${name}, chunk ${i}: ids [${ids}], golden [${tokens}]`);
      const back = tokenizer.decode(tokens, { horizon, dim, onError: "upstream" }).actions.data;
      const worst = decoded.findIndex(
        (value, j) => !(Math.abs(back[j] - value) <= TOLERANCE * (1 + Math.abs(value))),
      );
      if (worst >= 0)
        problems.push(`${name}, chunk ${i}: decodes to ${back[worst]} at ${worst}, golden ${decoded[worst]}`);
    }
  }
  return { chunks, problems };
}

/** A DROID example with 160 × 300 images as model inputs, images resized: every array as a checksum of its bytes. */
export function droidSample() {
  const example = makeDroidExample({ seed: 5 });
  for (const key of ["observation/exterior_image_1_left", "observation/wrist_image_left"]) {
    example[key] = { data: example[key].data.slice(0, 160 * 300 * 3), shape: [160, 300, 3] };
  }
  return summary(compose([droidInputs(ModelType.pi05_ki), resizeImages(224, 224)])(example));
}

/** Arrays as `type[shape] checksum`, the rest as it is. */
function summary(value) {
  if (typeof value !== "object" || value === null) return value;
  if (ArrayBuffer.isView(value.data)) {
    const { data, shape } = value;
    let hash = 0x811c9dc5;
    for (const byte of new Uint8Array(data.buffer, data.byteOffset, data.byteLength)) {
      hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
    }
    return `${data.constructor.name}[${shape}] ${hash.toString(16)}`;
  }
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, summary(inner)]));
}
