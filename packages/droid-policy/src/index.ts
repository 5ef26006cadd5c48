/** DROID observations and actions as model inputs and outputs. */
export { type DroidExample, makeDroidExample } from "./example.js";
export { droidInputs } from "./inputs.js";
export { droidOutputs } from "./outputs.js";
export { droidRepack } from "./repack.js";
export { DROID_DIM, droidState } from "./state.js";
