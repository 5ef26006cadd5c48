/** A trained model as a policy: transforms in, sampler, transforms out. */
export {
  createPolicy,
  type InferOptions,
  type Policy,
  type PolicyOptions,
  type PolicyTiming,
  type Prepared,
} from "./policy.js";
