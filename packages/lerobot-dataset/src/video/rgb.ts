/** @file Decoded pictures as packed RGB. */
import type { NdArray } from "@insula/model-types";
import type { Frame } from "node-av/lib";
import type { NodeAv } from "./node-av.js";

/** Pictures of fewer pixels are converted (in 0.1 ms) before another thread would have begun. */
const SMALL = 2 ** 18;

/**
 * swscale writes whole vectors. In a buffer of exactly `height · width · 3` bytes the last row of a picture of another
 * width would be written over its end, into somebody else's memory.
 */
const ALIGN = 32;

/**
 * Conversion of decoded pictures to packed RGB, as PyAV's `to_rgb()` does it: BT.601, swscale's bilinear flag
 * (no frame is scaled, so it only governs how chroma is spread). Frames tagged full range are treated as such.
 * Large pictures are converted on libuv's threads unless `sync`.
 */
export function rgbConverter(
  { lib, constants: C }: NodeAv,
  sync: boolean,
): {
  (picture: Frame): Promise<NdArray<Uint8Array>>;
  free(): void;
} {
  let scaler: InstanceType<typeof lib.SoftwareScaleContext> | undefined;
  let made = "";
  const make = ({ width, height, format, colorRange }: Frame): void => {
    scaler?.freeContext();
    scaler = new lib.SoftwareScaleContext();
    scaler.allocContext();
    const options = {
      srcw: width,
      srch: height,
      src_format: format,
      src_range: colorRange === C.AVCOL_RANGE_JPEG ? 1 : 0,
      dstw: width,
      dsth: height,
      dst_format: C.AV_PIX_FMT_RGB24,
      sws_flags: C.SWS_BILINEAR,
    };
    for (const [name, value] of Object.entries(options)) {
      lib.FFmpegError.throwIfError(scaler.setOption(name, value, C.AV_OPT_TYPE_INT), `swscale ${name}`);
    }
    lib.FFmpegError.throwIfError(scaler.initContext(), "swscale");
  };
  const convert = async (picture: Frame): Promise<NdArray<Uint8Array>> => {
    const { width, height, format, colorRange } = picture;
    const source = `${width}x${height} ${format} ${colorRange}`;
    if (source !== made) make(picture);
    made = source;
    const row = width * 3;
    const stride = Math.ceil(width / ALIGN) * ALIGN * 3;
    const padded = new Uint8Array(height * stride);
    const into = [Buffer.from(padded.buffer)];
    const { data: planes, linesize } = picture;
    if (sync || width * height < SMALL) scaler!.scaleSync(planes!, linesize, 0, height, into, [stride]);
    else await scaler!.scale(planes!, linesize, 0, height, into, [stride]);
    if (stride === row) return { data: padded, shape: [height, width, 3] };
    const data = new Uint8Array(height * row);
    for (let y = 0; y < height; y++) data.set(padded.subarray(y * stride, y * stride + row), y * row);
    return { data, shape: [height, width, 3] };
  };
  return Object.assign(convert, { free: () => scaler?.freeContext() });
}
