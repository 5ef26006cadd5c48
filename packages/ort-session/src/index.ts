/** Sessions and tensors over ONNX Runtime. */
export { createSession } from "./node-session.js";
export type { Device, Session, SessionOptions, Slot } from "./session.js";
export { type Tensor, type TensorType, tensor, zerosTensor } from "./tensor.js";
