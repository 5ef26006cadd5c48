/**
 * Small tokenizers that really encode and decode: text as UTF-8 bytes + 3, actions as 10-bit steps over -4…4
 * from 300 up. They show that any tokenizer of the right shape will do.
 */
import type { NdArray } from "@insula/model-types";
import type { FastSequenceTokenizer, PromptTokenizer } from "../src/index.js";

const BOS = 2;
const ACTION = 300;
const bytes = (text: string): number[] => [...new TextEncoder().encode(text)].map((b) => b + 3);

const stateText = (state: ArrayLike<number>): string =>
  Array.from(state, (x) => Math.min(255, Math.max(-1, Math.floor(x * 128) + 128))).join(" ");

function fit(tokens: number[], maxLen: number): { tokens: Int32Array; tokenMask: Uint8Array } {
  const out = new Int32Array(maxLen);
  out.set(tokens.slice(0, maxLen));
  return { tokens: out, tokenMask: Uint8Array.from(out, (_, i) => Number(i < tokens.length)) };
}

export function bytePromptTokenizer(maxLen: number): PromptTokenizer {
  return {
    tokenize: (prompt, state) =>
      fit(
        [BOS, ...bytes(state ? `Task: ${prompt}, State: ${stateText(state)};\nAction: ` : `${prompt}\n`)],
        maxLen,
      ),
  };
}

export function byteFastTokenizer(
  maxLen: number,
  promptFormat?: "fast" | "pi05",
): FastSequenceTokenizer & Required<Pick<FastSequenceTokenizer, "extractActions">> {
  return {
    ...(promptFormat ? { promptFormat } : {}),
    tokenize(prompt, state, actions) {
      const prefix = [BOS, ...bytes(`Task: ${prompt.toLowerCase()}, State: ${stateText(state)};\n`)];
      const codes = actions
        ? Array.from(actions.data as Float64Array, (x) => ACTION + Math.round((x + 4) * 128))
        : [];
      const { tokens, tokenMask } = fit([...prefix, ...codes], maxLen);
      const post = Uint8Array.from(tokens, (_, i) =>
        Number(i >= prefix.length && i < prefix.length + codes.length),
      );
      return {
        tokens,
        tokenMask,
        arMask: post,
        lossMask: post,
        truncated: prefix.length + codes.length > maxLen,
      };
    },
    extractActions(tokens, { horizon, dim }): { actions: NdArray } {
      const codes = [...tokens].filter((t) => t >= ACTION).slice(0, horizon * dim);
      return {
        actions: { data: Float64Array.from(codes, (t) => (t - ACTION) / 128 - 4), shape: [horizon, dim] },
      };
    },
  };
}
