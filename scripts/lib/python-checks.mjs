/** @file The checks that need other projects' Python packages, and which of the given Pythons has them. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { root } from "./workspace.mjs";

/** Script, and the modules that each of its options' Python imports. `needs` of all options: any one will do. */
const CHECKS = [
  { name: "check:tensorboard", script: "check-tensorboard.mjs", options: { python: ["tensorboard", "PIL"] } },
  { name: "check:lerobot", script: "check-lerobot.mjs", options: { python: ["lerobot"] } },
  {
    name: "check:python-weights",
    script: "check-python-weights.mjs",
    options: { openpi: ["openpi", "transformers"], lerobot: ["lerobot", "transformers"] },
  },
];

/**
 * The root's Python checks, each with the options that one of `pythons` can serve.
 * @param hasModules whether a Python finds modules of these names.
 * @returns parts to run, and a line for each check or option that is skipped.
 */
export function pythonChecks(pythons, hasModules = findsModules) {
  const parts = [];
  const skipped = [];
  for (const { name, script, options } of CHECKS) {
    const given = Object.entries(options).flatMap(([option, modules]) => {
      const python = pythons.find((candidate) => hasModules(candidate, modules));
      if (python) return [`--${option}`, python];
      skipped.push(`${name} --${option}: no --python has ${modules.join(" and ")}`);
      return [];
    });
    if (given.length === 0) continue;
    parts.push({ name, cwd: root, command: [process.execPath, join(root, "scripts", script), ...given] });
  }
  return { parts, skipped };
}

/** Looks for them without importing them, which takes seconds. */
function findsModules(python, modules) {
  const code =
    "import importlib.util, sys; sys.exit(not all(importlib.util.find_spec(m) for m in sys.argv[1:]))";
  return spawnSync(python, ["-c", code, ...modules], { stdio: "ignore" }).status === 0;
}
