import { mergeConfig } from "vitest/config";
import shared from "../../vitest.shared.js";

// Worker threads are loaded by Node, which needs help with TypeScript.
const workers = new URL("../../scripts/lib/typescript-workers.mjs", import.meta.url).href;

export default mergeConfig(shared, { test: { execArgv: ["--import", workers] } });
