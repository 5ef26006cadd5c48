/**
 * @file Which part of a model a run trains, by name: what is frozen, and which of the losses is left.
 */
import { configModelType, hasLora, InsulaError, type ModelConfig } from "@insula/model-types";
import { frozenPaths } from "./freeze.js";
import { type ParamGroup, paramSpecs } from "./spec.js";

/**
 * `all`; the action `expert` and the projections around it; the `vlm`; `lora`: what openpi trains, everything but the
 * language-model weights that have adapters; `lora-only`: adapters and nothing else.
 */
export const TRAIN_PARTS = ["all", "expert", "vlm", "lora", "lora-only"] as const;
/** One of {@link TRAIN_PARTS}. */
export type TrainPart = (typeof TRAIN_PARTS)[number];

/** What of a training graph a part decides. */
export interface PartOptions {
  /** Regular expressions for whole paths. */
  freeze: string[];
  /** The loss that still trains something, where the other trains nothing. */
  only?: "action" | "fast";
}

/**
 * The options of a part.
 * @throws InsulaError `model/train` for a part that the model does not have.
 */
export function partOptions(config: ModelConfig, part: TrainPart): PartOptions {
  const freeze = partFreeze(config, part);
  if (!config.knowledgeInsulation) return { freeze };
  const specs = paramSpecs(config);
  const frozen = frozenPaths(specs, freeze);
  const trained = (group: ParamGroup) => specs.some((s) => s.group === group && !frozen(s.path));
  if (!trained("vlm")) return { freeze, only: "action" };
  return trained("expert") ? { freeze } : { freeze, only: "fast" };
}

function partFreeze(config: ModelConfig, part: TrainPart): string[] {
  const type = configModelType(config);
  const expert = type !== "pi0_fast";
  switch (part) {
    case "all":
      return [];
    case "expert":
      if (!expert) throw new InsulaError("model/train", `train: 'expert': ${type} has no action expert`);
      return ["PaliGemma/img/.*", "PaliGemma/llm/(?!.*_1(/|$)).*"];
    case "vlm":
      return expert ? ["(?!PaliGemma/).*", "PaliGemma/llm/.*_1(/.*)?"] : [];
    default: {
      const lora = loraFreezeFilter(config);
      if (lora.length > 0) return part === "lora" ? lora : ["(?!.*lora).*"];
      const where = expert ? "neither model.vlm.lora nor model.expert.lora is" : "model.vlm.lora is not";
      throw new InsulaError("model/train", `train: '${part}': the model has no adapters: ${where} set`);
    }
  }
}

/**
 * openpi's `get_freeze_filter` (`models/pi0_config.py`, `models/pi0_fast.py`): the language-model weights of the
 * stacks with adapters, embedding and norms included, but not the adapters. Vision tower and projections are trained.
 * @returns patterns for `freeze`; none without adapters.
 */
export function loraFreezeFilter(config: ModelConfig): string[] {
  const vlm = hasLora(config.vlm);
  const type = configModelType(config);
  const expert = type !== "pi0_fast" && hasLora(config.expert);
  if (vlm && (expert || type === "pi0_fast")) return ["(?!.*lora).*llm.*"];
  if (vlm) return ["(?!.*lora)(?!.*llm.*_1).*llm.*"];
  return expert ? ["(?!.*lora).*llm.*_1.*"] : [];
}
