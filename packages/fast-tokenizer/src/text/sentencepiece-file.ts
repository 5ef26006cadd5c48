/**
 * @file SentencePiece `.model` files: the few fields of `sentencepiece_model.proto` that encoding and decoding
 * need, read from the protobuf wire format.
 */
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { InsulaError } from "@insula/model-types";

export const PieceType = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** One row of the vocabulary; its index is its id. */
export interface Piece {
  piece: string;
  score: number;
  type: number;
}

export interface NormalizerSpec {
  name: string;
  /** Double-array trie and replacement strings; empty for `identity`. */
  precompiledCharsmap: Uint8Array;
  addDummyPrefix: boolean;
  removeExtraWhitespaces: boolean;
  escapeWhitespaces: boolean;
}

export interface SentencePieceFile {
  pieces: Piece[];
  /** 1 unigram, 2 BPE, 3 word, 4 char. */
  modelType: number;
  byteFallback: boolean;
  treatWhitespaceAsSuffix: boolean;
  unkSurface: string;
  bosPiece: string;
  eosPiece: string;
  padPiece: string;
  normalizer: NormalizerSpec;
  /** Whether the file also rewrites decoded text; no released model of this family does. */
  hasDenormalizer: boolean;
}

/**
 * Parse a `.model` file.
 * @throws InsulaError `text/sentencepiece` when the bytes are no such file.
 */
export function parseSentencePieceFile(bytes: Uint8Array, source = "tokenizer.model"): SentencePieceFile {
  const file: SentencePieceFile = {
    pieces: [],
    modelType: 1,
    byteFallback: false,
    treatWhitespaceAsSuffix: false,
    unkSurface: " \u2047 ",
    bosPiece: "<s>",
    eosPiece: "</s>",
    padPiece: "<pad>",
    normalizer: {
      name: "",
      precompiledCharsmap: new Uint8Array(0),
      addDummyPrefix: true,
      removeExtraWhitespaces: true,
      escapeWhitespaces: true,
    },
    hasDenormalizer: false,
  };
  try {
    readFields(new BinaryReader(bytes), undefined, (field, reader) => {
      if (field === 1) file.pieces.push(readPiece(reader));
      else if (field === 2) readTrainer(reader, file);
      else if (field === 3) readNormalizer(reader, file.normalizer);
      else if (field === 5) {
        const denormalizer = { ...file.normalizer };
        readNormalizer(reader, denormalizer);
        file.hasDenormalizer = denormalizer.precompiledCharsmap.length > 0;
      } else return false;
      return true;
    });
  } catch (cause) {
    throw new InsulaError("text/sentencepiece", `${source}: not a SentencePiece model (${message(cause)})`, {
      cause,
    });
  }
  if (file.pieces.length === 0)
    throw new InsulaError("text/sentencepiece", `${source}: no vocabulary in ${bytes.length} bytes`);
  return file;
}

function message(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

/** Visit the fields of a message; `visit` returns false for those it leaves to be skipped. */
function readFields(
  reader: BinaryReader,
  length: number | undefined,
  visit: (field: number, reader: BinaryReader, wire: WireType) => boolean,
): void {
  const end = length === undefined ? reader.len : reader.pos + length;
  if (end > reader.len) throw new RangeError("a message runs past the end of the file");
  while (reader.pos < end) {
    const [field, wire] = reader.tag();
    if (!visit(field, reader, wire)) reader.skip(wire, field);
  }
  if (reader.pos !== end) throw new RangeError("a field runs past its message");
}

function readPiece(reader: BinaryReader): Piece {
  const piece: Piece = { piece: "", score: 0, type: PieceType.normal };
  readFields(reader, reader.uint32(), (field) => {
    if (field === 1) piece.piece = reader.string();
    else if (field === 2) piece.score = reader.float();
    else if (field === 3) piece.type = reader.int32();
    else return false;
    return true;
  });
  return piece;
}

function readTrainer(reader: BinaryReader, file: SentencePieceFile): void {
  readFields(reader, reader.uint32(), (field, _, wire) => {
    if (field === 3) file.modelType = reader.int32();
    else if (field === 24) file.treatWhitespaceAsSuffix = reader.bool();
    else if (field === 35) file.byteFallback = reader.bool();
    else if (wire !== WireType.LengthDelimited) return false;
    else if (field === 44) file.unkSurface = reader.string();
    else if (field === 46) file.bosPiece = reader.string();
    else if (field === 47) file.eosPiece = reader.string();
    else if (field === 48) file.padPiece = reader.string();
    else return false;
    return true;
  });
}

function readNormalizer(reader: BinaryReader, spec: NormalizerSpec): void {
  readFields(reader, reader.uint32(), (field) => {
    if (field === 1) spec.name = reader.string();
    else if (field === 2) spec.precompiledCharsmap = reader.bytes();
    else if (field === 3) spec.addDummyPrefix = reader.bool();
    else if (field === 4) spec.removeExtraWhitespaces = reader.bool();
    else if (field === 5) spec.escapeWhitespaces = reader.bool();
    else return false;
    return true;
  });
}
