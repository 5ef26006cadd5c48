/** @file Goldens of the state bins of prompts, NaN and infinities included. */
import { stateBin } from "@insula/fast-tokenizer";
import { EXACT } from "../tolerance.js";
import { missingInput } from "../unit.js";
import { claimFiles, type Family } from "./family.js";

const FILE = "discretise.json";

export const discretiseFamily: Family = {
  name: "discretise",
  perFile: true,
  claim: claimFiles([FILE]),
  async verify(unit) {
    const { values } = unit.json(FILE) as { values?: readonly (string | number)[] };
    if (!values) throw missingInput(`'values' in ${FILE}`);
    unit.used(FILE, "versions", "formula", "values", "values_hex");
    const numbers = values.map(pythonNumber);
    unit.putValue(FILE, ["bins_out"], numbers.map(stateBin), EXACT);
    unit.putValue(
      FILE,
      ["bins_out_float32_input"],
      numbers.map((x) => stateBin(Math.fround(x))),
      EXACT,
    );
  },
};

/** A number as Python's `repr` writes it. */
export function pythonNumber(text: string | number): number {
  if (text === "inf") return Number.POSITIVE_INFINITY;
  if (text === "-inf") return Number.NEGATIVE_INFINITY;
  return Number(text);
}
