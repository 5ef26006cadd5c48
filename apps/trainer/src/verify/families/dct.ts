/** @file Goldens of the cosine transform: scipy's, both directions, in float64. */
import { dct, idct } from "@insula/fast-tokenizer";
import { FLOAT64 } from "../tolerance.js";
import { claimFiles, type Family } from "./family.js";

const FILE = "dct.safetensors";

export const dctFamily: Family = {
  name: "dct",
  perFile: true,
  claim: claimFiles([FILE, "dct.json"], [FILE]),
  async verify(unit) {
    // The JSON describes the tensors; its round trips are the reference's own rounding.
    if (unit.has("dct.json")) unit.used("dct.json", "versions", "formula", "cases");
    for (const [name, x] of unit.tensors(FILE)) {
      if (!name.endsWith("/x")) continue;
      const at = name.slice(0, -"/x".length);
      unit.used(FILE, name);
      unit.put(FILE, `${at}/dct`, dct(x), FLOAT64, { group: "dct/*/dct" });
      unit.put(FILE, `${at}/idct`, idct(x), FLOAT64, { group: "dct/*/idct" });
    }
  },
};
