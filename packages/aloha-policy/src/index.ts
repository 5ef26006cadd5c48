/** ALOHA observations and actions as model inputs and outputs, with the gripper's and joints' conversions. */
export { type AlohaExample, makeAlohaExample } from "./example.js";
export {
  gripperAngularToCommand,
  gripperAngularToLinear,
  gripperCommandToAngular,
  gripperLinearToAngular,
} from "./gripper.js";
export { ALOHA_CAMERAS, type AlohaCamera, type AlohaOptions, alohaInputs } from "./inputs.js";
export { ALOHA_DIM, ALOHA_JOINT_FLIP, alohaDeltaMask } from "./joints.js";
export { alohaOutputs } from "./outputs.js";
export { alohaRepack } from "./repack.js";
export { alohaActionsFromModel, alohaActionsToModel, alohaStateToModel } from "./spaces.js";
