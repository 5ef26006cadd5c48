/**
 * @file Just enough of an assembler to write a WebAssembly module by hand: instructions are byte lists, nested
 * lists are flattened. Names are WebAssembly's own, `.` written as `_`.
 */

/** Bytes, or lists of them. */
export type Code = readonly (number | Code)[];

/** The bytes of nested lists. */
export function flat(code: Code): number[] {
  return code.flatMap((item) => (typeof item === "number" ? [item] : flat(item)));
}

/** An unsigned LEB128 number. */
export function unsigned(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; ) {
    const low = rest % 128;
    rest = Math.floor(rest / 128);
    if (rest === 0) return [...bytes, low];
    bytes.push(low + 128);
  }
}

/** A signed LEB128 number of 32 bits. */
export function signed(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value | 0; ; ) {
    const low = rest & 127;
    rest >>= 7;
    const last = (rest === 0 && low < 64) || (rest === -1 && low >= 64);
    bytes.push(last ? low : low + 128);
    if (last) return bytes;
  }
}

const simd = (op: number, ...rest: Code): Code => [0xfd, unsigned(op), rest];
/** Alignment hint 0, no offset. */
const ADDRESS = [0, 0];

export const get = (local: number): Code => [0x20, unsigned(local)];
export const set = (local: number): Code => [0x21, unsigned(local)];
export const tee = (local: number): Code => [0x22, unsigned(local)];
export const i32_const = (value: number): Code => [0x41, signed(value)];
export const i32_load: Code = [0x28, ...ADDRESS];
export const i32_add: Code = [0x6a];
export const i32_sub: Code = [0x6b];
/** `local = local + amount`. */
export const advance = (local: number, amount: Code): Code => [get(local), amount, i32_add, set(local)];
/** Run `body` as often as local `counter` says, at least once; counts it down to 0. */
export const repeat = (counter: number, body: Code): Code => [
  [0x03, 0x40], // loop
  body,
  [get(counter), i32_const(1), i32_sub, tee(counter)],
  [0x0d, 0, 0x0b], // br_if 0, end
];

export const v128_load: Code = simd(0x00, ADDRESS);
export const v128_load32_splat: Code = simd(0x09, ADDRESS);
export const v128_load32_zero: Code = simd(0x5c, ADDRESS);
export const v128_store: Code = simd(0x0b, ADDRESS);
/** Store the lowest four bytes. */
export const v128_store32_lane0: Code = simd(0x5a, ADDRESS, 0);
export const i32x4_splat: Code = simd(0x11);
export const i8x16_narrow_i16x8_u: Code = simd(0x66);
export const i16x8_narrow_i32x4_s: Code = simd(0x85);
export const i16x8_extend_low_i8x16_u: Code = simd(0x89);
export const i16x8_extend_high_i8x16_u: Code = simd(0x8a);
export const i32x4_extend_low_i16x8_u: Code = simd(0xa9);
export const i32x4_extend_high_i16x8_u: Code = simd(0xaa);
export const i32x4_shr_s: Code = simd(0xac);
export const i32x4_add: Code = simd(0xae);
export const i32x4_mul: Code = simd(0xb5);

const I32 = 0x7f;
const V128 = 0x7b;

/** A function of i32 parameters without a result. */
export interface WasmFunction {
  name: string;
  params: number;
  /** Locals after the parameters: so many i32, then so many v128. */
  i32: number;
  v128: number;
  body: Code;
}

const list = (items: readonly Code[]): Code => [unsigned(items.length), items];
const sized = (code: Code): Code => [unsigned(flat(code).length), code];
const section = (id: number, items: readonly Code[]): Code => [id, sized(list(items))];
const text = (name: string): Code => sized(Array.from(name, (c) => c.charCodeAt(0)));

/** A module with a memory of one page, exported as `memory`, and these functions. */
export function wasmModule(functions: readonly WasmFunction[]): Uint8Array<ArrayBuffer> {
  const types = functions.map((f): Code => [0x60, list(new Array(f.params).fill([I32])), 0]);
  const exports = functions.map((f, i): Code => [text(f.name), 0, unsigned(i)]);
  const bodies = functions.map((f): Code => {
    const locals: Code[] = [
      [unsigned(f.i32), I32],
      [unsigned(f.v128), V128],
    ];
    return sized([list(locals), f.body, 0x0b]);
  });
  return Uint8Array.from(
    flat([
      [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
      section(1, types),
      section(
        3,
        functions.map((_, i) => unsigned(i)),
      ),
      section(5, [[0, 1]]),
      section(7, [[text("memory"), 2, 0], ...exports]),
      section(10, bodies),
    ]),
  );
}
