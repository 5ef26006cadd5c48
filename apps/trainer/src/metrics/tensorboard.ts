/**
 * @file TensorBoard event files: scalars only. Format: TFRecord framing (length, masked CRC-32C of the
 * length, payload, masked CRC-32C of the payload) around `tensorflow.Event` protobuf messages, of which four
 * fields are written: wall_time = 1, step = 2, file_version = 3, summary = 5 { value = 1 { tag = 1, simple_value = 2 } }.
 */
import { closeSync, openSync, writeSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";

export interface EventWriter {
  readonly path: string;
  /** One event holding every scalar of `scalars` (undefined ones left out). `time` in seconds since 1970. */
  scalars(step: number, time: number, scalars: Record<string, number | undefined>): void;
  close(): void;
}

/** Start an event file in `dir`; TensorBoard merges all files of a folder, so a resumed run adds one. */
export function openEvents(dir: string, now: number = Date.now() / 1000): EventWriter {
  const seconds = String(Math.floor(now)).padStart(10, "0");
  const path = join(dir, `events.out.tfevents.${seconds}.${hostname()}.${process.pid}`);
  const file = openSync(path, "a");
  const write = (event: Uint8Array) => void writeSync(file, frame(event));
  write(message([double(1, now), text(3, "brain.Event:2")]));
  return {
    path,
    scalars(step, time, scalars) {
      const values = Object.entries(scalars).flatMap(([tag, value]) =>
        value === undefined ? [] : [bytes(1, message([text(1, tag), float(2, value)]))],
      );
      write(message([double(1, time), integer(2, step), bytes(5, message(values))]));
    },
    close: () => closeSync(file),
  };
}

/** CRC-32C (Castagnoli, reflected polynomial 0x82f63b78). */
export function crc32c(data: Uint8Array): number {
  let crc = ~0;
  for (const byte of data) crc = TABLE[(crc ^ byte) & 255]! ^ (crc >>> 8);
  return ~crc >>> 0;
}

const TABLE: Int32Array = Int32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
  return c;
});

/** TFRecord's mask: a rotation and an offset, so that a CRC stored in CRC-ed data does no harm. */
function maskedCrc(data: Uint8Array): number {
  const crc = crc32c(data);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

function frame(payload: Uint8Array): Uint8Array {
  const out = new Uint8Array(payload.length + 16);
  const view = new DataView(out.buffer);
  view.setBigUint64(0, BigInt(payload.length), true);
  view.setUint32(8, maskedCrc(out.subarray(0, 8)), true);
  out.set(payload, 12);
  view.setUint32(12 + payload.length, maskedCrc(payload), true);
  return out;
}

const message = (fields: readonly Uint8Array[]): Uint8Array => Buffer.concat(fields);

function varint(value: number): number[] {
  const out: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) out.push((rest % 128) | 128);
  return [...out, rest];
}

const integer = (field: number, value: number): Uint8Array => Uint8Array.of(field << 3, ...varint(value));

function double(field: number, value: number): Uint8Array {
  const out = new Uint8Array(9);
  out[0] = (field << 3) | 1;
  new DataView(out.buffer).setFloat64(1, value, true);
  return out;
}

function float(field: number, value: number): Uint8Array {
  const out = new Uint8Array(5);
  out[0] = (field << 3) | 5;
  new DataView(out.buffer).setFloat32(1, value, true);
  return out;
}

const bytes = (field: number, payload: Uint8Array): Uint8Array =>
  Buffer.concat([Uint8Array.of((field << 3) | 2, ...varint(payload.length)), payload]);

const text = (field: number, value: string): Uint8Array => bytes(field, new TextEncoder().encode(value));
