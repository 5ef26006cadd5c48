/** @file Encode a small video whose frame `i` has the luma `levelOf(i)`, for codecs no shared dataset uses. */
import { AV_CODEC_FLAG_GLOBAL_HEADER, AV_PIX_FMT_YUV420P } from "node-av/constants";
import { Codec, CodecContext, FFmpegError, FormatContext, Frame, Packet, Rational } from "node-av/lib";

export const [WIDTH, HEIGHT] = [64, 48];

/** Distinct levels, four apart, within the limited range. */
export const levelOf = (i: number): number => 20 + 4 * (i % 50);

export function encodeVideo(
  path: string,
  options: {
    codec: string;
    frames: number;
    fps: number;
    gop: number;
    bFrames: number;
    settings?: Record<string, string>;
  },
): void {
  const { codec: name, frames, fps, gop, bFrames, settings = {} } = options;
  const check = (code: number): void => FFmpegError.throwIfError(code, `encoding ${path}`);
  const output = new FormatContext();
  check(output.allocOutputContext2(null, "mp4", path));
  const codec = Codec.findEncoderByName(name as Parameters<typeof Codec.findEncoderByName>[0])!;
  const encoder = new CodecContext();
  encoder.allocContext3(codec);
  Object.assign(encoder, {
    width: WIDTH,
    height: HEIGHT,
    pixelFormat: AV_PIX_FMT_YUV420P,
    timeBase: new Rational(1, fps),
    framerate: new Rational(fps, 1),
    gopSize: gop,
    maxBFrames: bFrames,
    bitRate: 800_000n,
    flags: AV_CODEC_FLAG_GLOBAL_HEADER,
  });
  for (const [key, value] of Object.entries(settings)) check(encoder.setOption(key, value));
  check(encoder.open2Sync(codec, null));
  const stream = output.newStream(codec);
  check(stream.codecpar.fromContext(encoder));
  stream.timeBase = new Rational(1, fps);
  check(output.openOutputSync());
  check(output.writeHeaderSync(null));

  const packet = new Packet();
  packet.alloc();
  const drain = (): void => {
    while (encoder.receivePacketSync(packet) >= 0) {
      packet.streamIndex = 0;
      packet.duration = 1n; // Else the edit list cuts the last frame off.
      packet.rescaleTs(encoder.timeBase, stream.timeBase);
      check(output.interleavedWriteFrameSync(packet));
    }
  };
  for (let i = 0; i < frames; i++) {
    const frame = new Frame();
    frame.alloc();
    Object.assign(frame, { width: WIDTH, height: HEIGHT, format: AV_PIX_FMT_YUV420P });
    check(frame.allocBuffer());
    const [y, u, v] = frame.data!;
    y!.fill(levelOf(i));
    u!.fill(128);
    v!.fill(128);
    frame.pts = BigInt(i);
    check(encoder.sendFrameSync(frame));
    frame.free();
    drain();
  }
  check(encoder.sendFrameSync(null));
  drain();
  check(output.writeTrailerSync());
  output.closeOutputSync();
  packet.free();
}
