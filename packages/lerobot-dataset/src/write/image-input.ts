/** @file Pictures as a caller gives them, encoded or as pixels, and what the writer makes of them. */
import { InsulaError, isNdArray, type NdArray } from "@insula/model-types";
import sharp from "sharp";
import { decodeImage } from "../read/images.js";
import { imageHeader } from "./image-header.js";

/** One picture: PNG or JPEG bytes, or pixels, uint8 `[height, width, 3]`. */
export type ImageInput = Uint8Array | NdArray<Uint8Array>;

/** The pictures of an episode, in order; from a generator, one at a time. */
export type ImageInputs = readonly ImageInput[] | AsyncIterable<ImageInput>;

/** Where a picture stands, for errors. */
export interface ImagePlace {
  name: string;
  frame: number;
  /** `episode 3`. */
  where: string;
}

/**
 * Check what `input` says of itself, decoding nothing.
 * @throws InsulaError `dataset/image` for other bytes than PNG or JPEG, `dataset/shape`, `dataset/dtype`.
 */
export function checkImage(
  input: ImageInput,
  size: { height: number; width: number },
  { name, frame, where }: ImagePlace,
): void {
  if (!isNdArray(input) && !(input instanceof Uint8Array)) {
    throw new InsulaError("dataset/image", `${name}: frame ${frame} of ${where} is not an image`);
  }
  const pixels = isNdArray(input);
  const header = pixels ? { height: input.shape[0], width: input.shape[1] } : imageHeader(input);
  if (!header) {
    throw new InsulaError(
      "dataset/image",
      `${name}: frame ${frame} of ${where} is not an image; expected PNG or JPEG bytes`,
    );
  }
  if (header.width !== size.width || header.height !== size.height) {
    throw new InsulaError(
      "dataset/shape",
      `${name}: expected ${size.height}x${size.width} pixels (height x width), found ${header.height}x${header.width} in ${where}, frame ${frame}`,
    );
  }
  if (!pixels) return;
  if (input.shape.length !== 3 || input.shape[2] !== 3) {
    throw new InsulaError(
      "dataset/shape",
      `${name}: expected pixels [${size.height}, ${size.width}, 3], found [${input.shape.join(", ")}] in ${where}, frame ${frame}`,
    );
  }
  if (!(input.data instanceof Uint8Array)) {
    throw new InsulaError("dataset/dtype", `${name}: expected uint8 pixels in ${where}, frame ${frame}`);
  }
}

/** The encoded bytes of a picture: its own, or a PNG of its pixels. */
export async function encodedImage(input: ImageInput): Promise<Uint8Array> {
  if (!isNdArray(input)) return input;
  const [height, width] = input.shape as [number, number];
  return sharp(input.data, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
}

/** The pixels of a picture, packed RGB. @throws InsulaError `dataset/image` */
export async function imagePixels(
  input: ImageInput,
  { name, frame, where }: ImagePlace,
): Promise<Uint8Array> {
  if (isNdArray(input)) return input.data as Uint8Array;
  const { data, shape } = await decodeImage(input, `${name}: frame ${frame} of ${where}`);
  if (shape[2] === 3) return data;
  // A grey image: its one channel three times.
  return Uint8Array.from({ length: data.length * 3 }, (_, i) => data[Math.floor(i / 3)]!);
}
