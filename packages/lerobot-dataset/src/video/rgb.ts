/** @file Decoded pictures as packed RGB. */
import type { NdArray } from "@insula/model-types";
import type { Frame } from "node-av/lib";
import type { NodeAv } from "./node-av.js";

/**
 * Conversion of decoded pictures to packed RGB, as PyAV's `to_rgb()` does it: BT.601, swscale's bilinear flag
 * (no frame is scaled, so it only governs how chroma is spread). Frames tagged full range are treated as such.
 */
export function rgbConverter({ lib, constants: C }: NodeAv): {
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
    const rgb = Buffer.alloc(height * width * 3);
    await scaler!.scale(picture.data!, picture.linesize, 0, height, [rgb], [width * 3]);
    return { data: new Uint8Array(rgb.buffer, rgb.byteOffset, rgb.length), shape: [height, width, 3] };
  };
  return Object.assign(convert, { free: () => scaler?.freeContext() });
}
