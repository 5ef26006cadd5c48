/** @file The plan of a run: what it needs, whether that fits, and how it is shown. */
export { type Available, availableMemory, deviceMemory } from "./plan/available.js";
export { planLines } from "./plan/lines.js";
export { type LongestText, longestText } from "./plan/longest-text.js";
export {
  assertFits,
  BASE_BYTES,
  type MemoryNeed,
  makePlan,
  memoryNeed,
  type Plan,
} from "./plan/make-plan.js";
export { byteCount, count, gigabytes, operations } from "./plan/units.js";
