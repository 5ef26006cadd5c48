/** @file Everything about this machine that a run depends on. */
import type { Finding, Surroundings } from "./finding.js";
import { examineGpu } from "./gpu.js";
import { examineMachine } from "./machine.js";
import { examineRuntime } from "./runtime.js";
import { examineVideo } from "./video.js";

export type { Finding, Surroundings } from "./finding.js";

/** Look at everything. */
export async function examine(around: Surroundings = { env: process.env, root: "/" }): Promise<Finding[]> {
  return [
    ...examineMachine(around),
    ...(await examineRuntime(around)),
    ...examineGpu(around),
    ...examineVideo(around),
  ];
}
