/** @file What LeRobot notes of a camera's videos in info.json, `features.<camera>.info`. */

import { loadNodeAv } from "../video/node-av.js";
import { openStream } from "../video/open-stream.js";

/** The `info` of the video `path`, as LeRobot's `get_video_info` gives it. */
export async function videoInfo(path: string): Promise<Record<string, unknown>> {
  const av = await loadNodeAv();
  const { input, stream, decoder } = openStream(av, path);
  try {
    const { codecpar, avgFrameRate } = stream;
    const format = av.lib.avGetPixFmtName(decoder.pixelFormat) ?? "yuv420p";
    const audio = input.streams.some((s) => s.codecpar.codecType === av.constants.AVMEDIA_TYPE_AUDIO);
    return {
      "video.height": codecpar.height,
      "video.width": codecpar.width,
      "video.codec": av.lib.avGetCodecName(codecpar.codecId) ?? "unknown",
      "video.pix_fmt": format,
      "video.is_depth_map": false,
      "video.fps": Math.trunc(avgFrameRate.num / Math.max(1, avgFrameRate.den)),
      "video.channels": format.startsWith("gray") ? 1 : 3,
      has_audio: audio,
    };
  } finally {
    decoder.freeContext();
    input.closeInputSync();
  }
}
