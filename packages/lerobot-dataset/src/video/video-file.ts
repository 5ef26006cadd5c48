/**
 * @file One open video: the frame shown at a timestamp, as RGB. The container's own index finds the key frame
 * (edit lists included); the decoder's state is used whenever the wanted frame lies ahead in the same group
 * of pictures. Pixels equal PyAV's (swscale, bilinear), which is what LeRobot and torchcodec return.
 */
import { isMainThread } from "node:worker_threads";
import { InsulaError, type NdArray } from "@insula/model-types";
import type { Frame, Packet } from "node-av/lib";
import { oneAtATime } from "../pool.js";
import { loadNodeAv } from "./node-av.js";
import { checkCode, openStream } from "./open-stream.js";
import { rgbConverter } from "./rgb.js";

/** LeRobot's default `tolerance_s`: how far a frame may be from the timestamp asked for. */
export const TOLERANCE_S = 1e-4;

export interface VideoFile {
  readonly path: string;
  /** The frame nearest to `seconds`: uint8 `[height, width, 3]`. @throws InsulaError `dataset/video-frame`. */
  frame(seconds: number): Promise<NdArray<Uint8Array>>;
  /** The decoded picture itself, lent to `use`. */
  decode<R>(seconds: number, use: (picture: Frame) => Promise<R>): Promise<R>;
  /** Frames decoded so far, for tests and tuning. */
  readonly decoded: number;
  close(): Promise<void>;
}

/** How a file is decoded. */
export interface VideoOptions {
  /** Frames up to this many seconds off are accepted; the nearest is taken. Default: {@link TOLERANCE_S}. */
  toleranceS?: number;
  /**
   * Decode on the calling thread: a third less CPU for small pictures, but the thread does nothing else meanwhile.
   * Otherwise packets are decoded on libuv's threads. Default: in worker threads.
   */
  sync?: boolean;
}

/** Frames before the wanted one at which decoding is tried: leading pictures of an open GOP need the one before. */
const SEEKS = [0, 8, 64, Number.POSITIVE_INFINITY];

/**
 * Open `path` for decoding.
 * @throws InsulaError `dataset/missing-file`, `dataset/video` (truncated, no video stream, unknown codec),
 * `dataset/no-video-decoder`.
 */
export async function openVideo(path: string, options: VideoOptions = {}): Promise<VideoFile> {
  const { toleranceS = TOLERANCE_S, sync = !isMainThread } = options;
  const av = await loadNodeAv();
  const { lib, constants: C } = av;
  const check = (code: number, what: string): number => checkCode(av, path, code, what);
  const { input, stream, decoder } = openStream(av, path);

  const packet: Packet = new lib.Packet();
  packet.alloc();
  const picture: Frame = new lib.Frame();
  picture.alloc();
  const toRgb = rgbConverter(av, sync);

  const unit = stream.timeBase.num / stream.timeBase.den; // Seconds per tick.
  const rate = stream.avgFrameRate;
  const frameTicks = rate.num > 0 ? rate.den / rate.num / unit : 1;

  /** Ticks of the last frame that came out; undefined when the decoder must be fed from a key frame. */
  let last: number | undefined;
  /** Decoding time of the last packet that went in. */
  let lastFed = Number.NEGATIVE_INFINITY;
  let draining = false;
  let decoded = 0;

  const restart = (): void => {
    decoder.flushBuffers();
    [last, lastFed, draining] = [undefined, Number.NEGATIVE_INFINITY, false];
  };

  /** Read the next packet of the stream into `packet`; false at the end of the file. */
  const readPacket = (): boolean => {
    for (;;) {
      const code = input.readFrameSync(packet);
      if (code === C.AVERROR_EOF) return false;
      check(code, "reading failed");
      if (packet.streamIndex === stream.index) return true;
      packet.unref();
    }
  };
  const feed = async (): Promise<void> => {
    lastFed = Number(packet.dts);
    const code = sync ? decoder.sendPacketSync(packet) : await decoder.sendPacket(packet);
    packet.unref();
    check(code, "decoding failed");
  };

  /** Decode the next frame in display order into `picture`; undefined after the last one. */
  const nextFrame = async (): Promise<number | undefined> => {
    for (;;) {
      picture.unref();
      const code = decoder.receiveFrameSync(picture); // Sending decoded it.
      if (code >= 0) {
        decoded++;
        return (last = Number(picture.bestEffortTimestamp));
      }
      if (code === C.AVERROR_EOF || draining) return undefined;
      if (code !== C.AVERROR_EAGAIN) check(code, "decoding failed");
      // While seeking forward inside a group of pictures, packets already fed come by again.
      let more = readPacket();
      while (more && Number(packet.dts) <= lastFed) {
        packet.unref();
        more = readPacket();
      }
      if (more) await feed();
      else {
        draining = true;
        check(await decoder.sendPacket(null), "decoding failed");
      }
    }
  };

  /**
   * Put the reader at the key frame before `ticks`. With `mayContinue`, keep the decoder's state when that key
   * frame went in already and the wanted frame has not come out yet: packets fed before are then skipped.
   */
  const seek = async (ticks: number, mayContinue: boolean): Promise<void> => {
    check(
      input.seekFrameSync(stream.index, BigInt(Math.floor(ticks)), C.AVSEEK_FLAG_BACKWARD),
      "seeking failed",
    );
    const found = readPacket();
    const behind = last !== undefined && ticks > last && Number(packet.dts) <= lastFed;
    if (found && mayContinue && behind) {
      packet.unref();
      return;
    }
    restart();
    if (found) await feed();
  };

  const find = async <R>(seconds: number, use: (picture: Frame) => Promise<R>): Promise<R> => {
    const wanted = seconds / unit;
    // A timestamp stored as float32 is itself uncertain by half its last digit.
    const slack = (Math.min(toleranceS, TOLERANCE_S) + Math.abs(seconds) * 2 ** -24) / unit;
    let nearest = Number.NaN;
    const ahead = last !== undefined && wanted > last && wanted - last <= 1.5 * frameTicks;
    for (const [attempt, framesBack] of SEEKS.entries()) {
      const from = Math.max(0, wanted + slack - framesBack * frameTicks);
      if (attempt > 0 || !ahead) await seek(from, attempt === 0);
      let first: number | undefined;
      for (let at = await nextFrame(); at !== undefined; at = await nextFrame()) {
        first ??= at;
        if (!(Math.abs(at - wanted) >= Math.abs(nearest - wanted))) nearest = at;
        if (Math.abs(at - wanted) <= slack) return use(picture);
        if (at > wanted) break;
      }
      // Decoding began before the wanted frame and came out behind it: it is not in the file.
      if (attempt > 0 && first !== undefined && first < wanted - slack) break;
    }
    const distance = Math.abs(nearest - wanted) * unit;
    if (distance > 0 && distance <= toleranceS) return find(nearest * unit, use);
    throw new InsulaError(
      "dataset/video-frame",
      `${path}: no frame within ${toleranceS} s of ${seconds.toFixed(6)} s${
        Number.isNaN(nearest) ? "" : ` (nearest: ${(nearest * unit).toFixed(6)} s)`
      }; the file is cut short, or the dataset's timestamps are off (then open it with a larger toleranceS)`,
    );
  };

  const found: typeof find = (seconds, use) =>
    find(seconds, use).catch((error: unknown) => {
      restart();
      throw error;
    });
  const inTurn = oneAtATime();
  return {
    path,
    frame: (seconds) => inTurn(() => found(seconds, toRgb)),
    decode: (seconds, use) => inTurn(() => found(seconds, use)),
    get decoded() {
      return decoded;
    },
    close: () =>
      inTurn(async () => {
        picture.free();
        packet.free();
        toRgb.free();
        decoder.freeContext();
        input.closeInputSync();
      }),
  };
}
