/** A trained model as a policy: transforms in, sampler, transforms out. */
export { createPolicy, type Policy, type PolicyOptions, type PolicyTiming } from "./policy.js";
