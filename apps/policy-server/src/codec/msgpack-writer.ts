/**
 * @file MessagePack, writing, as Python's msgpack does it: the shortest form of every integer and length, text as
 * str, bytes as bin.
 */

/** A growing buffer of MessagePack. */
export interface Writer {
  nil(): void;
  bool(value: boolean): void;
  /** A Python int. */
  int(value: bigint): void;
  /** A Python float: always 64 bits. */
  float(value: number): void;
  str(value: string): void;
  bin(value: Uint8Array): void;
  /** Head of a list of `n` values, which follow. */
  list(n: number): void;
  /** Head of a map of `n` pairs, which follow. */
  map(n: number): void;
  /** What was written; the writer must not be used any more. */
  finish(): Uint8Array;
}

type Setter = Extract<keyof DataView, `set${string}`>;

const UTF8 = new TextEncoder();

/** An empty buffer. */
export function createWriter(): Writer {
  let bytes = new Uint8Array(1024);
  let view = new DataView(bytes.buffer);
  let at = 0;

  /** Make room for `n` bytes; returns where they go. */
  const room = (n: number): number => {
    if (at + n > bytes.length) {
      const grown = new Uint8Array(Math.max(2 * bytes.length, at + n));
      grown.set(bytes);
      bytes = grown;
      view = new DataView(bytes.buffer);
    }
    const from = at;
    at += n;
    return from;
  };
  /** The view is looked up after the room is made: making room may replace it. */
  const put = <K extends Setter>(n: number, set: K, value: Parameters<DataView[K]>[1]): void => {
    const from = room(n);
    (view[set] as (at: number, value: unknown) => void).call(view, from, value);
  };
  const tag = (value: number): void => put(1, "setUint8", value);
  const u8 = (value: number): void => put(1, "setUint8", value);
  const u16 = (value: number): void => put(2, "setUint16", value);
  const u32 = (value: number): void => put(4, "setUint32", value);
  /** A length, after the tag of its width: `tags` for 8, 16 and 32 bits; undefined where there is none. */
  const head = (n: number, [t8, t16, t32]: readonly [number | undefined, number, number]): void => {
    if (t8 !== undefined && n < 0x100) {
      tag(t8);
      u8(n);
    } else if (n < 0x10000) {
      tag(t16);
      u16(n);
    } else {
      tag(t32);
      u32(n);
    }
  };
  const raw = (value: Uint8Array): void => {
    const from = room(value.length);
    bytes.set(value, from);
  };

  return {
    nil: () => tag(0xc0),
    bool: (value) => tag(value ? 0xc3 : 0xc2),
    int(value) {
      if (value >= 0n) {
        if (value < 0x80n) tag(Number(value));
        else if (value < 0x1_0000_0000n) head(Number(value), [0xcc, 0xcd, 0xce]);
        else {
          tag(0xcf);
          put(8, "setBigUint64", value);
        }
        return;
      }
      if (value >= -0x20n) tag(0x100 + Number(value));
      else if (value >= -0x80n) {
        tag(0xd0);
        put(1, "setInt8", Number(value));
      } else if (value >= -0x8000n) {
        tag(0xd1);
        put(2, "setInt16", Number(value));
      } else if (value >= -0x8000_0000n) {
        tag(0xd2);
        put(4, "setInt32", Number(value));
      } else {
        tag(0xd3);
        put(8, "setBigInt64", value);
      }
    },
    float(value) {
      tag(0xcb);
      put(8, "setFloat64", value);
    },
    str(value) {
      const encoded = UTF8.encode(value);
      if (encoded.length < 0x20) tag(0xa0 | encoded.length);
      else head(encoded.length, [0xd9, 0xda, 0xdb]);
      raw(encoded);
    },
    bin(value) {
      head(value.length, [0xc4, 0xc5, 0xc6]);
      raw(value);
    },
    list(n) {
      if (n < 0x10) tag(0x90 | n);
      else head(n, [undefined, 0xdc, 0xdd]);
    },
    map(n) {
      if (n < 0x10) tag(0x80 | n);
      else head(n, [undefined, 0xde, 0xdf]);
    },
    finish: () => bytes.subarray(0, at),
  };
}
