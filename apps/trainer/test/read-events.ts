/**
 * @file An independent reading of TensorBoard's event files: frames, checksums, and every field of the messages by the
 * numbers and types of TensorFlow's protos (event.proto, summary.proto, histogram.proto, tensor.proto, tensor_shape.proto,
 * types.proto). A field that the proto does not have, or has of another type, is an error.
 */
import { readFileSync } from "node:fs";
import { crc32c } from "../src/metrics/records.js";

interface Field {
  name: string;
  type: "double" | "float" | "int" | "string" | "bytes" | Proto;
  repeated?: true;
}

/** Fields of a message by number. */
type Proto = { readonly [number: number]: Field };

const double = (name: string): Field => ({ name, type: "double" });
const HISTOGRAM: Proto = {
  1: double("min"),
  2: double("max"),
  3: double("num"),
  4: double("sum"),
  5: double("sum_squares"),
  6: { ...double("bucket_limit"), repeated: true },
  7: { ...double("bucket"), repeated: true },
};
const IMAGE: Proto = {
  1: { name: "height", type: "int" },
  2: { name: "width", type: "int" },
  3: { name: "colorspace", type: "int" },
  4: { name: "encoded_image_string", type: "bytes" },
};
const DIM: Proto = { 1: { name: "size", type: "int" } };
const TENSOR: Proto = {
  1: { name: "dtype", type: "int" },
  2: { name: "tensor_shape", type: { 2: { name: "dim", type: DIM, repeated: true } } },
  8: { name: "string_val", type: "string", repeated: true },
};
const METADATA: Proto = {
  1: { name: "plugin_data", type: { 1: { name: "plugin_name", type: "string" } } },
};
const VALUE: Proto = {
  1: { name: "tag", type: "string" },
  2: { name: "simple_value", type: "float" },
  4: { name: "image", type: IMAGE },
  5: { name: "histo", type: HISTOGRAM },
  8: { name: "tensor", type: TENSOR },
  9: { name: "metadata", type: METADATA },
};
const EVENT: Proto = {
  1: double("wall_time"),
  2: { name: "step", type: "int" },
  3: { name: "file_version", type: "string" },
  5: { name: "summary", type: { 1: { name: "value", type: VALUE, repeated: true } } },
  7: { name: "session_log", type: { 1: { name: "status", type: "int" } } },
};

/** The events of a file, in order, with the protos' names. */
export function readEvents(path: string): unknown[] {
  const file = readFileSync(path);
  const events: unknown[] = [];
  for (let at = 0; at < file.length; ) {
    const length = Number(file.readBigUInt64LE(at));
    const payload = file.subarray(at + 12, at + 12 + length);
    checkCrc(file.subarray(at, at + 8), file.readUInt32LE(at + 8));
    checkCrc(payload, file.readUInt32LE(at + 12 + length));
    events.push(decode(payload, EVENT));
    at += 16 + length;
  }
  return events;
}

/** TFRecord's masked checksum. */
function checkCrc(bytes: Uint8Array, found: number): void {
  const crc = crc32c(bytes);
  const masked = Number((BigInt((crc >>> 15) | (crc << 17)) + 0xa282ead8n) & 0xffffffffn);
  if (masked !== found) throw new Error(`checksum: expected ${masked}, found ${found}`);
}

function decode(bytes: Buffer, proto: Proto): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const { number, wire, value } of wireFields(bytes)) {
    const field = proto[number];
    if (!field) throw new Error(`no field ${number} among ${Object.values(proto).map((f) => f.name)}`);
    const values = valuesOf(field, wire, value);
    if (field.repeated) out[field.name] = [...((out[field.name] as unknown[]) ?? []), ...values];
    else [out[field.name]] = values;
  }
  return out;
}

/** The values of one occurrence of a field; a packed one has several. */
function valuesOf({ name, type, repeated }: Field, wire: number, value: bigint | Buffer): unknown[] {
  const wanted = type === "int" ? 0 : type === "double" && !repeated ? 1 : type === "float" ? 5 : 2;
  if (wire !== wanted) throw new Error(`${name}: expected wire type ${wanted}, found ${wire}`);
  if (type === "int") return [Number(value)];
  const bytes = value as Buffer;
  if (type === "bytes") return [new Uint8Array(bytes)];
  if (type === "string") return [bytes.toString("utf8")];
  if (type === "float") return [bytes.readFloatLE()];
  if (type === "double") {
    return Array.from({ length: bytes.length / 8 }, (_, i) => bytes.readDoubleLE(8 * i));
  }
  return [decode(bytes, type)];
}

function* wireFields(bytes: Buffer): Generator<{ number: number; wire: number; value: bigint | Buffer }> {
  let at = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++]!;
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const key = Number(varint());
    const wire = key & 7;
    if (wire === 0) yield { number: key >> 3, wire, value: varint() };
    else {
      const size = wire === 1 ? 8 : wire === 5 ? 4 : Number(varint());
      yield { number: key >> 3, wire, value: bytes.subarray(at, (at += size)) };
    }
  }
}
