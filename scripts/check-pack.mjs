#!/usr/bin/env node
/**
 * node scripts/check-pack.mjs [PACKAGE…]   (or: pnpm check:pack)
 *
 * Installs packages as a stranger would: each is packed with what it needs of ours, installed by plain npm into
 * an empty project outside the workspace by the README's own `npm install` line, and the README's first ts
 * block is compiled against the published types and run. Default: the packages below; a minute or two.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { members, pack, root, run } from "./lib/workspace.mjs";

const DEFAULT = [
  ...["model-types", "fast-tokenizer", "transforms"],
  ...["droid-policy", "libero-policy", "aloha-policy", "ki-model"],
];

const all = members();
const publics = all.filter((m) => !m.private);
const names = process.argv.length > 2 ? process.argv.slice(2) : DEFAULT;
const wanted = names.map((name) => {
  const member = publics.find((m) => m.name === `@insula/${name}`);
  if (!member)
    throw new Error(`no public package '${name}'; there are ${publics.map((m) => m.name).join(", ")}`);
  return member;
});

const dir = mkdtempSync(join(tmpdir(), "insula-pack-"));
try {
  const tarballs = pack(publics, dir);
  const failed = wanted.filter((member) => !check(member, tarballs));
  console.log(`${wanted.length - failed.length} of ${wanted.length} packages install and run their example`);
  process.exitCode = failed.length ? 1 : 0;
} finally {
  rmSync(dir, { recursive: true });
}

function check(member, tarballs) {
  const began = Date.now();
  try {
    const readme = readReadme(member);
    const project = makeProject(member, readme.install, tarballs);
    compile(readme.example, project);
    run([process.execPath, "example.js"], { cwd: project });
    console.log(`ok     ${member.name} ${((Date.now() - began) / 1000).toFixed(1)} s`);
    return true;
  } catch (error) {
    console.log(`failed ${member.name}\n${error.message}`);
    return false;
  }
}

/** What the README has its reader install and run. The example may import only what it has installed. */
function readReadme({ name, dir: source }) {
  const readme = readFileSync(join(source, "README.md"), "utf8");
  const install = /^npm install (.+)$/m.exec(readme)?.[1].split(/\s+/) ?? [];
  const example = /```ts\n([\s\S]*?)```/.exec(readme)?.[1];
  if (!install.includes(name)) throw new Error(`README.md: no line 'npm install … ${name} …'`);
  if (!example) throw new Error("README.md: no ts block");
  for (const [, imported] of example.matchAll(/from "((?:@[^/"]+\/)?[^/"]+)/g)) {
    if (!imported.startsWith("node:") && !install.includes(imported))
      throw new Error(`README.md: the example imports ${imported}, which the install line does not name`);
  }
  return { install, example };
}

/** An empty project with the tarballs installed; returns its folder. */
function makeProject({ name }, install, tarballs) {
  const project = join(dir, "projects", name.replace("/", "-"));
  mkdirSync(project, { recursive: true });
  // Nothing of ours may come from a registry, however deep.
  const overrides = Object.fromEntries([...tarballs].map(([n, path]) => [n, `file:${path}`]));
  const dependencies = Object.fromEntries(install.map((n) => [n, overrides[n] ?? versionOf(n)]));
  const manifest = { private: true, type: "module", dependencies, overrides };
  writeFileSync(join(project, "package.json"), JSON.stringify(manifest));
  run(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"], {
    cwd: project,
  });
  for (const other of readdirSync(join(project, "node_modules/@insula"))) {
    const packed = readFileSync(join(project, "node_modules/@insula", other, "package.json"), "utf8");
    if (packed.includes("workspace:"))
      throw new Error(`@insula/${other}: 'workspace:' is left in package.json`);
  }
  return project;
}

/** The version of a foreign package that the workspace is tested with. */
function versionOf(name) {
  return all.flatMap((m) => m.dependencies?.[name] ?? m.devDependencies?.[name] ?? [])[0] ?? "latest";
}

/** Compile to example.js, type-checked against what is installed. */
function compile(example, project) {
  writeFileSync(join(project, "example.ts"), example);
  const compilerOptions = {
    target: "es2022",
    lib: ["es2023"],
    module: "nodenext",
    strict: true,
    skipLibCheck: true,
    noEmitOnError: true,
    types: ["node"],
    typeRoots: [join(root, "node_modules/@types")],
  };
  writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["example.ts"] }));
  run([process.execPath, join(root, "node_modules/typescript/bin/tsc"), "-p", project]);
}
