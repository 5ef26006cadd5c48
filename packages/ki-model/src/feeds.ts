/**
 * @file From batches to session feeds: openpi's names, the types that the graphs declare.
 */
import { InsulaError, type NdArray, type Observation } from "@insula/model-types";
import { type Slot, type Tensor, tensor } from "@insula/ort-session";
import type { FlowDraws, TrainBatch } from "./train-session.js";

/** Everything of an observation that a graph could ask for. */
export function observationFeeds(observation: Observation): Record<string, Tensor> {
  const feeds: Record<string, Tensor> = {};
  for (const [key, { data, shape }] of Object.entries(observation.images))
    feeds[`images/${key}`] = tensor(data, shape);
  for (const [key, { data, shape }] of Object.entries(observation.imageMasks))
    feeds[`image_masks/${key}`] = tensor(data, shape, "bool");
  feeds["state"] = tensor(observation.state.data, observation.state.shape);
  const text: [string, NdArray | undefined, boolean][] = [
    ["tokenized_prompt", observation.tokenizedPrompt, false],
    ["tokenized_prompt_mask", observation.tokenizedPromptMask, true],
    ["token_ar_mask", observation.tokenArMask, false],
    ["token_loss_mask", observation.tokenLossMask, true],
  ];
  for (const [name, array, mask] of text) {
    if (array) feeds[name] = mask ? tensor(array.data, array.shape, "bool") : tensor(array.data, array.shape);
  }
  return feeds;
}

/** Everything of a training batch and its draws. */
export function trainFeeds(
  { observation, actions, actionMask }: TrainBatch,
  { noise, time }: FlowDraws,
): Record<string, Tensor> {
  const feeds = observationFeeds(observation);
  for (const [name, array] of Object.entries({ actions, noise, time, action_mask: actionMask })) {
    if (array) feeds[name] = tensor(array.data, array.shape);
  }
  return feeds;
}

/**
 * The feeds that `inputs` ask for, parameters excluded.
 * @throws InsulaError `model/feed` naming what the batch lacks.
 */
export function pickFeeds(
  inputs: readonly Slot[],
  feeds: Record<string, Tensor>,
  isParam: (name: string) => boolean,
): Record<string, Tensor> {
  const out: Record<string, Tensor> = {};
  for (const { name, type, shape } of inputs) {
    if (isParam(name)) continue;
    const feed = feeds[name];
    if (!feed) {
      throw new InsulaError(
        "model/feed",
        `the model needs '${name}' (${type}[${shape.join(", ")}]); the batch has ${Object.keys(feeds).join(", ")}`,
      );
    }
    out[name] = feed;
  }
  return out;
}
