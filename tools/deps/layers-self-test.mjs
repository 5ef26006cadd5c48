/**
 * @file The self-test of check-layers: a copy of the sources in which every rule is broken once. The untouched
 * copy is checked by the ordinary run; here each injected mistake has to be reported by its rule.
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** File, what is put into it, and the start of the line that must report it. */
const MISTAKES = [
  [
    "packages/lerobot-dataset/src/mistake.ts",
    'import "@insula/ki-model";\n',
    "layer lerobot-dataset: packages/lerobot-dataset/src/mistake.ts → packages/ki-model/src/index.ts",
  ],
  [
    "packages/model-types/src/mistake.ts",
    'export type { Graph } from "../../onnx-grad/src/index.js";\n',
    "no-deep-imports: packages/model-types/src/mistake.ts → packages/onnx-grad/src/index.ts",
  ],
  [
    "packages/transforms/src/mistake.ts",
    'import "node:fs";\n',
    "browser: packages/transforms/src/mistake.ts → fs",
  ],
  [
    "packages/droid-policy/src/mistake.ts",
    'import "@insula/transforms/node";\n',
    "browser-entry: packages/droid-policy/src/mistake.ts → packages/transforms/src/node.ts",
  ],
  [
    "packages/safetensors/src/mistake.ts",
    'import "./mistake2.js";\n',
    "no-cycles: packages/safetensors/src/mistake",
  ],
  [
    "packages/safetensors/src/mistake2.ts",
    'import "./mistake.js";\n',
    "no-cycles: packages/safetensors/src/mistake",
  ],
  [
    "packages/policy/src/mistake.ts",
    'import "zod";\n',
    "undeclared: packages/policy/src/mistake.ts imports zod, which packages/policy/package.json",
  ],
  [
    "packages/ki-model/src/mistake.ts",
    'import "@insula/onnx-grad/src/graph.js";\n',
    "resolvable: packages/ki-model/src/mistake.ts → @insula/onnx-grad/src/graph.js",
  ],
  ["packages/stray/package.json", '{ "name": "@insula/stray" }\n', "unknown: packages/stray has no row"],
];

/** Returns the exit code. */
export function selfTest(root) {
  const copy = mkdtempSync(join(tmpdir(), "insula-layers-"));
  try {
    for (const group of ["packages", "apps", "tools"]) {
      cpSync(join(root, group), join(copy, group), {
        recursive: true,
        verbatimSymlinks: true,
        filter: (path) => !/\/(dist|runs|\.turbo|\.readme-[^/]*)$/.test(path),
      });
    }
    cpSync(join(root, "package.json"), join(copy, "package.json"));
    symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
    // So that the upward import resolves and nothing but the layer stands against it.
    symlinkSync("../../../ki-model", join(copy, "packages/lerobot-dataset/node_modules/@insula/ki-model"));
    for (const [file, text] of MISTAKES) {
      mkdirSync(dirname(join(copy, file)), { recursive: true });
      writeFileSync(join(copy, file), text);
    }
    return report(copy);
  } finally {
    rmSync(copy, { recursive: true });
  }
}

function report(copy) {
  const broken = run(copy);
  const missed = MISTAKES.map(([, , line]) => line).filter(
    (line) => !broken.lines.some((l) => l.startsWith(line)),
  );
  for (const line of missed) console.error(`self-test: not reported: ${line}`);
  if (missed.length) console.error(`self-test: the check said:\n${broken.lines.join("\n")}`);
  // Without TypeScript 6 nothing is read; that must not pass for "nothing wrong".
  const blind = run(copy, "--without-typescript-6");
  const noticed =
    blind.status === 1 &&
    blind.lines.some((l) => l.startsWith("unread: packages/model-types/test/model-type.test.ts"));
  if (!noticed) console.error("self-test: a cruise that read nothing was not noticed");
  const ok = missed.length === 0 && broken.status === 1 && noticed;
  if (ok) console.log(`self-test ok: ${MISTAKES.length} mistakes and an empty cruise, each reported`);
  return ok ? 0 : 1;
}

function run(root, ...flags) {
  const check = fileURLToPath(new URL("check-layers.mjs", import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, [check, "--root", root, ...flags], {
    encoding: "utf8",
  });
  return { status, lines: `${stderr}\n${stdout}`.split("\n") };
}
