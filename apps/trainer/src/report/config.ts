/** @file What was trained: what differs from the named configuration first, everything folded below. */
import { getConfig } from "../configs/registry.js";
import { resolveConfig } from "../configs/resolve.js";
import type { RunConfig } from "../configs/types.js";
import { type Html, html } from "./html.js";
import type { RunFacts } from "./read-run.js";

/** A field that is not as the named configuration has it. */
export interface Difference {
  path: string;
  named: unknown;
  run: unknown;
}

/** What differs from the configuration of that name at that size; undefined when none has the name. */
export function differences(config: RunConfig): Difference[] | undefined {
  const { name, size, numTrainSteps } = config;
  let named: Map<string, unknown>;
  try {
    const declared = getConfig(name);
    // What follows from the run's length is not a difference of its own.
    named = leaves(resolveConfig(declared, { size, overrides: { numTrainSteps } }));
    named.set("numTrainSteps", declared.numTrainSteps);
  } catch {
    return undefined;
  }
  const [before, now] = [named, leaves(config)];
  return [...new Set([...before.keys(), ...now.keys()])].flatMap((path) => {
    const [a, b] = [before.get(path), now.get(path)];
    return JSON.stringify(a) === JSON.stringify(b) ? [] : [{ path, named: a, run: b }];
  });
}

export function configSection({ config }: RunFacts): Html {
  const different = differences(config);
  const all = [...leaves(config)].map(
    ([path, value]) => html`<tr><th>${path}</th><td>${text(value)}</td></tr>`,
  );
  return html`<section id="config"><h2>Configuration</h2>
${different === undefined && html`<p>There is no configuration named ${config.name} in this version to compare with.</p>`}
${different?.length === 0 && html`<p>As ${config.name} has it at size ${config.size}, in every field.</p>`}
${
  different &&
  different.length > 0 &&
  html`<p>Different from ${config.name} at size ${config.size}:</p>
<div class="scroll"><table><thead><tr><th>field</th><th>${config.name}</th><th>this run</th></tr></thead><tbody>
${different.map(({ path, named, run }) => html`<tr><th>${path}</th><td>${text(named)}</td><td><b>${text(run)}</b></td></tr>`)}
</tbody></table></div>`
}
<details><summary>All ${all.length} fields</summary><div class="scroll"><table><tbody>${all}</tbody></table></div></details>
</section>`;
}

/** Values by path; lists are values. */
function leaves(value: unknown, path: string = ""): Map<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return new Map([[path, value]]);
  return new Map(
    Object.entries(value).flatMap(([key, inner]) => [...leaves(inner, path === "" ? key : `${path}.${key}`)]),
  );
}

const text = (value: unknown): string =>
  value === undefined ? "–" : typeof value === "string" ? value : JSON.stringify(value);
