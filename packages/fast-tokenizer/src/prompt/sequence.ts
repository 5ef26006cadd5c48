/** @file Token lists into fixed-length rows: padding, masks, and what happens when a list is too long. */
import { InsulaError } from "@insula/model-types";

/** A prompt as a model's text input. */
export interface TokenizedPrompt {
  /** `[maxLen]` ids, padded on the right. */
  tokens: Int32Array;
  /** `[maxLen]`, 1 on real tokens. */
  tokenMask: Uint8Array;
  /** Tokens kept of the prompt. */
  promptTokens: number;
  /** Tokens there were before any cut. */
  length: number;
  /** Whether the right end was cut off. */
  truncated: boolean;
}

/** A prompt and its causal FAST part. */
export interface TokenizedSequence extends TokenizedPrompt {
  /** `[maxLen]`, 0 on the bidirectional prompt, 1 on the causal part. */
  arMask: Int32Array;
  /** `[maxLen]`, 1 on tokens that count in the FAST loss. */
  lossMask: Uint8Array;
  /** Tokens kept of the causal part. */
  causalTokens: number;
  /** Ones in `lossMask`. */
  lossTokens: number;
}

/** What a cut lost. */
export interface Truncation {
  length: number;
  maxLen: number;
  promptTokens: number;
  /** In openpi's words. */
  message: string;
}

/** What to do with more than `maxLen` tokens. A cut takes the terminator first, then actions, then the prompt. */
export interface OverflowOptions {
  /**
   * Too many tokens: cut on the right (default, upstream); refuse prompts that do not fit by themselves
   * (`tokenizer/prompt-too-long`); or refuse any cut (`tokenizer/too-long`).
   */
  onOverflow?: "cut" | "error-prompt" | "error";
  /** Called on every cut. */
  onTruncate?: (truncation: Truncation) => void;
}

/** @throws InsulaError `tokenizer/max-len` unless it is a positive integer. */
export function checkMaxLen(maxLen: number): number {
  if (Number.isInteger(maxLen) && maxLen >= 1) return maxLen;
  throw new InsulaError(
    "tokenizer/max-len",
    `tokenizer: maxLen: expected a positive integer, found ${maxLen}`,
  );
}

/**
 * Lay out `prompt` and `causal` in `maxLen` places.
 * @throws InsulaError `tokenizer/prompt-too-long`, `tokenizer/too-long` as `options.onOverflow` asks.
 */
export function layOut(
  prompt: readonly number[],
  causal: readonly number[],
  maxLen: number,
  padId: number,
  options: OverflowOptions & { dropCutLoss?: boolean },
): TokenizedSequence {
  const length = prompt.length + causal.length;
  const truncated = length > maxLen;
  if (truncated) {
    const { onOverflow = "cut" } = options;
    if (onOverflow !== "cut" && prompt.length > maxLen) {
      throw new InsulaError(
        "tokenizer/prompt-too-long",
        `tokenizer: the prompt alone has ${prompt.length} tokens, at most ${maxLen} fit; shorten it or raise the model's maxTokenLen`,
      );
    }
    if (onOverflow === "error") {
      throw new InsulaError(
        "tokenizer/too-long",
        `tokenizer: ${prompt.length} prompt and ${causal.length} action tokens, at most ${maxLen} fit; raise the model's maxTokenLen`,
      );
    }
    const message = `Token length (${length}) exceeds max length (${maxLen}), truncating. Consider increasing maxTokenLen if this happens frequently.`;
    options.onTruncate?.({ length, maxLen, promptTokens: prompt.length, message });
  }
  const promptTokens = Math.min(prompt.length, maxLen);
  const causalTokens = Math.min(causal.length, maxLen - promptTokens);
  const end = promptTokens + causalTokens;
  const tokens = new Int32Array(maxLen).fill(Math.max(padId, 0));
  tokens.set(prompt.slice(0, promptTokens));
  tokens.set(causal.slice(0, causalTokens), promptTokens);
  const lossTokens = truncated && options.dropCutLoss ? 0 : causalTokens;
  return {
    tokens,
    tokenMask: new Uint8Array(maxLen).fill(1, 0, end),
    arMask: new Int32Array(maxLen).fill(1, promptTokens, end),
    lossMask: new Uint8Array(maxLen).fill(1, promptTokens, promptTokens + lossTokens),
    promptTokens,
    causalTokens,
    lossTokens,
    length,
    truncated,
  };
}
