/** ONNX graph builder with reverse-mode differentiation. */
export { checkpoint, segment } from "./checkpoint.js";
export { byteSize, DTYPE_BYTES } from "./cost/bytes.js";
export { type Cost, cost } from "./cost/cost.js";
export type { Work } from "./cost/flops.js";
export type { Peak } from "./cost/memory.js";
export { type CustomVjp, customVjp } from "./custom-vjp.js";
export { GraphError } from "./error.js";
export { type GradOptions, grad } from "./grad.js";
export {
  type Attribute,
  addNode,
  addOp,
  constant,
  createGraph,
  type DType,
  type Graph,
  input,
  isFloat,
  type Node,
  type OpRule,
  scalar,
  type Value,
  type Vjp,
  type VjpContext,
  withScope,
} from "./graph.js";
export { assertInPlace } from "./in-place.js";
export { ancestors, executedInputs, resolveAlias } from "./live.js";
export { type AttentionBias, attend } from "./ops/attention.js";
export { and, equal, greater, less, lessOrEqual, not, or } from "./ops/compare.js";
export { add, div, maximum, minimum, mul, type Operand, sub, where } from "./ops/elementwise.js";
export { gather, gatherElements, scatterAdd } from "./ops/gather.js";
export { matmul, matrixTranspose } from "./ops/matmul.js";
export { layerNorm, rmsNormalize } from "./ops/normalization.js";
export {
  argMax,
  cumSum,
  meanAll,
  reduceMax,
  reduceMean,
  reduceSum,
  reduceSumSquare,
  sumAll,
} from "./ops/reduce.js";
export { concat, expand, reshape, slice, split, stopGradient, transpose, zeros } from "./ops/shape.js";
export { logSoftmax, logSoftmaxAt, softmax } from "./ops/softmax.js";
export {
  cast,
  cos,
  exp,
  geluTanh,
  log,
  neg,
  reciprocal,
  sigmoid,
  silu,
  sin,
  sqrt,
  tanh,
} from "./ops/unary.js";
export { IR_VERSION, OPSET, type SerializedModel, serialize } from "./serialize.js";
