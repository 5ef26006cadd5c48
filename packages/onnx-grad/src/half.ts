/**
 * @file Constants of the 16-bit float types: numbers to their bits, rounded to nearest, ties to even.
 */

/** float16 (IEEE 754 binary16) bits. */
export function float16Bits(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const a = Math.abs(value);
  if (Number.isNaN(a)) return 0x7e00;
  if (a >= 65520) return sign | 0x7c00;
  // Below 2⁻¹⁴ the spacing stays 2⁻²⁴. A mantissa that rounds up to 1024 carries into the exponent by itself.
  const exponent = Math.max(exponentOf(a), -14);
  return sign + (exponent + 14) * 1024 + roundEven(a * 2 ** (10 - exponent));
}

/** bfloat16 bits: the upper half of a float32. */
export function bfloat16Bits(value: number): number {
  const bits = float32Bits(value);
  if (Number.isNaN(value)) return 0x7fc0;
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

function float32Bits(value: number): number {
  return new Uint32Array(Float32Array.of(value).buffer)[0]!;
}

/** floor(log₂ a) of a normal float32. */
function exponentOf(a: number): number {
  return ((float32Bits(a) >>> 23) & 0xff) - 127;
}

function roundEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}
