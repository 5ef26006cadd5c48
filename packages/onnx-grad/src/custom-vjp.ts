/**
 * @file A hand-written gradient for a value made of several operators, where the closed form is shorter than
 * what the operators' own rules would compose.
 */
import { addOp, type OpRule, type Value } from "./graph.js";

/** Gradients of `inputs` from the gradient of the value and the saved values. */
export type CustomVjp = (context: { saved: readonly Value[]; grad: Value }) => readonly (Value | undefined)[];

/**
 * `y` under another name, whose gradient with respect to `inputs` is given by `vjp` alone: what made `y` is
 * not differentiated. `saved` are the values that `vjp` reads; naming them lets a rematerialised block hand it
 * the recomputed ones.
 */
export function customVjp(
  y: Value,
  inputs: readonly Value[],
  saved: readonly Value[],
  vjp: CustomVjp,
): Value {
  const rule: OpRule = {
    type: "Alias",
    vjp: ({ inputs: all, grads: [grad] }) => {
      const gradients = vjp({ saved: all.slice(1 + inputs.length), grad: grad! });
      return [undefined, ...inputs.map((_, i) => gradients[i]), ...saved.map(() => undefined)];
    },
  };
  return addOp(rule, [y, ...inputs, ...saved], y.dtype, y.shape);
}
