/** @file Goldens of image resizing: Pillow's pixels, JAX's pixels in uint8 and float32, conversion to uint8. */
import type { NdArray } from "@insula/model-types";
import { convertToUint8, resizeWithPad, resizeWithPadJax } from "@insula/transforms";
import { EXACT, FLOAT32 } from "../tolerance.js";
import type { Unit } from "../unit.js";
import { claimFiles, type Family } from "./family.js";

const FILE = "resize.safetensors";
const INDEX = "resize.json";

export const resizeFamily: Family = {
  name: "resize",
  perFile: true,
  claim: claimFiles([FILE, INDEX], [FILE]),
  async verify(unit) {
    unit.used(INDEX, "versions", "cases");
    const cases = (unit.json(INDEX)["cases"] ?? []) as { key: string }[];
    for (const [name, image] of unit.tensors(FILE)) {
      if (!name.endsWith("/in_u8")) continue;
      const key = name.slice(0, -"/in_u8".length);
      unit.used(FILE, name);
      const index = cases.findIndex((c) => c.key === key);
      putResized(unit, key, image as NdArray as NdArray<Uint8Array>, index);
    }
    const floats = unit.tensors(FILE).get("convert_to_uint8/in");
    if (floats) {
      unit.used(FILE, "convert_to_uint8/in");
      unit.put(FILE, "convert_to_uint8/out", convertToUint8(floats), EXACT);
    }
  },
};

/** Target sizes are in the key (`180x320_to_224x224`) or, for batches, in the golden result. */
function putResized(unit: Unit, key: string, image: NdArray<Uint8Array>, index: number): void {
  const golden = (name: string) => unit.tensors(FILE).get(`${key}/${name}`);
  const named = /_to_(\d+)x(\d+)$/.exec(key)?.slice(1).map(Number);
  const size = named ?? (golden("pil_u8") ?? golden("jax_u8"))?.shape.slice(-3, -1) ?? [28, 28];
  const [height, width] = size as [number, number];
  const group = (what: string) => ({ group: `resize/*/${what}` });
  const pil = resizeWithPad(image, height, width);
  unit.put(FILE, `${key}/pil_u8`, pil, EXACT, group("pil_u8"));
  // Batches were resized with Pillow only.
  if (!named && !golden("jax_u8")) return;
  const jax = resizeWithPadJax(image, height, width);
  unit.put(FILE, `${key}/jax_u8`, jax, EXACT, group("jax_u8"));
  if (index >= 0) putStatistics(unit, index, pil.data, jax.data);
  if (unit.has(INDEX) && index >= 0 && !golden("jax_f32")) return;
  const scaled = Float32Array.from(image.data, (v) => Math.fround(Math.fround(v / 255) * 2) - 1);
  const float = resizeWithPadJax({ data: scaled, shape: image.shape }, height, width);
  unit.put(FILE, `${key}/jax_f32`, float, FLOAT32, group("jax_f32"));
  if (index >= 0) putFloatStatistics(unit, index, float.data);
}

function putStatistics(unit: Unit, index: number, pil: Uint8Array, jax: Uint8Array): void {
  let max = 0;
  let sum = 0;
  for (let i = 0; i < pil.length; i++) {
    const difference = Math.abs(pil[i]! - jax[i]!);
    max = Math.max(max, difference);
    sum += difference;
  }
  const put = statisticPutter(unit, index);
  put("pil_vs_jax_u8_max", max);
  put("pil_vs_jax_u8_mean", sum / pil.length);
}

function putFloatStatistics(unit: Unit, index: number, data: Float32Array): void {
  let [sum, min, max] = [0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const v of data) {
    sum += v;
    min = Math.min(min, v);
    max = Math.max(max, v);
  }
  const put = statisticPutter(unit, index);
  put("f32_mean", sum / data.length);
  put("f32_min", min);
  put("f32_max", max);
}

/** Pixels lie in -1…1, so an absolute tolerance is one relative to their range. */
function statisticPutter(unit: Unit, index: number): (key: string, value: number) => void {
  return (key, value) =>
    unit.putValue(
      INDEX,
      ["cases", String(index), key],
      value,
      { atol: FLOAT32.rtol! },
      { group: "resize/cases/*" },
    );
}
