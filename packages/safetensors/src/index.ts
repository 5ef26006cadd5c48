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
export { openTensors, readTensors, type TensorFiles } from "./open.js";
export {
  indexPath,
  SHARD_BYTES,
  type ShardIndex,
  type ShardOptions,
  type WrittenFile,
  writeShardedSafetensors,
} from "./shards.js";
export { type StreamedTensor, streamed, streamSafetensors } from "./stream.js";
