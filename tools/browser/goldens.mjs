/** @file The golden FAST chunks as JSON, for a page that has neither files nor safetensors. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root, shared } from "../../scripts/lib/workspace.mjs";

/** Name → `{ files, cases }` as `checkGoldens` takes them: FAST+ and a fitted tokenizer, 200 chunks each. */
export async function readGoldens() {
  const { readSafetensors } = await import(join(root, "packages/safetensors/dist/index.js"));
  const folder = join(shared, "golden/public/fast");
  const json = (...path) => JSON.parse(readFileSync(join(...path), "utf8"));
  const chunks = await readSafetensors(join(folder, "bpe1024/goldens.safetensors"));
  const cases = async (name) => {
    const tensors = await readSafetensors(join(folder, name, "goldens.safetensors"));
    return json(folder, name, "goldens.json").cases.map(({ i }) => {
      const key = `c${String(i).padStart(3, "0")}`;
      const { data, shape } = chunks.get(`${key}/actions`);
      const [horizon, dim] = shape;
      const [tokens, decoded] = ["tokens", "decoded"].map((part) => [...tensors.get(`${key}/${part}`).data]);
      return { actions: [...data], horizon, dim, tokens, decoded };
    });
  };
  const plus = join(shared, "data/fast_plus");
  const { scale, min_token } = json(folder, "bpe2048/goldens.json");
  return {
    "FAST+": {
      files: { tokenizer: json(plus, "tokenizer.json"), config: json(plus, "processor_config.json") },
      cases: await cases("fastplus"),
    },
    bpe2048: {
      files: { tokenizer: json(folder, "bpe2048/tokenizer.json"), config: { scale, min_token } },
      cases: await cases("bpe2048"),
    },
  };
}
