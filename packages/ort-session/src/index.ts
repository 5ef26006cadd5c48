/** Sessions and tensors over ONNX Runtime, on the CPU and on CUDA. */
export { cudaLibrariesDir, type OrtLibrary, onnxRuntimeLibrary, onnxRuntimeVersion } from "./capi/library.js";
export { createSession, defaultRuntime } from "./create-session.js";
export { type Device, type DeviceLocation, parseDevice } from "./device.js";
export type { DeviceTensor } from "./device-tensor.js";
export { exitNow } from "./exit-now.js";
export type {
  Binding,
  CudaOptions,
  NodePlacement,
  Runtime,
  Session,
  SessionMemory,
  SessionOptions,
  Slot,
} from "./session.js";
export { type Tensor, type TensorType, tensor, zerosTensor } from "./tensor.js";
export { upload } from "./upload.js";
