/** @file Goldens of FAST+, whose published files are not among them: they come from `--tokenizers`. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { readSafetensors } from "@insula/safetensors";
import { putChunks, upstreamTokenizer } from "../fast/chunks.js";
import { EXACT } from "../tolerance.js";
import { missingInput, type Unit } from "../unit.js";
import type { Family } from "./family.js";

const FILE = "goldens.safetensors";
const INDEX = "goldens.json";

export const fastPlusFamily: Family = {
  name: "fastplus",
  claim(dir, files) {
    if (!/(^|\/)fastplus$/.test(dir)) return [];
    const known = files.filter((f) => f === FILE || f === INDEX);
    return known.length > 0 ? [known] : [];
  },
  async verify(unit) {
    // One after the other: where both are missing, the first is named.
    const tokenizer = await published(unit, "tokenizer.json");
    const config = await published(unit, "processor_config.json");
    unit.used(INDEX, "versions", "actions_from", "tokenizer_source");
    unit.putValue(INDEX, ["tokenizer_sha256"], createHash("sha256").update(tokenizer).digest("hex"), EXACT);
    const processor = JSON.parse(config.toString("utf8")) as unknown;
    unit.putValue(INDEX, ["processor_config"], processor, EXACT);
    const from = (unit.json(INDEX)["actions_from"] as string | undefined) ?? "../bpe1024/goldens.safetensors";
    const chunks = await readSafetensors(unit.path(from)).catch((error: NodeJS.ErrnoException) => {
      throw error.code === "ENOENT" ? missingInput(from) : error;
    });
    putChunks(unit, upstreamTokenizer(JSON.parse(tokenizer.toString("utf8")), processor), chunks, "goldens");
  },
};

/** One of FAST+'s files: in `fast_plus/` of the tokenizers folder, or in that folder itself. */
async function published(unit: Unit, name: string): Promise<Buffer> {
  for (const path of [join(unit.tokenizers, "fast_plus", name), join(unit.tokenizers, name)]) {
    try {
      return await readFile(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
  }
  throw missingInput(`FAST+'s ${name} in ${unit.tokenizers} (--tokenizers)`);
}
