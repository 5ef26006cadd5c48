/** @file A checkpoint with adapters as one without. */
import { cp, mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { hasLora, InsulaError, withoutLora } from "@insula/model-types";
import { assertNew, mergeLoraFile, writeNew } from "@insula/weights";
import { readCheckpointConfig } from "./checkpoint.js";

/** What belongs to the training of the checkpoint, or is written anew. */
const LEFT_OUT = new Set(["params", "train_state", "config.json", "checksums.json"]);

/**
 * Make the folder `out` from a checkpoint: its weights with the adapters merged, its statistics and tokenizers. It can
 * be served, exported and trained from; training it further is another run.
 * @returns the paths of the weights that adapters went into
 * @throws InsulaError `weights/lora` when there are none, `weights/exists` when `out` is there already
 */
export async function mergeCheckpoint(checkpoint: string, out: string): Promise<string[]> {
  const config = await readCheckpointConfig(checkpoint);
  const { vlm, expert } = config.model;
  if (!hasLora(vlm) && !hasLora(expert))
    throw new InsulaError("weights/lora", `${checkpoint}: has no adapters to merge`);
  await assertNew(out);
  let merged: string[] = [];
  await writeNew(out, async (dir) => {
    const file = join("params", "params.safetensors");
    await mkdir(join(dir, "params"));
    merged = await mergeLoraFile(join(checkpoint, file), config.model, join(dir, file));
    for (const name of await readdir(checkpoint)) {
      if (!LEFT_OUT.has(name)) await cp(join(checkpoint, name), join(dir, name), { recursive: true });
    }
    // What was frozen is a matter of the run that is over.
    return { "config.json": { ...config, model: withoutLora(config.model), train: "all", freeze: [] } };
  });
  return merged;
}
