/** Shared test helpers. Private: never a dependency of shipped code. */
import "./setup.js";

export { type Comparison, compare, type Tolerance } from "./allclose.js";
export { readmeExample, readmeLog, runReadmeExample } from "./readme.js";
export { describeShared, hasShared, sharedJson, sharedPath, sharedTensors } from "./shared.js";
