/** @file Goldens of the transforms of actions and images: delta and absolute actions, subsampling, padding, DROID. */

import { droidInputs, droidOutputs, droidState } from "@insula/droid-policy";
import type { NdArray, Sample } from "@insula/model-types";
import type { Writable } from "@insula/safetensors";
import {
  absoluteActions,
  deltaActions,
  makeBoolMask,
  padStatesAndActions,
  parseImage,
  subsampleActions,
} from "@insula/transforms";
import { EXACT, FLOAT64 } from "../tolerance.js";
import { missingInput, type Unit } from "../unit.js";
import { claimFiles, type Family } from "./family.js";

const FILE = "actions_images.safetensors";
const INDEX = "actions_images.json";
const MASKS = ["m7_-1", "m3_-2", "m2_0_2", "none"];

export const actionsImagesFamily: Family = {
  name: "actions_images",
  perFile: true,
  claim: claimFiles([FILE, INDEX], [FILE]),
  async verify(unit) {
    unit.used(INDEX, "versions", "parse_image_out_of_range_float_note");
    putActions(unit);
    putParsedImages(unit);
    putDroid(unit);
  },
};

function putActions(unit: Unit): void {
  const tensors = unit.tensors(FILE);
  const [actions, state] = [tensors.get("delta/actions"), tensors.get("delta/state")];
  if (!actions || !state) throw missingInput(`tensors delta/actions and delta/state in ${FILE}`);
  unit.used(FILE, "delta/actions", "delta/state");
  const sample: Sample = { actions, state };
  const put = (name: string, array: unknown) => unit.put(FILE, name, array as Writable, FLOAT64);
  const masks = (unit.json(INDEX)["masks"] as Record<string, unknown> | undefined) ?? {};
  for (const name of new Set([...MASKS, ...Object.keys(masks)])) {
    // `m7_-1` is makeBoolMask(7, -1).
    const mask = name === "none" ? undefined : makeBoolMask(...name.slice(1).split("_").map(Number));
    unit.putValue(INDEX, ["masks", name], mask ?? null, EXACT);
    const delta = deltaActions(mask)(sample);
    put(`delta/${name}`, delta["actions"]);
    put(`absolute/${name}`, absoluteActions(mask)(delta)["actions"]);
  }
  for (const stride of numbersAfter(tensors.keys(), /^subsample\/(\d+)$/, [1, 2, 3, 5])) {
    put(`subsample/${stride}`, subsampleActions(stride)(sample)["actions"]);
  }
  for (const dim of numbersAfter(tensors.keys(), /^pad(\d+)\//, [4, 32])) {
    const padded = padStatesAndActions(dim)(sample);
    put(`pad${dim}/state`, padded["state"]);
    if (tensors.has(`pad${dim}/actions`) || dim > 4) put(`pad${dim}/actions`, padded["actions"]);
  }
}

/** The numbers in names that match, or the usual ones. */
function numbersAfter(names: Iterable<string>, pattern: RegExp, usual: readonly number[]): readonly number[] {
  const found = new Set([...names].flatMap((n) => pattern.exec(n)?.[1] ?? []).map(Number));
  return found.size > 0 ? [...found] : usual;
}

function putParsedImages(unit: Unit): void {
  for (const [name, image] of unit.tensors(FILE)) {
    if (!/^parse_image\/.*_in$/.test(name)) continue;
    unit.used(FILE, name);
    unit.put(FILE, name.replace(/_in$/, "_out"), parseImage(image), EXACT);
  }
}

function putDroid(unit: Unit): void {
  const tensors = unit.tensors(FILE);
  const input: Sample = {};
  for (const [name, tensor] of tensors) {
    if (!name.startsWith("droid/in/")) continue;
    unit.used(FILE, name);
    input[name.slice("droid/in/".length)] = tensor;
  }
  if (Object.keys(input).length > 0) {
    for (const type of ["pi05", "pi0_fast"] as const) {
      const like = unit.json(INDEX)[`droid_${type}`] as { prompt?: string } | undefined;
      const out = droidInputs(type)({ ...input, prompt: like?.prompt ?? "do something" });
      putDroidInputs(unit, type, out);
    }
    const joints = input["observation/joint_position"];
    if (joints) {
      const { shape } = droidState({
        "observation/joint_position": joints,
        "observation/gripper_position": 0.5,
      });
      unit.putValue(INDEX, ["droid_scalar_gripper_state_shape"], [...shape], EXACT);
    }
  }
  const actions = tensors.get("droid/out/in");
  if (actions) {
    unit.used(FILE, "droid/out/in");
    unit.put(FILE, "droid/out/actions", droidOutputs()({ actions })["actions"] as NdArray, FLOAT64);
  }
}

function putDroidInputs(unit: Unit, type: string, out: Sample): void {
  const at = `droid/${type}`;
  const group = (what: string) => ({ group: `actions_images/${at}/${what}` });
  unit.put(FILE, `${at}/state`, out["state"] as NdArray, FLOAT64);
  if (out["actions"]) unit.put(FILE, `${at}/actions`, out["actions"] as NdArray, FLOAT64);
  for (const [camera, image] of Object.entries(out["image"] as Record<string, NdArray>)) {
    unit.put(FILE, `${at}/image/${camera}`, image, EXACT, group("image/*"));
  }
  const masks = out["image_mask"] as Record<string, boolean>;
  for (const [camera, there] of Object.entries(masks)) {
    const bool: Writable = { data: Uint8Array.of(Number(there)), shape: [1], dtype: "BOOL" };
    unit.put(FILE, `${at}/image_mask/${camera}`, bool, EXACT, group("image_mask/*"));
  }
  const key = `droid_${type}`;
  unit.putValue(INDEX, [key, "prompt"], out["prompt"], EXACT);
  unit.putValue(INDEX, [key, "image_order"], Object.keys(out["image"] as Sample), EXACT);
  unit.putValue(INDEX, [key, "image_mask"], masks, EXACT);
}
