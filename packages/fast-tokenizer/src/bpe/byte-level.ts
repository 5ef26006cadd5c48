/**
 * @file Byte-level text as GPT-2 and HF `tokenizers` see it: bytes written as visible characters, and text
 * split into words by the class of its characters before any merge. Here on code points, without strings;
 * the pattern is `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`.
 */

/** Byte → its visible character (GPT-2's `bytes_to_unicode`). */
export const BYTE_CHARS: readonly string[] = byteChars();

/** Visible character → its byte. */
export const CHAR_BYTES: ReadonlyMap<string, number> = new Map(BYTE_CHARS.map((char, byte) => [char, byte]));

function byteChars(): string[] {
  let next = 256;
  return Array.from({ length: 256 }, (_, b) => {
    const visible = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
    return String.fromCodePoint(visible ? b : next++);
  });
}

const LETTER = 1;
const NUMBER = 2;
const SPACE = 3;
const OTHER = 4;

/** Classes of the basic plane, filled when first met; 0 is "not yet". */
const classes = new Uint8Array(0x10000);

/** `\s` is Unicode's White_Space, as in Rust; JavaScript's own `\s` differs at U+0085 and U+FEFF. */
function classify(codePoint: number): number {
  const char = String.fromCodePoint(codePoint);
  if (/\p{L}/u.test(char)) return LETTER;
  if (/\p{N}/u.test(char)) return NUMBER;
  return /\p{White_Space}/u.test(char) ? SPACE : OTHER;
}

function classOf(codePoint: number): number {
  if (codePoint > 0xffff) return classify(codePoint);
  return (classes[codePoint] ||= classify(codePoint));
}

/** Where the word that begins at `start` ends (exclusive), in `symbols[0…end)`. */
export function wordEnd(symbols: Int32Array, start: number, end: number): number {
  const first = symbols[start]!;
  if (first === 0x27) {
    const length = contractionLength(symbols[start + 1]!, symbols[start + 2]!, end - start);
    if (length) return start + length;
  }
  let i = start;
  if (first === 0x20 && start + 1 < end && classOf(symbols[start + 1]!) !== SPACE) i++;
  const kind = classOf(symbols[i]!);
  i++;
  while (i < end && classOf(symbols[i]!) === kind) i++;
  // `\s+(?!\S)`: a run of spaces leaves its last one to the word behind it.
  if (kind === SPACE && i < end && i - start > 1) return i - 1;
  return i;
}

/** `'s 't 'm 'd` and `'re 've 'll`; 0 when it is none. */
function contractionLength(a: number, b: number, available: number): number {
  if (available < 2) return 0;
  if (a === 0x73 || a === 0x74 || a === 0x6d || a === 0x64) return 2;
  if (available < 3) return 0;
  return ((a === 0x72 || a === 0x76) && b === 0x65) || (a === 0x6c && b === 0x6c) ? 3 : 0;
}

/** Write the UTF-8 bytes of `codePoint` at `out[at…]`; returns how many (1…4). */
export function writeUtf8(codePoint: number, out: Uint8Array | Int32Array, at: number): number {
  if (codePoint < 0x80) {
    out[at] = codePoint;
    return 1;
  }
  if (codePoint < 0x800) {
    out[at] = 0xc0 | (codePoint >> 6);
    out[at + 1] = 0x80 | (codePoint & 63);
    return 2;
  }
  if (codePoint < 0x10000) {
    out[at] = 0xe0 | (codePoint >> 12);
    out[at + 1] = 0x80 | ((codePoint >> 6) & 63);
    out[at + 2] = 0x80 | (codePoint & 63);
    return 3;
  }
  out[at] = 0xf0 | (codePoint >> 18);
  out[at + 1] = 0x80 | ((codePoint >> 12) & 63);
  out[at + 2] = 0x80 | ((codePoint >> 6) & 63);
  out[at + 3] = 0x80 | (codePoint & 63);
  return 4;
}
