/** The safetensors format: read, write, stream. */
export { bf16ToFloat32, type Dtype, dtypeOf, f16ToFloat32, float32ToBf16 } from "./dtype.js";
export { syncFolder, writeSynced } from "./durable.js";
export { openSafetensors, readSafetensors, type SafetensorsFile, writeSafetensors } from "./file.js";
export {
  type FileTensor,
  type Header,
  MAX_HEADER_LENGTH,
  parseHeader,
  parseSafetensors,
  serializeSafetensors,
  type TensorInfo,
  type Writable,
} from "./format.js";
export { type StreamedTensor, streamSafetensors } from "./stream.js";
