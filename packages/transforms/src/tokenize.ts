/**
 * @file Text and actions to tokens and back (openpi `TokenizePrompt`, `TokenizeFASTInputs`,
 * `ExtractFASTActions`). The tokenizers are described by what is asked of them, so any that fits will do;
 * `@insula/fast-tokenizer` has PaligemmaTokenizer and FASTTokenizer.
 */
import { InsulaError, type NdArray, type Sample } from "@insula/model-types";
import { numbersOf, requireArray } from "./arrays.js";
import { promptText } from "./prompt.js";
import { named, type Transform } from "./transform.js";

/** Prompt, and state where the format writes it into the text, to `[maxLen]` tokens (PaligemmaTokenizer). */
export interface PromptTokenizer {
  /** Tokens of `prompt`. `state` is normalised and not padded; it is given only where the format writes it. */
  tokenize(
    prompt: string,
    state?: ArrayLike<number>,
  ): {
    /** `[maxLen]`, padded with 0. */
    tokens: Int32Array;
    /** `[maxLen]`, 1 on real tokens. */
    tokenMask: Uint8Array;
  };
}

/** Prompt, state and an action chunk to one token sequence with masks, all `[maxLen]` (FASTTokenizer). */
export interface FastSequenceTokenizer {
  /** How the prompt is worded, if the tokenizer can tell. */
  readonly promptFormat?: "fast" | "pi05";
  /** `actions` is `[horizon, dim]`, normalised and not padded; without it, the prompt alone (inference). */
  tokenize(
    prompt: string,
    state: ArrayLike<number>,
    actions?: NdArray,
  ): {
    tokens: Int32Array;
    /** 1 on real tokens. */
    tokenMask: Uint8Array;
    /** 0 on the bidirectional prompt, 1 on the causal FAST part. */
    arMask: ArrayLike<number>;
    /** 1 on tokens that count in the FAST loss. */
    lossMask: Uint8Array;
    /** Whether tokens were cut off to fit `maxLen`. */
    truncated: boolean;
  };
  /** Generated tokens back to actions `[horizon, dim]`. */
  extractActions?(tokens: Int32Array, options: ExtractActionsOptions): { actions: NdArray };
}

/** The shape of the actions to decode, `[horizon, dim]`, and what to do with tokens that hold none. */
export interface ExtractActionsOptions {
  horizon: number;
  dim: number;
  /** Tokens that are no actions: an error (default), or zeros, as upstream has it. Zeros do not mean "stand still". */
  onError?: "throw" | "zeros" | "upstream";
}

const vector = <T extends Int32Array | Uint8Array>(data: T): NdArray<T> => ({ data, shape: [data.length] });

/** The sample without its prompt, and the prompt's text. */
function takePrompt(caller: string, sample: Sample): [Sample, string] {
  const { prompt, ...rest } = sample;
  if (prompt === undefined || (typeof prompt === "object" && !ArrayBuffer.isView(prompt["data"]))) {
    throw new InsulaError(
      "transforms/prompt",
      `${caller}: Prompt is required: the sample has no 'prompt' (available: ${Object.keys(rest).join(", ")}); ` +
        "give a default prompt, or take it from the dataset's tasks",
    );
  }
  return [rest, promptText(prompt as string)];
}

function takeState(caller: string, sample: Sample): Float32Array | Float64Array {
  if (!Object.hasOwn(sample, "state")) {
    throw new InsulaError(
      "transforms/missing-key",
      `${caller}: State is required. (available: ${Object.keys(sample).join(", ")})`,
    );
  }
  const { data } = requireArray(caller, sample, "state");
  return data instanceof Float32Array || data instanceof Float64Array
    ? data
    : Float64Array.from(numbersOf(data));
}

/**
 * Replace `prompt` by `tokenized_prompt` and `tokenized_prompt_mask`, `[maxLen]` each. With
 * `discreteStateInput` the state, already normalised and not yet padded, is written into the text. Upstream:
 * `TokenizePrompt`.
 * @throws InsulaError `transforms/prompt` without a prompt, `transforms/missing-key` without a state.
 */
export function tokenizePrompt(
  tokenizer: PromptTokenizer,
  options: { discreteStateInput?: boolean } = {},
): Transform {
  return named("tokenizePrompt", (sample) => {
    const [rest, prompt] = takePrompt("tokenizePrompt", sample);
    const state = options.discreteStateInput ? takeState("tokenizePrompt", rest) : undefined;
    const { tokens, tokenMask } = tokenizer.tokenize(prompt, state);
    return { ...rest, tokenized_prompt: vector(tokens), tokenized_prompt_mask: vector(tokenMask) };
  });
}

/** What to do about samples that do not fit the model's text. */
export interface TokenizeFASTInputsOptions {
  /**
   * Called for each sample whose tokens did not fit, before it is used. A cut sequence ends without its
   * terminator, and a cut prompt loses the instruction: count it, or throw.
   */
  onTruncated?: (details: { prompt: string; maxLen: number }) => void;
}

/**
 * Replace `prompt` by one token sequence of prompt, state and, where there are any, FAST-coded actions:
 * `tokenized_prompt`, `tokenized_prompt_mask`, `token_ar_mask`, `token_loss_mask`, `[maxLen]` each. The actions
 * stay, for the action expert. Runs before padding: FAST must see the robot's real dims. Upstream:
 * `TokenizeFASTInputs`.
 * @throws InsulaError as {@link tokenizePrompt}; the tokenizer's own errors.
 */
export function tokenizeFASTInputs(
  tokenizer: FastSequenceTokenizer,
  options: TokenizeFASTInputsOptions = {},
): Transform {
  const caller = "tokenizeFASTInputs";
  return named(caller, (sample) => {
    const [rest, prompt] = takePrompt(caller, sample);
    const state = takeState(caller, rest);
    const actions = Object.hasOwn(rest, "actions") ? requireArray(caller, rest, "actions") : undefined;
    const { tokens, tokenMask, arMask, lossMask, truncated } = tokenizer.tokenize(prompt, state, actions);
    if (truncated) options.onTruncated?.({ prompt, maxLen: tokens.length });
    return {
      ...rest,
      tokenized_prompt: vector(tokens),
      tokenized_prompt_mask: vector(tokenMask),
      token_ar_mask: vector(Int32Array.from(arMask)),
      token_loss_mask: vector(lossMask),
    };
  });
}

/**
 * Decode generated token ids under `actions` (any number type; samplers return floats) to actions
 * `[horizon, dim]`. Without `actions`, the identity. Upstream: `ExtractFASTActions`.
 * @throws InsulaError `transforms/tokenizer` at once when the tokenizer cannot decode.
 */
export function extractFASTActions(
  tokenizer: FastSequenceTokenizer,
  options: ExtractActionsOptions,
): Transform {
  if (!tokenizer.extractActions) {
    throw new InsulaError(
      "transforms/tokenizer",
      "extractFASTActions: this tokenizer has no extractActions; use FASTTokenizer of @insula/fast-tokenizer",
    );
  }
  return named("extractFASTActions", (sample) => {
    if (!Object.hasOwn(sample, "actions")) return sample;
    const { data } = requireArray("extractFASTActions", sample, "actions");
    const { actions } = tokenizer.extractActions!(Int32Array.from(numbersOf(data)), options);
    return { ...sample, actions };
  });
}
