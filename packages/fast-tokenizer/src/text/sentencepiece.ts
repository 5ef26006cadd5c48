/**
 * @file SentencePiece BPE (`bpe_model.cc`, `sentencepiece_processor.cc`): PaliGemma's, Gemma's, Mistral's and Llama's
 * tokenizers from their `.model` files, id for id. Merges the adjacent pair whose concatenation is the piece of the
 * highest score, leftmost first; user-defined symbols never merge; unknown characters fall back to bytes.
 */
import { InsulaError } from "@insula/model-types";
import { makeMinHeap } from "../bpe/min-heap.js";
import { PieceType, parseSentencePieceFile, type SentencePieceFile } from "./sentencepiece-file.js";
import { makeNormalizer, makeSymbolMatcher, SPACE } from "./sentencepiece-normalizer.js";
import { checkId, withSpecials } from "./special.js";
import type { EncodeTextOptions, TextTokenizer } from "./text-tokenizer.js";

/** A SentencePiece tokenizer; also gives the pieces of a text. */
export interface SentencePieceTokenizer extends TextTokenizer {
  readonly unkId: number;
  pieceToId(piece: string): number | undefined;
  /** The piece of an id. Throws `text/id`. */
  idToPiece(id: number): string;
}

/**
 * A tokenizer from the bytes of a `.model` file.
 * @throws InsulaError `text/sentencepiece` when the bytes are no such file or the model is not BPE.
 */
export function sentencePieceTokenizer(
  bytes: Uint8Array,
  source = "tokenizer.model",
): SentencePieceTokenizer {
  const file = parseSentencePieceFile(bytes, source);
  const unsupported =
    file.modelType !== 2
      ? `model type ${["unigram", "BPE", "word", "char"][file.modelType - 1] ?? file.modelType}`
      : file.hasDenormalizer
        ? "a denormaliser"
        : undefined;
  if (unsupported) {
    throw new InsulaError(
      "text/sentencepiece",
      `${source}: has ${unsupported}; only BPE models are read (convert the model to tokenizer.json and use hfTextTokenizer)`,
    );
  }
  return makeTokenizer(file, source);
}

function makeTokenizer(file: SentencePieceFile, source: string): SentencePieceTokenizer {
  const { pieces } = file;
  /** Pieces that merging may form. */
  const mergeable = new Map<string, number>();
  /** Control, unknown and byte pieces: never formed from text. */
  const reserved = new Map<string, number>();
  const byteIds = new Int32Array(256).fill(-1);
  const userDefined: string[] = [];
  let unkId = -1;
  for (const [id, { piece, type }] of pieces.entries()) {
    const isText = type === PieceType.normal || type === PieceType.userDefined || type === PieceType.unused;
    (isText ? mergeable : reserved).set(piece, id);
    if (type === PieceType.userDefined && piece) userDefined.push(piece);
    if (type === PieceType.unknown) unkId = id;
    if (type === PieceType.byte && /^<0x[0-9A-F]{2}>$/.test(piece))
      byteIds[Number.parseInt(piece.slice(3, 5), 16)] = id;
  }
  if (unkId < 0) throw new InsulaError("text/sentencepiece", `${source}: no unknown piece`);
  if (file.byteFallback && byteIds.includes(-1)) {
    throw new InsulaError("text/sentencepiece", `${source}: byte fallback without all 256 byte pieces`);
  }
  const pieceToId = (piece: string): number | undefined => reserved.get(piece) ?? mergeable.get(piece);
  const control = (piece: string): number => {
    const id = reserved.get(piece);
    return id !== undefined && pieces[id]!.type === PieceType.control ? id : -1;
  };
  const bosId = control(file.bosPiece);
  const eosId = control(file.eosPiece);
  const padId = control(file.padPiece);
  const match = makeSymbolMatcher(userDefined);
  const normalize = makeNormalizer(file, match);
  const split = makeSplitter(pieces, mergeable, match);
  const encoder = new TextEncoder();

  function encode(text: string, options: EncodeTextOptions = {}): number[] {
    const ids: number[] = [];
    let afterUnknown = false;
    for (const piece of split(normalize(text))) {
      const id = pieceToId(piece) ?? unkId;
      const unknown = id === unkId;
      if (unknown && file.byteFallback) for (const byte of encoder.encode(piece)) ids.push(byteIds[byte]!);
      // A run of unknown pieces is one.
      else if (!(unknown && afterUnknown)) ids.push(id);
      afterUnknown = unknown && !file.byteFallback;
    }
    return withSpecials(ids, { bosId, eosId }, options);
  }

  function decode(ids: Iterable<number>): string {
    const { addDummyPrefix, removeExtraWhitespaces } = file.normalizer;
    let text = "";
    let bytes: number[] = [];
    let atStart = true;
    let hadPrefix = false;
    const flush = (): void => {
      if (bytes.length) text += decodeBytes(bytes);
      bytes = [];
    };
    for (const id of ids) {
      checkId(id, pieces.length);
      const { piece, type } = pieces[id]!;
      if (type === PieceType.byte) {
        bytes.push(Number.parseInt(piece.slice(3, 5), 16));
        continue;
      }
      flush();
      if (hadPrefix || text) atStart = false;
      hadPrefix = false;
      if (type === PieceType.control) continue;
      if (type === PieceType.unknown) {
        text += file.unkSurface;
        continue;
      }
      let shown = piece;
      if (atStart && (addDummyPrefix || removeExtraWhitespaces) && piece.startsWith(SPACE)) {
        shown = piece.slice(1);
        hadPrefix = !removeExtraWhitespaces;
      }
      text += shown.replaceAll(SPACE, " ");
    }
    flush();
    return text;
  }

  return {
    vocabSize: pieces.length,
    bosId,
    eosId,
    padId,
    unkId,
    encode,
    decode,
    pieceToId,
    idToPiece(id: number): string {
      checkId(id, pieces.length);
      return pieces[id]!.piece;
    },
  };
}

/** The BPE itself: normalised text → pieces (those the vocabulary lacks are single characters). */
function makeSplitter(
  pieces: SentencePieceFile["pieces"],
  mergeable: ReadonlyMap<string, number>,
  match: ReturnType<typeof makeSymbolMatcher>,
): (text: string) => string[] {
  // Scores become ranks, so that a queue key is rank, then position.
  const scores = [...new Set(Array.from(mergeable.values(), (id) => pieces[id]!.score))].sort(
    (a, b) => b - a,
  );
  const rankOfScore = new Map(scores.map((score, rank) => [score, rank]));
  const rankOf = (id: number): number => rankOfScore.get(pieces[id]!.score)!;
  const heap = makeMinHeap();
  const span = 0x80000000;

  return (text) => {
    // Symbol i spans text[start[i] … end[i]); next −1 ends the list; gone symbols have end ≤ start.
    const start: number[] = [];
    const end: number[] = [];
    const frozen: boolean[] = [];
    for (let at = 0; at < text.length; ) {
      const symbol = match(text, at);
      start.push(at);
      at += symbol || (text.codePointAt(at)! > 0xffff ? 2 : 1);
      end.push(at);
      frozen.push(symbol > 0);
    }
    const count = start.length;
    const previous = Array.from({ length: count }, (_, i) => i - 1);
    const next = Array.from({ length: count }, (_, i) => (i + 1 < count ? i + 1 : -1));
    /** Rank of the pair that begins at i, −1 when it does not merge: tells stale queue entries apart. */
    const ranks: number[] = new Array(count).fill(-1);
    /** An unused piece may be a step on the way but not a result: what it was made of. */
    const unusedParts = new Map<string, [string, string]>();

    const offer = (i: number): void => {
      ranks[i] = -1;
      const j = next[i]!;
      if (j === -1 || frozen[i] || frozen[j]) return;
      const piece = text.slice(start[i]!, end[j]!);
      const id = mergeable.get(piece);
      if (id === undefined) return;
      if (pieces[id]!.type === PieceType.unused)
        unusedParts.set(piece, [text.slice(start[i]!, end[i]!), text.slice(start[j]!, end[j]!)]);
      ranks[i] = rankOf(id);
      heap.push(ranks[i]! * span + i);
    };
    heap.clear();
    for (let i = 0; i < count; i++) offer(i);
    while (heap.size > 0) {
      const key = heap.pop();
      const i = key % span;
      if (ranks[i] !== (key - i) / span) continue;
      const gone = next[i]!;
      end[i] = end[gone]!;
      next[i] = next[gone]!;
      ranks[gone] = -1;
      if (next[i] !== -1) previous[next[i]!] = i;
      offer(i);
      if (previous[i] !== -1) offer(previous[i]!);
    }

    const result: string[] = [];
    const emit = (piece: string): void => {
      const parts = unusedParts.get(piece);
      if (!parts) result.push(piece);
      else for (const part of parts) emit(part);
    };
    if (count > 0) for (let i = 0; i !== -1; i = next[i]!) emit(text.slice(start[i]!, end[i]!));
    return result;
  };
}

/** UTF-8, each byte that is none of it becoming U+FFFD by itself (as SentencePiece, unlike the WHATWG decoder). */
function decodeBytes(bytes: readonly number[]): string {
  const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let text = "";
  for (let at = 0; at < bytes.length; ) {
    const lead = bytes[at]!;
    const length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    try {
      text += strict.decode(Uint8Array.from(bytes.slice(at, at + length)));
      at += length;
    } catch {
      text += "\ufffd";
      at++;
    }
  }
  return text;
}
