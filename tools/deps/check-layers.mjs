#!/usr/bin/env node
/**
 * node tools/deps/check-layers.mjs [--self-test]   (or: pnpm check:deps)
 *
 * Reads every module of packages, apps and tools and checks the rules of ./layers.mjs: arrows point downwards,
 * no cycle, no deep import, no import that package.json does not declare. Fails too when fewer modules were
 * read than there are source files. `--self-test` breaks each rule in a copy and expects to be told.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { LAYERS, RULES } from "./layers.mjs";

const { values: args } = parseArgs({
  options: {
    root: { type: "string", default: fileURLToPath(new URL("../..", import.meta.url)) },
    "self-test": { type: "boolean" },
    // What happens where TypeScript 6 is missing; for the self-test.
    "without-typescript-6": { type: "boolean" },
  },
});
if (args["self-test"]) {
  const { selfTest } = await import("./layers-self-test.mjs");
  process.exit(selfTest(args.root));
}
if (!args["without-typescript-6"]) await import("./typescript-6.mjs");
const { cruise } = await import("dependency-cruiser");

const manifest = (dir) => JSON.parse(readFileSync(join(args.root, dir, "package.json"), "utf8"));
const members = ["packages", "apps", "tools"].flatMap((group) =>
  readdirSync(join(args.root, group)).flatMap((name) => {
    const dir = `${group}/${name}`;
    return existsSync(join(args.root, dir, "package.json")) ? [{ group, name, dir, pkg: manifest(dir) }] : [];
  }),
);
const folders = members.flatMap(({ dir }) =>
  ["src", "test", "bench"].map((f) => `${dir}/${f}`).filter((f) => existsSync(join(args.root, f))),
);

const { output } = await cruise(folders, {
  baseDir: args.root,
  ruleSet: RULES,
  validate: true,
  doNotFollow: { path: "node_modules" },
  exclude: { path: "/dist/" },
  tsPreCompilationDeps: true,
  enhancedResolveOptions: {
    conditionNames: ["@insula/source", "types", "node", "import", "default"],
    exportsFields: ["exports"],
    extensions: [".ts", ".js", ".mjs", ".d.ts"],
  },
});

const problems = [
  ...unread(),
  ...undeclared(),
  ...members.flatMap(declaredUpwards),
  ...output.summary.violations.map(violation),
];
for (const problem of problems) console.error(problem);
const edges = output.modules.reduce((n, m) => n + m.dependencies.length, 0);
console.log(
  `${problems.length ? `${problems.length} problems` : "ok"}: ${output.modules.length} modules, ${edges} imports`,
);
process.exit(problems.length ? 1 : 0);

function violation({ rule, from, to, cycle }) {
  const path = cycle ? cycle.map((m) => m.name).join(" → ") : to;
  const { comment } = RULES.forbidden.find((r) => r.name === rule.name);
  return `${rule.name}: ${from} → ${path} (${comment})`;
}

/** Source files that the cruise did not see: a cruise set up wrongly sees none and is content. */
function unread() {
  const seen = new Set(output.modules.map((m) => m.source));
  return folders
    .flatMap((folder) =>
      readdirSync(join(args.root, folder), { recursive: true })
        .filter((file) => /\.(ts|mjs|js)$/.test(file) && !file.endsWith(".d.ts"))
        .map((file) => `${folder}/${file}`),
    )
    .filter((file) => !seen.has(file))
    .map((file) => `unread: ${file} exists, but no module was read there`);
}

/** Imports of packages that the importer's package.json does not name. Tests may use devDependencies too. */
function undeclared() {
  const shared = Object.keys(manifest(".").devDependencies);
  return output.modules.flatMap(({ source, dependencies }) => {
    const member = members.find(({ dir }) => source.startsWith(`${dir}/`));
    if (!member) return [];
    const { pkg, dir } = member;
    const shipped = source.startsWith(`${dir}/src/`);
    const names = new Set([
      pkg.name,
      ...Object.keys({ ...pkg.dependencies, ...pkg.optionalDependencies, ...pkg.peerDependencies }),
      ...(shipped ? [] : [...Object.keys(pkg.devDependencies ?? {}), ...shared]),
    ]);
    return dependencies
      .filter((d) => !d.dependencyTypes.includes("core") && !/^[./]/.test(d.module))
      .map((d) => /^(@[^/]+\/)?[^/]+/.exec(d.module)[0])
      .filter((name) => !names.has(name))
      .map((name) => `undeclared: ${source} imports ${name}, which ${dir}/package.json does not declare`);
  });
}

/** Dependencies of ours in package.json that the table does not allow. */
function declaredUpwards({ group, name, dir, pkg }) {
  if (group !== "packages") return [];
  const allowed = LAYERS[name];
  if (!allowed) return [`unknown: ${dir} has no row in tools/deps/layers.mjs; add it`];
  return Object.keys({ ...pkg.dependencies, ...pkg.peerDependencies })
    .filter((dep) => dep.startsWith("@insula/") && !allowed.includes(dep.slice("@insula/".length)))
    .map((dep) => `layer ${name}: ${dir}/package.json depends on ${dep}`);
}
