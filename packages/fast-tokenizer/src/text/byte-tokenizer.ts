/**
 * @file The smallest text tokenizer that can write anything: one id per byte, and ids for whole pieces (words, digits)
 * that are common in prompts. No file needed; what embedded and test models use in place of PaliGemma's vocabulary.
 */
import { InsulaError } from "@insula/model-types";
import { show } from "../show.js";
import { checkId, withSpecials } from "./special.js";
import type { TextTokenizer } from "./text-tokenizer.js";

const PAD = 0;
const EOS = 1;
const BOS = 2;
const FIRST_BYTE = 3;
const FIRST_PIECE = FIRST_BYTE + 256;

/** A byte tokenizer as JSON. */
export interface ByteTokenizerFile {
  type: "insula-byte-tokenizer";
  version: 1;
  pieces: string[];
}

/** A text tokenizer that can encode every string; {@link makeByteTokenizer} says which ids it has. */
export interface ByteTokenizer extends TextTokenizer {
  readonly padId: 0;
  readonly eosId: 1;
  readonly bosId: 2;
  pieceToId(piece: string): number | undefined;
  /** For `JSON.stringify`; {@link parseByteTokenizer} reads it back. */
  toJSON(): ByteTokenizerFile;
}

/**
 * A byte tokenizer. Ids: 0 padding, 1 end, 2 begin, 3…258 bytes, then `pieces` in order. Encoding takes the longest
 * piece that fits at each place, else one byte.
 * @param options.pieces whole pieces, e.g. `["Task: ", ", State: ", "Action: ", "cup"]`.
 * @throws InsulaError `text/byte-tokenizer` on an empty or repeated piece.
 */
export function makeByteTokenizer(options: { pieces?: readonly string[] } = {}): ByteTokenizer {
  const pieces = [...(options.pieces ?? [])];
  const encoder = new TextEncoder();
  const idOf = new Map<string, number>();
  const bytesOf: Uint8Array[] = [];
  /** First byte → ids of pieces that begin with it, longest first. */
  const byFirst = new Map<number, number[]>();
  for (const [i, piece] of pieces.entries()) {
    if (typeof piece !== "string" || piece === "" || idOf.has(piece)) {
      throw new InsulaError(
        "text/byte-tokenizer",
        `byte tokenizer: piece ${i}: expected a new, non-empty string, found ${show(piece)}`,
      );
    }
    idOf.set(piece, FIRST_PIECE + i);
    const bytes = encoder.encode(piece);
    bytesOf.push(bytes);
    const same = byFirst.get(bytes[0]!);
    if (same) same.push(i);
    else byFirst.set(bytes[0]!, [i]);
  }
  for (const list of byFirst.values()) list.sort((a, b) => bytesOf[b]!.length - bytesOf[a]!.length);
  const vocabSize = FIRST_PIECE + pieces.length;

  return {
    vocabSize,
    padId: PAD,
    eosId: EOS,
    bosId: BOS,
    encode(text, encodeOptions): number[] {
      const bytes = encoder.encode(text);
      const ids: number[] = [];
      for (let at = 0; at < bytes.length; ) {
        const piece = byFirst.get(bytes[at]!)?.find((i) => startsWith(bytes, at, bytesOf[i]!));
        ids.push(piece === undefined ? FIRST_BYTE + bytes[at]! : FIRST_PIECE + piece);
        at += piece === undefined ? 1 : bytesOf[piece]!.length;
      }
      return withSpecials(ids, { bosId: BOS, eosId: EOS }, encodeOptions);
    },
    decode(ids): string {
      const bytes: number[] = [];
      for (const id of ids) {
        checkId(id, vocabSize);
        if (id >= FIRST_PIECE) for (const byte of bytesOf[id - FIRST_PIECE]!) bytes.push(byte);
        else if (id >= FIRST_BYTE) bytes.push(id - FIRST_BYTE);
      }
      return new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(bytes));
    },
    pieceToId: (piece) => idOf.get(piece),
    toJSON: () => ({ type: "insula-byte-tokenizer", version: 1, pieces: [...pieces] }),
  };
}

/**
 * A byte tokenizer from its JSON.
 * @throws InsulaError `text/byte-tokenizer`.
 */
export function parseByteTokenizer(json: unknown): ByteTokenizer {
  const file = json as Partial<ByteTokenizerFile> | null;
  if (
    typeof file !== "object" ||
    file?.type !== "insula-byte-tokenizer" ||
    file.version !== 1 ||
    !Array.isArray(file.pieces)
  ) {
    throw new InsulaError(
      "text/byte-tokenizer",
      'byte tokenizer: expected {"type": "insula-byte-tokenizer", "version": 1, "pieces": [...]}',
    );
  }
  return makeByteTokenizer({ pieces: file.pieces });
}

function startsWith(bytes: Uint8Array, at: number, prefix: Uint8Array): boolean {
  if (at + prefix.length > bytes.length) return false;
  for (let i = 0; i < prefix.length; i++) if (bytes[at + i] !== prefix[i]) return false;
  return true;
}
