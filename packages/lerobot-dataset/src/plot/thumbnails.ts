/** @file A strip of camera pictures over the time axis, embedded as JPEG. */
import { InsulaError, type NdArray } from "@insula/model-types";
import sharp from "sharp";
import { INK } from "./panel.js";
import { element, escapeText } from "./svg.js";

/** The strip of one camera. */
export interface Strip {
  readonly camera: string;
  readonly left: number;
  readonly width: number;
  readonly height: number;
  /** Pictures per strip, at most. */
  readonly count: number;
  readonly frames: number;
  /** One picture: uint8 `[height, width, 3]`. */
  picture(frame: number): Promise<NdArray>;
}

const GAP = 4;
/** Pixels per unit of the drawing, for screens with more. */
const DENSITY = 2;

/** The strip as markup, each picture below the time at which it was taken. A picture that is missing leaves a frame. */
export async function thumbnails(strip: Strip): Promise<string> {
  const { camera, left, width, height, frames } = strip;
  const [h, w] = await aspect(strip);
  const fitting = Math.max(1, Math.floor(width / ((height * w) / h + GAP)));
  const count = Math.min(strip.count, frames, fitting);
  const each = width / count;
  const shown = Math.min(each - GAP, (height * w) / h);
  const pictures = await Promise.all(
    Array.from({ length: count }, async (_, i) => {
      const frame = Math.min(frames - 1, Math.floor(((i + 0.5) * frames) / count));
      const at = { x: left + (i + 0.5) * each - shown / 2, y: 0, width: shown, height };
      const jpeg = await strip.picture(frame).then((picture) => encode(picture, shown, height), missing);
      if (!jpeg) return element("rect", { ...at, fill: "none", stroke: INK, "stroke-dasharray": "3 3" });
      const href = `data:image/jpeg;base64,${jpeg.toString("base64")}`;
      return element(
        "image",
        { ...at, preserveAspectRatio: "xMidYMid meet", href },
        element("title", {}, `frame ${frame}`),
      );
    }),
  );
  const caption = element(
    "text",
    { x: left + width + 14, y: height / 2 + 3, fill: INK, "font-size": 10 },
    escapeText(camera),
  );
  return pictures.join("") + caption;
}

/** Height and width of the first picture that is there. */
async function aspect({ frames, picture }: Strip): Promise<[number, number]> {
  for (const frame of [0, Math.floor(frames / 2)]) {
    const found = await picture(frame).catch(missing);
    if (found) return [found.shape[0]!, found.shape[1]!];
  }
  return [3, 4];
}

function encode({ data, shape }: NdArray, width: number, height: number): Promise<Buffer> {
  return sharp(data as Uint8Array, { raw: { width: shape[1]!, height: shape[0]!, channels: 3 } })
    .resize({
      width: Math.round(width * DENSITY),
      height: Math.round(height * DENSITY),
      fit: "inside",
      withoutEnlargement: true,
    })
    .jpeg({ quality: 82 })
    .toBuffer();
}

function missing(error: unknown): undefined {
  if (!(error instanceof InsulaError)) throw error;
}
