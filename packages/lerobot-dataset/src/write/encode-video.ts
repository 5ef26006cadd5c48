/**
 * @file One episode of one camera as an mp4: H.264 or AV1, frame `i` shown at `i / fps`, with LeRobot's settings
 * (`datasets/video_utils.py`: 4:2:0, a key frame every 2 frames, quality 30). RGB becomes YUV by BT.601, limited
 * range, untagged, as PyAV does it.
 */
import { InsulaError } from "@insula/model-types";
import type { CodecContext, FormatContext, Frame, Packet, Stream } from "node-av/lib";
import { loadNodeAv, type NodeAv } from "../video/node-av.js";

/** How cameras of dtype `video` are encoded. */
export interface VideoEncoding {
  /** Default: `av1`, as LeRobot. */
  codec?: "av1" | "h264";
  /** Constant rate factor, lower is better. Default: 30. */
  crf?: number;
  /** Frames from one key frame to the next. Default: 2, so that any frame is quickly reached. */
  gop?: number;
}

/** Takes an episode's frames one by one. */
export interface VideoEncoder {
  /** The next frame: packed RGB, `height · width · 3` bytes. */
  add(pixels: Uint8Array): Promise<void>;
  /** Write the rest and close the file. */
  finish(): Promise<void>;
  /** Free everything; the file is whatever it is. */
  close(): void;
}

/** What an mp4 of this height, width and rate is made with. */
export interface VideoShape {
  height: number;
  width: number;
  fps: number;
}

const ENCODERS = {
  av1: { name: "libsvtav1", settings: { preset: "12" } },
  h264: { name: "libx264", settings: {} },
} as const;

/** Ticks per second of videos whose frame rate is not whole. */
const FINE_TICKS = 90_000;

/** Default: LeRobot's codec. */
export const DEFAULT_CODEC: "av1" | "h264" = "av1";

/**
 * Begin the file `path`.
 * @throws InsulaError `dataset/no-video-decoder`, `dataset/video` when FFmpeg refuses.
 */
export async function openVideoEncoder(
  path: string,
  shape: VideoShape,
  encoding: VideoEncoding,
): Promise<VideoEncoder> {
  const av = await loadNodeAv();
  const check = (code: number, what: string): void => {
    if (code >= 0) return;
    throw new InsulaError("dataset/video", `${path}: ${what}: ${av.lib.FFmpegError.strerror(code)}`);
  };
  const { output, encoder, stream, ticks } = openOutput(av, path, shape, encoding, check);
  const toYuv = yuvConverter(av, shape, check);
  const packet: Packet = new av.lib.Packet();
  packet.alloc();
  let frames = 0;
  let open = true;

  const drain = async (): Promise<void> => {
    while ((await encoder.receivePacket(packet)) >= 0) {
      packet.streamIndex = 0;
      packet.duration = BigInt(ticks(1)); // Else the edit list cuts the last frame off.
      packet.rescaleTs(encoder.timeBase, stream.timeBase);
      check(await output.interleavedWriteFrame(packet), "writing failed");
    }
  };
  const close = (): void => {
    if (!open) return;
    open = false;
    packet.free();
    toYuv.free();
    encoder.freeContext();
    output.closeOutputSync();
  };
  return {
    async add(pixels) {
      const frame = toYuv(pixels);
      try {
        frame.pts = BigInt(ticks(frames++));
        check(await encoder.sendFrame(frame), "encoding failed");
      } finally {
        frame.free();
      }
      await drain();
    },
    async finish() {
      check(await encoder.sendFrame(null), "encoding failed");
      await drain();
      check(await output.writeTrailer(), "writing failed");
      close();
    },
    close,
  };
}

type Check = (code: number, what: string) => void;

function openOutput(
  { lib, constants: C }: NodeAv,
  path: string,
  { height, width, fps }: VideoShape,
  { codec: kind = DEFAULT_CODEC, crf = 30, gop = 2 }: VideoEncoding,
  check: Check,
): { output: FormatContext; encoder: CodecContext; stream: Stream; ticks: (frame: number) => number } {
  const { name, settings } = ENCODERS[kind];
  // SVT-AV1 otherwise prints its settings for every file; 1: errors only. Where the user has set it, it stays.
  process.env["SVT_LOG"] ??= "1";
  const codec = lib.Codec.findEncoderByName(name as Parameters<typeof lib.Codec.findEncoderByName>[0]);
  if (!codec) throw new InsulaError("dataset/video", `${path}: this FFmpeg cannot encode ${kind} (${name})`);
  const output = new lib.FormatContext();
  check(output.allocOutputContext2(null, "mp4", path), "mp4");
  const whole = Number.isInteger(fps);
  const base = new lib.Rational(1, whole ? fps : FINE_TICKS);
  const encoder = new lib.CodecContext();
  encoder.allocContext3(codec);
  Object.assign(encoder, {
    width,
    height,
    pixelFormat: C.AV_PIX_FMT_YUV420P,
    timeBase: base,
    framerate: whole ? new lib.Rational(fps, 1) : new lib.Rational(Math.round(fps * 1000), 1000),
    gopSize: gop,
    maxBFrames: 0,
    threadCount: 2,
    flags: C.AV_CODEC_FLAG_GLOBAL_HEADER,
  });
  for (const [key, value] of Object.entries({ ...settings, crf: String(crf) }))
    check(encoder.setOption(key, value, C.AV_OPT_TYPE_STRING, C.AV_OPT_SEARCH_CHILDREN), `${name} ${key}`);
  check(encoder.open2Sync(codec, null), `encoder ${name}`);
  const stream = output.newStream(codec);
  check(stream.codecpar.fromContext(encoder), "codec parameters");
  stream.timeBase = base;
  stream.avgFrameRate = encoder.framerate;
  check(output.openOutputSync(), "cannot be written");
  check(output.writeHeaderSync(null), "mp4 header");
  return {
    output,
    encoder,
    stream,
    ticks: (frame) => (whole ? frame : Math.round((frame * FINE_TICKS) / fps)),
  };
}

/** Packed RGB → a new 4:2:0 frame, the caller's to free. */
function yuvConverter(
  { lib, constants: C }: NodeAv,
  { height, width }: VideoShape,
  check: Check,
): { (pixels: Uint8Array): Frame; free(): void } {
  const scaler = new lib.SoftwareScaleContext();
  const [rgb, yuv] = [C.AV_PIX_FMT_RGB24, C.AV_PIX_FMT_YUV420P];
  scaler.getContext(width, height, rgb, width, height, yuv, C.SWS_BILINEAR);
  const convert = (pixels: Uint8Array): Frame => {
    const frame = new lib.Frame();
    frame.alloc();
    Object.assign(frame, { width, height, format: yuv });
    check(frame.allocBuffer(), "frame");
    const source = Buffer.from(pixels.buffer, pixels.byteOffset, pixels.byteLength);
    const planes = frame.data!.slice(0, 3);
    check(scaler.scaleSync([source], [width * 3], 0, height, planes, frame.linesize.slice(0, 3)), "swscale");
    return frame;
  };
  return Object.assign(convert, { free: () => scaler.freeContext() });
}
