/** @file Where a sample's prompt comes from: a default, or the task table of a LeRobot dataset. */
import { InsulaError, isNdArray, type Leaf } from "@insula/model-types";
import { named, type Transform } from "./transform.js";

/**
 * A prompt leaf as text: a string, or an array of UTF-8 bytes (what an openpi client sends for `bytes`).
 * @throws InsulaError `transforms/prompt` for anything else.
 */
export function promptText(leaf: Leaf): string {
  if (typeof leaf === "string") return leaf;
  if (isNdArray(leaf) && leaf.data instanceof Uint8Array) {
    try {
      return new TextDecoder("utf-8", { fatal: true }).decode(leaf.data);
    } catch (cause) {
      throw new InsulaError("transforms/prompt", "prompt: its bytes are not UTF-8", { cause });
    }
  }
  const found = isNdArray(leaf)
    ? `${leaf.data.constructor.name} of shape [${leaf.shape.join(", ")}]`
    : typeof leaf;
  throw new InsulaError("transforms/prompt", `prompt: expected a string or UTF-8 bytes, found ${found}`);
}

/**
 * Set `prompt` where a sample has none; an existing prompt is never overwritten. Without `prompt`, the
 * identity. Upstream: `InjectDefaultPrompt`.
 */
export function injectDefaultPrompt(prompt?: string): Transform {
  return named("injectDefaultPrompt", (sample) =>
    prompt === undefined || Object.hasOwn(sample, "prompt") ? sample : { ...sample, prompt },
  );
}

/**
 * Set `prompt` to the text of the sample's `task_index`. Upstream: `PromptFromLeRobotTask`.
 * @throws InsulaError `transforms/missing-key` without a task index, `transforms/task-index` for one that
 * `tasks` does not have.
 */
export function promptFromLeRobotTask(
  tasks: ReadonlyMap<number, string> | Readonly<Record<number, string>>,
): Transform {
  const table = tasks instanceof Map ? tasks : new Map(Object.entries(tasks).map(([k, v]) => [Number(k), v]));
  return named("promptFromLeRobotTask", (sample) => {
    const leaf = sample["task_index"];
    if (leaf === undefined) {
      throw new InsulaError(
        "transforms/missing-key",
        'promptFromLeRobotTask: Cannot extract task without "task_index" ' +
          `(available: ${Object.keys(sample).join(", ") || "none"})`,
      );
    }
    const index = Number(isNdArray(leaf) ? leaf.data[0] : (leaf as number | bigint));
    const prompt = table.get(index);
    if (prompt === undefined) {
      const known = [...table].map(([k, v]) => `${k}: '${v}'`).join(", ");
      throw new InsulaError(
        "transforms/task-index",
        `promptFromLeRobotTask: task_index=${index} not found in task mapping: {${known}}`,
      );
    }
    return { ...sample, prompt };
  });
}
