/** @file Bundles for browsers: what a page pays for a package, and that nothing of Node is in it. */
import { gzipSync } from "node:zlib";
import * as esbuild from "esbuild";

/**
 * Bundle `contents`, an ES module, for browsers.
 * @returns the code, its size minified and gzipped, what it is made of (package → bytes, largest first), and the Node
 *   modules that it would import.
 */
export async function bundle(contents, resolveDir) {
  const nodeImports = new Set();
  const result = await esbuild.build({
    stdin: { contents, resolveDir },
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    write: false,
    metafile: true,
    logLevel: "silent",
    plugins: [
      {
        name: "node-imports",
        setup(build) {
          build.onResolve(
            { filter: /^node:|^(fs|path|os|crypto|stream|module|url)(\/|$)/ },
            ({ path, importer }) => {
              nodeImports.add(`${path} (from ${importer})`);
              return { path, external: true };
            },
          );
        },
      },
    ],
  });
  const [{ contents: code }] = result.outputFiles;
  const [{ inputs }] = Object.values(result.metafile.outputs);
  const parts = new Map();
  for (const [path, { bytesInOutput }] of Object.entries(inputs)) {
    const name = packageOf(path);
    parts.set(name, (parts.get(name) ?? 0) + bytesInOutput);
  }
  return {
    code,
    minified: code.length,
    gzipped: gzipSync(code, { level: 9 }).length,
    parts: [...parts].sort((a, b) => b[1] - a[1]),
    nodeImports: [...nodeImports],
  };
}

/** The package that a source file belongs to. */
function packageOf(path) {
  const installed = /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1];
  const own = /packages\/([^/]+)/.exec(path)?.[1];
  return installed ?? (own ? `@insula/${own}` : "entry");
}
