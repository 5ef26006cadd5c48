/** @file What a model saw and did, as one picture for TensorBoard: cameras, and a panel per action dim. */
import { encodePng, type Pixels } from "../metrics/png.js";
import { blank, type Color, fillRect, numberText, paste, polyline, textWidth } from "../metrics/raster.js";
import type { PngImage } from "../metrics/tensorboard.js";
import type { SampledChunk } from "./sampled-chunk.js";

const COLUMNS = 4;
const [PANEL_WIDTH, PANEL_HEIGHT] = [190, 104];
const GAP = 8;
const SCALE = 2;

const PAPER: Color = [255, 255, 255];
const PANEL: Color = [244, 245, 247];
const INK: Color = [110, 116, 124];
const RECORDED: Color = [150, 155, 162];
const SAMPLED: Color = [31, 111, 178];

/**
 * Cameras on the left; on the right a panel per action dim, numbered from 1: recorded actions gray, sampled ones blue,
 * over the steps of the chunk. The numbers at the left edge are the ends of each panel's own scale.
 */
export function chunkPicture(chunk: SampledChunk): PngImage {
  const dim = chunk.sampled.shape[1]!;
  const cameras = chunk.cameras.map((camera) => camera.pixels);
  const side = Math.max(0, ...cameras.map((camera) => camera.width + GAP));
  const rows = Math.ceil(dim / COLUMNS);
  const width = side + Math.min(dim, COLUMNS) * (PANEL_WIDTH + GAP) + GAP;
  const height = Math.max(
    rows * (PANEL_HEIGHT + GAP) + GAP,
    cameras.reduce((sum, camera) => sum + camera.height + GAP, GAP),
  );
  const canvas = blank(width + (side > 0 ? GAP : 0), height, PAPER);
  let y = GAP;
  for (const camera of cameras) {
    paste(canvas, camera, GAP, y);
    y += camera.height + GAP;
  }
  const left = side > 0 ? side + GAP : GAP;
  for (let d = 0; d < dim; d++) {
    const at = [
      left + (d % COLUMNS) * (PANEL_WIDTH + GAP),
      GAP + Math.floor(d / COLUMNS) * (PANEL_HEIGHT + GAP),
    ] as const;
    drawPanel(canvas, at, chunk, d);
  }
  return { width: canvas.width, height: canvas.height, png: encodePng(canvas) };
}

function drawPanel(canvas: Pixels, [x, y]: readonly [number, number], chunk: SampledChunk, d: number): void {
  const { recorded, sampled } = chunk;
  const [horizon, dim] = sampled.shape as [number, number];
  fillRect(canvas, x, y, PANEL_WIDTH, PANEL_HEIGHT, PANEL);
  const column = ({ data }: { data: ArrayLike<number | bigint> }, length: number) =>
    Array.from({ length }, (_, t) => Number(data[t * dim + d])).filter(Number.isFinite);
  const [truth, model] = [column(recorded.actions, recorded.steps), column(sampled, horizon)];
  const all = [...truth, ...model];
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const span = high > low ? high - low : 1;
  const [top, bottom] = [y + 18, y + PANEL_HEIGHT - 8];
  const point = (value: number, t: number) =>
    [
      x + 8 + (t / Math.max(1, horizon - 1)) * (PANEL_WIDTH - 16),
      bottom - ((value - low) / span) * (bottom - top),
    ] as const;
  polyline(canvas, truth.map(point), RECORDED, 4);
  polyline(canvas, model.map(point), SAMPLED, 2);
  const label = { color: INK, scale: SCALE };
  numberText(canvas, String(d + 1), [x + 6, y + 4], { ...label, color: SAMPLED });
  if (all.length === 0) return;
  const range = `${short(low)} ${short(high)}`;
  numberText(canvas, range, [x + PANEL_WIDTH - 6 - textWidth(range, SCALE), y + 4], label);
}

const short = (value: number): string => String(Number(value.toPrecision(2)));
