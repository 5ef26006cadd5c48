#!/usr/bin/env node
/**
 * node tools/deps/check-published.mjs [PACKAGE…]
 *
 * Packs every public package as it would be published and looks at the tarball: publint (is package.json true
 * of what is inside) and attw (do the types resolve as the code does; profile esm-only). Default: all of them.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { members, pack } from "../../scripts/lib/workspace.mjs";

const wanted = process.argv.slice(2);
const packages = members().filter(
  (m) => !m.private && (!wanted.length || wanted.includes(m.name.replace("@insula/", ""))),
);
const dir = mkdtempSync(join(tmpdir(), "insula-published-"));
try {
  let bad = 0;
  for (const [name, tarball] of pack(packages, dir)) {
    const problems = [...(await publintProblems(tarball)), ...attwProblems(tarball)];
    console.log(`${problems.length ? "failed" : "ok    "} ${name}`);
    for (const problem of problems) console.log(`       ${problem}`);
    if (problems.length) bad++;
  }
  console.log(`${packages.length - bad} of ${packages.length} packages fit to publish`);
  process.exitCode = bad || !packages.length ? 1 : 0;
} finally {
  rmSync(dir, { recursive: true });
}

async function publintProblems(tarball) {
  const { buffer, byteOffset, byteLength } = readFileSync(tarball);
  const bytes = buffer.slice(byteOffset, byteOffset + byteLength);
  const { messages, pkg } = await publint({ pack: { tarball: bytes } });
  return messages.map((m) => `publint ${m.type} ${m.code}: ${formatMessage(m, pkg, { color: false })}`);
}

/** attw has no documented API; its command has an exit code and JSON. */
function attwProblems(tarball) {
  const attw = fileURLToPath(new URL("node_modules/@arethetypeswrong/cli/dist/index.js", import.meta.url));
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [
      attw,
      tarball,
      "--profile",
      "esm-only",
      "--format",
      "ascii",
      "--no-emoji",
      "--no-color",
      "--no-definitely-typed",
    ],
    { encoding: "utf8" },
  );
  return status === 0 ? [] : [`attw: ${stdout}\n${stderr}`];
}
