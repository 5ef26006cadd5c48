/** @file What a video file says of itself, without decoding it. */
import { loadNodeAv } from "./node-av.js";
import { openStream } from "./open-stream.js";

/** A container's own account of its video stream. */
export interface VideoSummary {
  /** FFmpeg's name of the codec. */
  readonly codec: string;
  readonly width: number;
  readonly height: number;
  /** Frames per second on average; 0 when the file does not say. */
  readonly fps: number;
  /** Number of frames; 0 when the file does not say. */
  readonly frames: number;
  readonly seconds: number;
}

/** Look into `path`. @throws InsulaError `dataset/video`, `dataset/no-video-decoder`. */
export async function probeVideo(path: string): Promise<VideoSummary> {
  const av = await loadNodeAv();
  const { input, stream, decoder } = openStream(av, path);
  try {
    const { codecId, width, height } = stream.codecpar;
    const { num, den } = stream.avgFrameRate;
    const { timeBase } = stream;
    return {
      codec: av.lib.avGetCodecName(codecId) ?? String(codecId),
      width,
      height,
      fps: den > 0 ? num / den : 0,
      frames: Number(stream.nbFrames),
      seconds: Math.max(0, Number(stream.duration) * (timeBase.num / timeBase.den)),
    };
  } finally {
    decoder.freeContext();
    input.closeInputSync();
  }
}
