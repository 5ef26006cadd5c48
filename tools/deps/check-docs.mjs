#!/usr/bin/env node
/**
 * node tools/deps/check-docs.mjs [--out DIR]
 *
 * Fails where something that a package exports, through any entry of its package.json, has no documentation.
 * `--out DIR` also writes the HTML reference there.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Application, ReflectionKind } from "typedoc";

const { values: args } = parseArgs({ options: { out: { type: "string" } } });
const root = fileURLToPath(new URL("../..", import.meta.url));
const KINDS = ["Function", "Class", "Interface", "TypeAlias", "Variable"];

/** Every entry of every package. */
const entryPoints = readdirSync(join(root, "packages")).flatMap((name) => {
  const dir = join(root, "packages", name);
  if (!existsSync(join(dir, "package.json"))) return [];
  const { exports } = JSON.parse(readFileSync(join(dir, "package.json"), "utf8"));
  return Object.values(exports).map((entry) => join(dir, entry["@insula/source"]));
});

const app = await Application.bootstrap({
  entryPoints,
  tsconfig: fileURLToPath(new URL("tsconfig.docs.json", import.meta.url)),
  name: "Insula",
  basePath: root,
  readme: "none",
  disableGit: true,
  sourceLinkTemplate: "{path}#L{line}",
  // Types are checked by `pnpm typecheck`.
  skipErrorChecking: true,
  validation: { notDocumented: true, notExported: false, invalidLink: true, invalidPath: false },
  requiredToBeDocumented: KINDS,
});
const project = await app.convert();
if (!project) process.exit(1);
app.validate(project);

const mask = KINDS.reduce((all, kind) => all | ReflectionKind[kind], 0);
const exported = project.getReflectionsByKind(mask).length;
const modules = project.getReflectionsByKind(ReflectionKind.Module).length;
const problems = app.logger.warningCount + app.logger.errorCount;
if (args.out) await app.generateDocs(project, args.out);
console.log(`${problems ? `${problems} problems` : "ok"}: ${exported} exports of ${modules} entry points`);
// Entry points that typedoc did not find are no success.
process.exit(problems || modules !== entryPoints.length ? 1 : 0);
