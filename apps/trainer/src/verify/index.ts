/** Verification of golden folders. */
export type { ItemRecord, NotChecked, Report } from "./report.js";
export { runVerify, type VerifyOptions, type VerifyResult } from "./verify.js";
