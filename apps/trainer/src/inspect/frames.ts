/** @file The frames of a dataset as training would tokenise them. */
import type { TokenizedPrompt, TokenizedSequence } from "@insula/fast-tokenizer";
import { configModelType, InsulaError, type NdArray, type Sample } from "@insula/model-types";
import { compose, deltaActions, makeBoolMask, normalize, promptText } from "@insula/transforms";
import { numericFrames } from "../data/frames.js";
import { promptTransform, sequenceTokenizers } from "../data/pipeline.js";
import type { TokenSource } from "./source.js";

export interface TokenizedFrame {
  /** `index` of its episode. */
  episode: number;
  /** Its place in the episode. */
  frame: number;
  prompt: string;
  /** Normalised, `[stateDim]`. */
  state: NdArray<Float64Array>;
  /** Normalised, `[horizon, dim]`. */
  actions: NdArray<Float64Array>;
  /** As training would have it, but cut where it would be refused; or why it cannot be tokenised. */
  tokens: TokenizedPrompt | TokenizedSequence | InsulaError;
}

/**
 * Frames of the source's episodes in order: all, or `limit` of them spread evenly.
 * @throws InsulaError where training would refuse a sample for another reason than its tokens.
 */
export async function* tokenizedFrames(
  source: TokenSource,
  limit: number = Number.POSITIVE_INFINITY,
): AsyncGenerator<TokenizedFrame> {
  const { config, dataset, spec, stats, tokenizers } = source;
  const { data, model } = config;
  const frames = await numericFrames(dataset, data.robot, spec);
  const tasks = data.promptFromTask ? (await dataset.column("task_index")).data : undefined;
  const withPrompt = promptTransform(config, dataset.tasks);
  const mask = data.deltaActions ? makeBoolMask(...data.deltaActions) : undefined;
  const numbers = compose([deltaActions(mask), normalize(stats, { useQuantiles: data.useQuantileNorm })]);
  const tokenize = tokenizeWith(source, sequenceTokenizers(config, tokenizers, { onOverflow: "cut" }));

  const chosen = new Set(source.episodes);
  const episodes = dataset.episodes.filter((e) => chosen.has(e.index));
  const total = episodes.reduce((sum, e) => sum + e.length, 0);
  const stride = Math.max(1, total / limit);
  let next = 0;
  let seen = 0;
  for (const episode of episodes) {
    for (let at = episode.from; at < episode.to; at++) {
      if (seen++ < next) continue;
      next += stride;
      const own: Sample = tasks
        ? { task_index: Number(tasks[at]) }
        : "prompt" in dataset.features
          ? await dataset.sample(at)
          : {};
      const { prompt = "" } = withPrompt(own);
      const { state, actions } = numbers({
        state: frames.state(at),
        actions: frames.actions(at, model.actionHorizon, episode),
      }) as { state: NdArray<Float64Array>; actions: NdArray<Float64Array> };
      const text = promptText(prompt as string);
      yield {
        episode: episode.index,
        frame: at - episode.from,
        prompt: text,
        state,
        actions,
        tokens: tokenize(text, state, actions),
      };
    }
  }
}

type Tokenize = (prompt: string, state: NdArray<Float64Array>, actions: NdArray) => TokenizedFrame["tokens"];

/** The call that the model type makes; errors of the tokenizer are values. */
function tokenizeWith(source: TokenSource, made: ReturnType<typeof sequenceTokenizers>): Tokenize {
  const { model } = source.config;
  const withState = configModelType(model) === "pi05" && model.discreteStateInput;
  return (prompt, state, actions) => {
    try {
      return made.fastTokenizer
        ? (made.fastTokenizer.tokenize(prompt, state.data, actions) as TokenizedSequence)
        : (made.promptTokenizer!.tokenize(prompt, withState ? state.data : undefined) as TokenizedPrompt);
    } catch (error) {
      if (error instanceof InsulaError) return error;
      throw error;
    }
  };
}
