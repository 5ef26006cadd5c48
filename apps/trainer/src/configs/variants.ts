/**
 * @file Stacks by openpi's names (`paligemma_variant`, `action_expert_variant`): `model.vlm=gemma_2b_lora` instead of the
 * fields of its adapters. Widths and depths stay the size's, of which `full` is openpi's.
 */
import { closestMatch, GEMMA_VARIANTS, InsulaError } from "@insula/model-types";

/** The variants that each stack can be. */
const VARIANTS = {
  vlm: ["gemma_2b", "gemma_2b_lora"],
  expert: ["gemma_300m", "gemma_300m_lora"],
} as const;

/** The name of a variant of a stack. */
export type StackVariant<Stack extends keyof typeof VARIANTS> = (typeof VARIANTS)[Stack][number];

/**
 * Fields of a model whose stacks may be named; what is no name stays.
 * @throws InsulaError `config/field` with the closest name.
 */
export function withVariants(model: Record<string, unknown>): Record<string, unknown> {
  const out = { ...model };
  for (const stack of ["vlm", "expert"] as const) {
    const name = model[stack];
    if (typeof name === "string") out[stack] = variantFields(stack, name);
  }
  return out;
}

function variantFields(stack: keyof typeof VARIANTS, name: string): Record<string, unknown> {
  const names: readonly (keyof typeof GEMMA_VARIANTS)[] = VARIANTS[stack];
  const known = names.find((variant) => variant === name);
  if (known) return { lora: structuredClone(GEMMA_VARIANTS[known].lora ?? null) };
  const near = closestMatch(name, names);
  const remedy = near ? `did you mean '${near}'?` : `expected one of ${names.join(", ")}, or fields`;
  throw new InsulaError("config/field", `config: model.${stack}: unknown variant '${name}'; ${remedy}`);
}
