/**
 * One vitest configuration for every package: tests run straight from source
 * (the `@insula/source` export condition), no build needed.
 */
import { basename } from "node:path";
import { defineConfig, type ViteUserConfig } from "vitest/config";

// CI counts tests from JSON reports, one per package, in the folder that this names.
// biome-ignore lint/suspicious/noUndeclaredEnvVars: scripts/test.mjs hands it through and turns the cache off
const reports = process.env["INSULA_TEST_REPORTS"];
const reporting = reports
  ? { reporters: ["default", "json"], outputFile: { json: `${reports}/${basename(process.cwd())}.json` } }
  : {};
// `pnpm check:full`: more samples per property.
// biome-ignore lint/suspicious/noUndeclaredEnvVars: set only there, where turbo is not used
const fuzz = process.env["INSULA_FUZZ_RUNS"] ? ["scripts/lib/fuzz-setup.mjs"] : [];

const conditions = ["@insula/source", "node", "import", "default"];

const config: ViteUserConfig = defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: ["node", "import", "default"] } },
  test: {
    ...reporting,
    include: ["test/**/*.test.ts", "src/**/*.test.ts"],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    passWithNoTests: false,
    setupFiles: ["tools/test-kit/src/setup.ts", ...fuzz].map(
      (file) => new URL(file, import.meta.url).pathname,
    ),
  },
});

export default config;
