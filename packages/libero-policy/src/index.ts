/** LIBERO observations and actions as model inputs and outputs. */
export { type LiberoExample, makeLiberoExample } from "./example.js";
export { liberoInputs } from "./inputs.js";
export { liberoOutputs } from "./outputs.js";
export { liberoRepack } from "./repack.js";
export { LIBERO_DIM, LIBERO_STATE_DIM, liberoState } from "./state.js";
