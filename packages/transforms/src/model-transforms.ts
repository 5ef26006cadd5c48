/**
 * @file The transforms that belong to a model rather than to a robot: default prompt, image size, tokens,
 * padding (openpi `training/config.py` `ModelTransformFactory`). They run after normalisation.
 */
import { IMAGE_SIZE, InsulaError, type ModelType } from "@insula/model-types";
import { padStatesAndActions } from "./actions.js";
import { injectDefaultPrompt } from "./prompt.js";
import { resizeImages } from "./resize-images.js";
import {
  extractFASTActions,
  type FastSequenceTokenizer,
  type PromptTokenizer,
  type TokenizeFASTInputsOptions,
  tokenizeFASTInputs,
  tokenizePrompt,
} from "./tokenize.js";
import { type Group, group } from "./transform.js";

/** What the model asks of its inputs, and the tokenizer of its type; the other tokenizer is not used. */
export interface ModelTransformOptions extends TokenizeFASTInputsOptions {
  modelType: ModelType;
  /** Width of the model's state and action vectors. */
  actionDim: number;
  /** Actions per chunk; pi0_fast decodes to `[actionHorizon, actionDim]`. */
  actionHorizon: number;
  /** The prompt of samples that have none. */
  defaultPrompt?: string;
  /** Side of the model's square images. */
  imageSize?: number;
  /** For pi0 and pi05: PaligemmaTokenizer. */
  promptTokenizer?: PromptTokenizer;
  /** For pi05_ki and pi0_fast: FASTTokenizer. */
  fastTokenizer?: FastSequenceTokenizer;
  /** pi05: write the discretised state into the prompt. */
  discreteStateInput?: boolean;
  /**
   * pi05_ki: how the prompt is worded. `fast` (default): FASTTokenizer's prompt, with `Action: ` in the causal
   * part. `pi05`: the prompt of the released π0.5 checkpoints, then the FAST codes; for fine-tuning those. The
   * wording is the tokenizer's doing, so one that says another format is refused.
   */
  promptFormat?: "fast" | "pi05";
}

/**
 * The model transforms of `modelType`:
 *
 * | type | inputs | outputs |
 * |---|---|---|
 * | pi0, pi05 | injectDefaultPrompt → resizeImages → tokenizePrompt → padStatesAndActions | |
 * | pi05_ki | injectDefaultPrompt → resizeImages → tokenizeFASTInputs → padStatesAndActions | |
 * | pi0_fast | injectDefaultPrompt → resizeImages → tokenizeFASTInputs | extractFASTActions |
 *
 * Tokens come before padding, so that text and FAST codes hold the robot's real dims only. pi05_ki needs no
 * output transform: its actions come from the expert. Upstream: `ModelTransformFactory`.
 * @throws InsulaError `transforms/tokenizer` when the type's tokenizer is missing or words prompts otherwise,
 * `transforms/model-type` for an unknown type.
 */
export function modelTransforms(options: ModelTransformOptions): Group {
  const { modelType, actionDim, actionHorizon, imageSize = IMAGE_SIZE } = options;
  const before = [injectDefaultPrompt(options.defaultPrompt), resizeImages(imageSize, imageSize)];
  switch (modelType) {
    case "pi0":
    case "pi05": {
      const discreteStateInput = modelType === "pi05" && (options.discreteStateInput ?? true);
      const tokenize = tokenizePrompt(needPromptTokenizer(options), { discreteStateInput });
      return group({ inputs: [...before, tokenize, padStatesAndActions(actionDim)] });
    }
    case "pi05_ki": {
      const tokenize = tokenizeFASTInputs(needFastTokenizer(options), options);
      return group({ inputs: [...before, tokenize, padStatesAndActions(actionDim)] });
    }
    case "pi0_fast": {
      const tokenizer = needFastTokenizer(options);
      return group({
        inputs: [...before, tokenizeFASTInputs(tokenizer, options)],
        outputs: [extractFASTActions(tokenizer, { horizon: actionHorizon, dim: actionDim })],
      });
    }
    default:
      throw new InsulaError(
        "transforms/model-type",
        `modelTransforms: expected pi0, pi05, pi05_ki or pi0_fast, found '${modelType satisfies never}'`,
      );
  }
}

function needPromptTokenizer({ modelType, promptTokenizer }: ModelTransformOptions): PromptTokenizer {
  if (promptTokenizer) return promptTokenizer;
  throw new InsulaError(
    "transforms/tokenizer",
    `modelTransforms: ${modelType} needs a promptTokenizer: ` +
      "new PaligemmaTokenizer(maxTokenLen, { text }) of @insula/fast-tokenizer",
  );
}

function needFastTokenizer({
  modelType,
  fastTokenizer,
  ...rest
}: ModelTransformOptions): FastSequenceTokenizer {
  if (!fastTokenizer) {
    throw new InsulaError(
      "transforms/tokenizer",
      `modelTransforms: ${modelType} needs a fastTokenizer: ` +
        "new FASTTokenizer(maxTokenLen, { text, fast }) of @insula/fast-tokenizer",
    );
  }
  const wanted = modelType === "pi05_ki" ? (rest.promptFormat ?? "fast") : "fast";
  const found = fastTokenizer.promptFormat ?? "fast";
  if (wanted !== found) {
    throw new InsulaError(
      "transforms/tokenizer",
      `modelTransforms: ${modelType} with promptFormat '${wanted}' needs a fastTokenizer of that format, found ` +
        `'${found}': make it with FASTTokenizer(maxTokenLen, { promptFormat: "${wanted}", … })`,
    );
  }
  return fastTokenizer;
}
