/** @file The few protobuf wire types that TensorBoard's messages need. */

/** A message from its fields. */
export const message = (...fields: readonly Uint8Array[]): Uint8Array => Buffer.concat(fields);

export const integer = (field: number, value: number): Uint8Array =>
  Uint8Array.of(field << 3, ...varint(value));

export function double(field: number, value: number): Uint8Array {
  const out = new Uint8Array(9);
  out[0] = (field << 3) | 1;
  new DataView(out.buffer).setFloat64(1, value, true);
  return out;
}

export function float(field: number, value: number): Uint8Array {
  const out = new Uint8Array(5);
  out[0] = (field << 3) | 5;
  new DataView(out.buffer).setFloat32(1, value, true);
  return out;
}

/** A nested message or bytes. */
export const bytes = (field: number, payload: Uint8Array): Uint8Array =>
  Buffer.concat([Uint8Array.of((field << 3) | 2, ...varint(payload.length)), payload]);

export const text = (field: number, value: string): Uint8Array =>
  bytes(field, new TextEncoder().encode(value));

/** A packed `repeated double`. */
export function doubles(field: number, values: readonly number[]): Uint8Array {
  const out = new DataView(new ArrayBuffer(8 * values.length));
  for (const [i, value] of values.entries()) out.setFloat64(8 * i, value, true);
  return bytes(field, new Uint8Array(out.buffer));
}

function varint(value: number): number[] {
  const out: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) out.push((rest % 128) | 128);
  return [...out, rest];
}
