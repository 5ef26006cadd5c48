/**
 * @file A part of a video as a file of its own, its packets copied: nothing is decoded, pixels stay as they are.
 * It can be done where the part begins with a key frame and shares no packets with its neighbours, as in the
 * files that LeRobot puts together from episodes.
 */
import type { FormatContext, Packet, Stream } from "node-av/lib";
import { loadNodeAv, type NodeAv } from "../video/node-av.js";
import { checkCode, openStream } from "../video/open-stream.js";

/** A part of a video: `frames` frames from `fromTimestamp` (seconds) on. */
export interface VideoPart {
  path: string;
  fromTimestamp: number;
  frames: number;
  fps: number;
}

/**
 * Copy the packets of `part` to the new file `out`, whose first frame is at 0 s. False, and nothing of use in `out`,
 * when its packets cannot stand alone.
 * @throws InsulaError `dataset/video`, `dataset/no-video-decoder`
 */
export async function cutVideo(part: VideoPart, out: string): Promise<boolean> {
  const av = await loadNodeAv();
  const { input, stream, decoder } = openStream(av, part.path);
  const output = new av.lib.FormatContext();
  try {
    const check = (code: number, what: string): number => checkCode(av, out, code, what);
    check(output.allocOutputContext2(null, "mp4", out), "mp4");
    const target = output.newStream(null);
    check(stream.codecpar.copy(target.codecpar), "codec parameters");
    target.codecpar.codecTag = 0; // The container's own choice.
    target.timeBase = stream.timeBase;
    target.avgFrameRate = stream.avgFrameRate;
    check(output.openOutputSync(), "cannot be written");
    check(output.writeHeaderSync(null), "mp4 header");
    const whole = await copyPackets(av, part, { input, stream, output, target });
    if (whole) check(output.writeTrailerSync(), "writing failed");
    return whole;
  } finally {
    output.closeOutputSync();
    decoder.freeContext();
    input.closeInputSync();
  }
}

interface Streams {
  input: FormatContext;
  stream: Stream;
  output: FormatContext;
  target: Stream;
}

async function copyPackets(av: NodeAv, part: VideoPart, streams: Streams): Promise<boolean> {
  const { input, stream, output, target } = streams;
  const { lib, constants: C } = av;
  const unit = stream.timeBase.num / stream.timeBase.den; // Seconds per tick.
  const half = 0.5 / part.fps;
  const begin = (part.fromTimestamp - half) / unit;
  const end = (part.fromTimestamp + part.frames / part.fps - half) / unit;
  const seekTo = BigInt(Math.max(0, Math.floor(part.fromTimestamp / unit + half / unit)));
  checkCode(
    av,
    part.path,
    input.seekFrameSync(stream.index, seekTo, C.AVSEEK_FLAG_BACKWARD),
    "seeking failed",
  );
  const packet: Packet = new lib.Packet();
  packet.alloc();
  let first: bigint | undefined;
  let copied = 0;
  try {
    while (copied < part.frames) {
      const code = await input.readFrame(packet);
      if (code === C.AVERROR_EOF) return false;
      checkCode(av, part.path, code, "reading failed");
      if (packet.streamIndex !== stream.index) {
        packet.unref();
        continue;
      }
      const at = Number(packet.pts);
      const inside = at >= begin && at < end;
      if (!inside && first === undefined) {
        packet.unref(); // Before the part: its key frame was not the one sought.
        continue;
      }
      if (!inside) return false; // Frames of a neighbour lie among these in decoding order.
      if (first === undefined && !packet.isKeyframe) return false;
      first ??= packet.pts;
      packet.pts -= first;
      packet.dts -= first;
      packet.streamIndex = 0;
      packet.rescaleTs(stream.timeBase, target.timeBase);
      checkCode(av, part.path, await output.interleavedWriteFrame(packet), "copying failed");
      copied++;
    }
    return true;
  } finally {
    packet.free();
  }
}
