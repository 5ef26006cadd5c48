/**
 * @file Autoregressive sampling of pi0_fast (openpi `models/pi0_fast.py` `sample_actions`), greedy or by
 * temperature.
 *
 * openpi rolls every sample so that its tokens end at the right edge. Attention does not care where a key
 * stands, so nothing is moved here; only the mask of the decode steps is written in terms of the rolled order,
 * because openpi derives it from there: a prefix key is visible when its rolled index is at least
 * `s − (number of valid tokens)`. With a missing camera in the middle that shows some masked rows and hides some
 * valid ones. The decode position is openpi's as well: `valid + step + 1`, one further than in training.
 */
import type { ModelConfig, Observation } from "@insula/model-types";
import { type Tensor, tensor, zerosTensor } from "@insula/ort-session";
import {
  bound,
  type DeviceTensors,
  type ExecutionOptions,
  executionOptions,
  makeAll,
  releaseAll,
} from "../device-tensors.js";
import { observationFeeds, pickFeeds } from "../feeds.js";
import type { DeviceParams, ParamTree } from "../train-session.js";
import { buildFastDecodeModel, buildFastPrefixModel } from "./fast-models.js";
import { type InferenceOptions, serializeModel } from "./models.js";
import { checkSteps, inTurn, openPair, placeParams, type SessionPair } from "./sessions.js";

/** A pi0_fast model to sample from: its parameters, the batch its graphs are built for, and where they run. */
export interface FastSamplerOptions extends InferenceOptions, ExecutionOptions {
  config: ModelConfig;
  /** By openpi's names, copied to the device; or those of a training session, used where they lie. */
  params: ParamTree | DeviceParams;
  /** Most tokens to generate; default 256. */
  maxDecodingSteps?: number;
}

/** Token generation with pi0_fast: the prefix and the first token in one run, then a run per token. */
export interface FastSampler {
  /**
   * Generate token ids. Calls are answered one after the other.
   * @param options.temperature 0 (default): the most likely token
   * @param options.random uniform draws in [0, 1), needed for a temperature
   * @returns int32 `[b, maxDecodingSteps]`, 0 where nothing was generated
   */
  sample(
    observation: Observation,
    options?: { temperature?: number; random?: () => number },
  ): Promise<Int32Array>;
  /** Close both sessions and free the parameters, after the calls that were made before; none can follow. */
  release(): Promise<void>;
}

const EOS = 1;

/**
 * A sampler over fresh sessions; when it cannot be made, none is left open.
 * @throws InsulaError `sampler/steps` when `maxDecodingSteps` is not a positive integer
 */
export async function createFastSampler(options: FastSamplerOptions): Promise<FastSampler> {
  const { config, batchSize: b, maxDecodingSteps = 256 } = options;
  checkSteps("maxDecodingSteps", maxDecodingSteps);
  const imageKeys = options.imageKeys ?? config.imageKeys;
  const s = imageKeys.length * (config.imageSize / config.siglip.patchSize) ** 2 + config.maxTokenLen;
  const cacheLength = s + maxDecodingSteps;
  const rowSize = config.vlm.numKvHeads * config.vlm.headDim;
  const rowShape = [config.vlm.numKvHeads, config.vlm.headDim];
  const execution = executionOptions(options);
  const all = await makeAll<[SessionPair, DeviceTensors]>([
    openPair(
      serializeModel(buildFastPrefixModel(config, options), "prefix_model").bytes,
      serializeModel(buildFastDecodeModel(config, { ...options, cacheLength }), "decode_model").bytes,
      execution,
    ),
    placeParams(config, options.params, execution),
  ]);
  const [{ first: prefix, second: decode }, weights] = all;
  const encode = prefix.bind({ inputs: bound(prefix.inputs, weights) });
  const next = decode.bind({ inputs: bound(decode.inputs, weights) });
  const isParam = (name: string) => weights.byName.has(name);
  const turn = inTurn();

  const sample = async (
    observation: Observation,
    temperature: number,
    random: () => number,
  ): Promise<Int32Array> => {
    const first = await encode.run(pickFeeds(prefix.inputs, observationFeeds(observation), isParam));
    const { counts, visible } = prefixVisibility(first["prefix_mask"]!.data as Uint8Array, b, s, cacheLength);
    const cache: Record<string, Tensor> = {};
    for (let layer = 0; layer < config.vlm.depth; layer++) {
      for (const name of [`kv_k/${layer}`, `kv_v/${layer}`]) {
        const grown = zerosTensor("float32", [b, cacheLength, ...rowShape]);
        for (let i = 0; i < b; i++) {
          const rows = (first[name]!.data as Float32Array).subarray(i * s * rowSize, (i + 1) * s * rowSize);
          (grown.data as Float32Array).set(rows, i * cacheLength * rowSize);
        }
        cache[name] = grown;
      }
    }
    const out = new Int32Array(b * maxDecodingSteps);
    let logits = first["logits"]!.data as Float32Array;
    for (let step = 0; step < maxDecodingSteps; step++) {
      const token = pickTokens(logits, b, temperature, random);
      for (let i = 0; i < b; i++) out[i * maxDecodingSteps + step] = token[i]!;
      if (token.every((id) => id === EOS) || step === maxDecodingSteps - 1) break;
      const results = await next.run({
        ...cache,
        token: tensor(token, [b, 1]),
        position: tensor(
          Int32Array.from(counts, (n) => n + step + 1),
          [b, 1],
        ),
        cache_mask: tensor(visible, [b, cacheLength], "bool"),
      });
      for (let layer = 0; layer < config.vlm.depth; layer++) {
        for (const kv of ["k", "v"]) {
          const rows = results[`new_${kv}/${layer}`]!.data as Float32Array;
          const place = cache[`kv_${kv}/${layer}`]!.data as Float32Array;
          for (let i = 0; i < b; i++) {
            place.set(rows.subarray(i * rowSize, (i + 1) * rowSize), (i * cacheLength + s + step) * rowSize);
          }
        }
      }
      for (let i = 0; i < b; i++) visible[i * cacheLength + s + step] = 1;
      logits = results["logits"]!.data as Float32Array;
    }
    return out;
  };
  return {
    sample: (observation, { temperature = 0, random = Math.random } = {}) =>
      turn(() => sample(observation, temperature, random)),
    release: () => turn(() => releaseAll(all)),
  };
}

/** Valid tokens per sample, and openpi's decode mask over the cache (see the file's note). */
function prefixVisibility(
  valid: Uint8Array,
  b: number,
  s: number,
  cacheLength: number,
): { counts: Int32Array; visible: Uint8Array } {
  const counts = new Int32Array(b);
  const visible = new Uint8Array(b * cacheLength);
  for (let i = 0; i < b; i++) {
    let last = 0;
    for (let j = 0; j < s; j++) {
      if (!valid[i * s + j]) continue;
      counts[i]!++;
      last = j;
    }
    for (let j = 0; j < s; j++) {
      const rolled = (j - (last + 1) + s) % s;
      if (rolled >= s - counts[i]!) visible[i * cacheLength + j] = 1;
    }
  }
  return { counts, visible };
}

function pickTokens(logits: Float32Array, b: number, temperature: number, random: () => number): Int32Array {
  const vocab = logits.length / b;
  return Int32Array.from({ length: b }, (_, i) => {
    const row = logits.subarray(i * vocab, (i + 1) * vocab);
    let best = 0;
    for (let j = 1; j < vocab; j++) if (row[j]! > row[best]!) best = j;
    if (temperature <= 0) return best;
    const weights = row.map((x) => Math.exp((x - row[best]!) / temperature));
    let rest = random() * weights.reduce((sum, w) => sum + w, 0);
    for (let j = 0; j < vocab; j++) {
      rest -= weights[j]!;
      if (rest < 0) return j;
    }
    return best;
  });
}
