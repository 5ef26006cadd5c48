/** @file A video file opened: its first video stream and a decoder for it. */
import { InsulaError } from "@insula/model-types";
import type { CodecContext, FormatContext, Stream } from "node-av/lib";
import type { NodeAv } from "./node-av.js";

export interface OpenStream {
  input: FormatContext;
  stream: Stream;
  decoder: CodecContext;
}

/** Throw `dataset/video` naming `path` when `code` is FFmpeg's code of a failure. */
export function checkCode({ lib }: NodeAv, path: string, code: number, what: string): number {
  return code < 0 ? bad(path, `${what}: ${lib.FFmpegError.strerror(code)}`) : code;
}

function bad(path: string, problem: string): never {
  throw new InsulaError("dataset/video", `${path}: ${problem}`);
}

/**
 * Containers that hold their frames themselves. FFmpeg goes by contents, not by names: a playlist or a list of files
 * called `.mp4` would make it open whatever that names.
 */
const CONTAINERS: Readonly<Record<string, string>> = {
  format_whitelist: "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi",
  protocol_whitelist: "file",
};
/** A decoder allocates what the stream says: 8K video, 33 megapixels, is the largest of any camera's. */
const MAX_PIXELS = 1 << 25;

/** Open `path`. @throws InsulaError `dataset/video` when it is truncated, has no video stream or no decoder. */
export function openStream(av: NodeAv, path: string): OpenStream {
  const input = new av.lib.FormatContext();
  if (input.openInputSync(path, null, av.lib.Dictionary.fromObject(CONTAINERS)) < 0) {
    bad(path, "not a readable video file; if it was copied, it may be cut short");
  }
  try {
    checkCode(av, path, input.findStreamInfoSync(), "no stream information");
    return { input, ...openDecoder(av, path, input) };
  } catch (error) {
    input.closeInputSync();
    throw error;
  }
}

function openDecoder(av: NodeAv, path: string, input: FormatContext): Omit<OpenStream, "input"> {
  const { lib, constants: C } = av;
  const stream =
    input.streams.find((s) => s.codecpar.codecType === C.AVMEDIA_TYPE_VIDEO) ?? bad(path, "no video stream");
  for (const other of input.streams) if (other.index !== stream.index) other.discard = C.AVDISCARD_ALL;
  const codec = lib.Codec.findDecoder(stream.codecpar.codecId) ?? bad(path, "no decoder for its codec");
  const decoder = new lib.CodecContext();
  decoder.allocContext3(codec);
  checkCode(av, path, decoder.parametersToContext(stream.codecpar), "codec parameters");
  decoder.pktTimebase = stream.timeBase;
  decoder.threadCount = 1; // Frame threads delay the output; parallelism comes from decoding several files.
  checkCode(av, path, decoder.setOption("max_pixels", MAX_PIXELS), "largest picture");
  checkCode(av, path, decoder.open2Sync(codec, null), `decoder ${codec.name}`);
  return { stream, decoder };
}
