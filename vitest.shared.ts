/**
 * One vitest configuration for every package: tests run straight from source
 * (the `@insula/source` export condition), no build needed.
 */
import { defineConfig, type ViteUserConfig } from "vitest/config";

const conditions = ["@insula/source", "node", "import", "default"];

const config: ViteUserConfig = defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: ["node", "import", "default"] } },
  test: {
    include: ["test/**/*.test.ts", "src/**/*.test.ts"],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    passWithNoTests: false,
    setupFiles: [new URL("./tools/test-kit/src/setup.ts", import.meta.url).pathname],
  },
});

export default config;
