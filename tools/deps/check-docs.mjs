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
import ts from "typescript";

const { values: args } = parseArgs({ options: { out: { type: "string" } } });
const root = fileURLToPath(new URL("../..", import.meta.url));
const KINDS = ["Function", "Class", "Interface", "TypeAlias", "Variable"];

const packages = readdirSync(join(root, "packages"))
  .map((name) => join(root, "packages", name))
  .filter((dir) => existsSync(join(dir, "package.json")))
  .map((dir) => ({ dir, ...JSON.parse(readFileSync(join(dir, "package.json"), "utf8")) }));
/** Every entry of every package. */
const entryPoints = packages.flatMap(({ dir, exports }) =>
  Object.values(exports).map((entry) => join(dir, entry["@insula/source"])),
);

// An entry's first comment, and one with `@file`, is about the file. Untagged, typedoc takes it for the documentation
// of what comes next: in an entry, of everything in its first export statement.
const { readFile } = ts.sys;
ts.sys.readFile = (path, encoding) => {
  const opening = entryPoints.includes(path)
    ? /^\/\*\*(?:[\s*]*@file)?([\s\S]*?)\*\//
    : /^\/\*\*[\s*]*@file([\s\S]*?)\*\//;
  return readFile(path, encoding)?.replace(opening, "/**$1 @module */");
};

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
  // Without this list nothing of a workspace is required to be documented.
  packagesRequiringDocumentation: packages.map((p) => p.name),
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
