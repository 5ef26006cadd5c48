/**
 * @file The two passes of the resize as SIMD code. Both compute, in 32-bit integers and therefore exactly as the
 * plain loops do, `(2^21 + Σ byte · weight) >> 22`, the weights in 22-bit fixed point. A window that is shorter
 * than `taps` has zeros behind it.
 */
import {
  advance,
  type Code,
  get,
  i8x16_narrow_i16x8_u,
  i16x8_extend_high_i8x16_u,
  i16x8_extend_low_i8x16_u,
  i16x8_narrow_i32x4_s,
  i32_add,
  i32_const,
  i32_load,
  i32x4_add,
  i32x4_extend_high_i16x8_u,
  i32x4_extend_low_i16x8_u,
  i32x4_mul,
  i32x4_shr_s,
  i32x4_splat,
  repeat,
  set,
  tee,
  v128_load,
  v128_load32_splat,
  v128_load32_zero,
  v128_store,
  v128_store32_lane0,
  type WasmFunction,
} from "./assembler.js";

/** Bits behind the point of a weight. */
export const PRECISION_BITS = 22;
const HALF: Code = [i32_const(1 << (PRECISION_BITS - 1)), i32x4_splat];
const shifted = (sum: Code): Code => [sum, i32_const(PRECISION_BITS), i32x4_shr_s];

type Words<S extends string> = S extends `${infer Word} ${infer Rest}` ? Word | Words<Rest> : S;

/** The numbers of locals, in the order of `names`. */
function locals<S extends string>(names: S): Record<Words<S>, number> {
  return Object.fromEntries(names.split(" ").map((name, i) => [name, i])) as Record<Words<S>, number>;
}

/**
 * Rows of RGB pixels, four bytes at a time: a pixel's three sums in one vector, the fourth ignored. Writes one byte
 * beyond each row. `starts` are byte offsets in a row, `[width]`; `weights` `[width, taps]`.
 */
export function horizontalKernel(): WasmFunction {
  const v = locals("src dst rows srcStride dstStride width starts weights taps x k from to start weight sum");
  const tap: Code = [
    [get(v.from), v128_load32_zero, i16x8_extend_low_i8x16_u, i32x4_extend_low_i16x8_u],
    [get(v.weight), v128_load32_splat, i32x4_mul],
    [get(v.sum), i32x4_add, set(v.sum)],
    advance(v.from, i32_const(3)),
    advance(v.weight, i32_const(4)),
  ];
  const pixel: Code = [
    [HALF, set(v.sum)],
    [get(v.src), get(v.start), i32_load, i32_add, set(v.from)],
    [get(v.taps), set(v.k), repeat(v.k, tap)],
    [get(v.to), shifted(get(v.sum)), tee(v.sum), get(v.sum), i16x8_narrow_i32x4_s, tee(v.sum)],
    [get(v.sum), i8x16_narrow_i16x8_u, v128_store32_lane0],
    advance(v.to, i32_const(3)),
    advance(v.start, i32_const(4)),
  ];
  const row: Code = [
    [get(v.starts), set(v.start), get(v.weights), set(v.weight), get(v.dst), set(v.to)],
    [get(v.width), set(v.x), repeat(v.x, pixel)],
    advance(v.src, get(v.srcStride)),
    advance(v.dst, get(v.dstStride)),
  ];
  return { name: "horizontal", params: 9, i32: 6, v128: 1, body: repeat(v.rows, row) };
}

/**
 * Columns, sixteen bytes at a time. Rows of source and destination are `stride` bytes apart, `blocks` = stride / 16.
 * `starts` are byte offsets of rows, `[height]`; `weights` `[height, taps]`.
 */
export function verticalKernel(): WasmFunction {
  const v = locals(
    "src dst height stride blocks starts weights taps block k column from weight a b c d bytes pairs factor",
  );
  const sums = [v.a, v.b, v.c, v.d];
  /** Add four of the products of half of the bytes. */
  const accumulate = (sum: number, extend: Code): Code => [
    [get(v.pairs), extend, get(v.factor), i32x4_mul, get(sum), i32x4_add, set(sum)],
  ];
  const tap: Code = [
    [get(v.weight), v128_load32_splat, set(v.factor)],
    [get(v.from), v128_load, tee(v.bytes), i16x8_extend_low_i8x16_u, set(v.pairs)],
    accumulate(v.a, i32x4_extend_low_i16x8_u),
    accumulate(v.b, i32x4_extend_high_i16x8_u),
    [get(v.bytes), i16x8_extend_high_i8x16_u, set(v.pairs)],
    accumulate(v.c, i32x4_extend_low_i16x8_u),
    accumulate(v.d, i32x4_extend_high_i16x8_u),
    advance(v.from, get(v.stride)),
    advance(v.weight, i32_const(4)),
  ];
  const column: Code = [
    sums.map((sum): Code => [HALF, set(sum)]),
    [get(v.column), get(v.starts), i32_load, i32_add, set(v.from)],
    [get(v.weights), set(v.weight), get(v.taps), set(v.k), repeat(v.k, tap)],
    get(v.dst),
    [shifted(get(v.a)), shifted(get(v.b)), i16x8_narrow_i32x4_s],
    [shifted(get(v.c)), shifted(get(v.d)), i16x8_narrow_i32x4_s],
    [i8x16_narrow_i16x8_u, v128_store],
    advance(v.dst, i32_const(16)),
    advance(v.column, i32_const(16)),
  ];
  const row: Code = [
    [get(v.src), set(v.column), get(v.blocks), set(v.block), repeat(v.block, column)],
    advance(v.starts, i32_const(4)),
    // `weight` has run over this row's weights.
    [get(v.weight), set(v.weights)],
  ];
  return { name: "vertical", params: 8, i32: 5, v128: 7, body: repeat(v.height, row) };
}
