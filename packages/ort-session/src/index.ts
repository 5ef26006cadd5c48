/** Sessions and tensors over ONNX Runtime. */
export { createSession, defaultRuntime } from "./create-session.js";
export type { Device, Runtime, Session, SessionOptions, Slot } from "./session.js";
export { type Tensor, type TensorType, tensor, zerosTensor } from "./tensor.js";
