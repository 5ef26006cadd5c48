/**
 * @file Which intermediate values share memory, and how much of it is in use at once, as ONNX Runtime's planner
 * decides it (`allocation_planner.cc`): an alias is its input's buffer; some kernels write over an input that
 * nothing reads later; else a value takes the buffer of a dead value of the same shape, if there is one, and that
 * buffer stays allocated between its two uses.
 */
import { sameShape, type Value } from "../graph.js";
import { arenaSize, createArena } from "./arena.js";
import { byteSize, DTYPE_BYTES } from "./bytes.js";
import type { Executed, Step } from "./executed.js";

/** Results that are their first input under another shape. */
const VIEWS: ReadonlySet<string> = new Set(["Reshape", "Identity"]);

/** Kernels that may write over their first input. */
const IN_PLACE: ReadonlySet<string> = new Set([
  "Sigmoid",
  "Tanh",
  "Softmax",
  "LogSoftmax",
  "ScatterND",
  "ScatterElements",
]);

/** The most intermediate memory in use at once. */
export interface Peak {
  bytes: number;
  /** The chunks that the arena hands out for them, which may be larger: its `MaxInUse`. */
  arenaBytes: number;
  /** What the arena takes from the system: its `TotalAllocated`. */
  reservedBytes: number;
  /** Position in the execution order at which it is reached. */
  at: number;
  /** The buffers that are in use then: the value that each was made for, largest first. */
  buffers: readonly Value[];
}

/** Memory that one value after the other lives in. */
export interface Buffer {
  readonly values: Value[];
  readonly bytes: number;
  /** The steps at which it is taken and, after which, given back. */
  readonly start: number;
  end: number;
  /** Reads of its present values that are still to come. */
  uses: number;
}

/** Assign buffers along `order` and find the peak. Graph inputs, outputs and constants are not intermediate. */
export function peakMemory(parts: Executed, order: readonly Step[]): Peak {
  return measure(assignBuffers(parts, order), order.length);
}

/** The buffers of the intermediate values, in the order in which they are made. */
export function assignBuffers({ outputs, inputs, constants }: Executed, order: readonly Step[]): Buffer[] {
  const uses = new Map<Value, number>();
  for (const step of order) for (const x of step.inputs) uses.set(x, (uses.get(x) ?? 0) + 1);
  const held = new Set<Value>([...inputs, ...constants]);
  const bufferOf = new Map<Value, Buffer>();
  const buffers: Buffer[] = [];
  const free = new Map<string, Buffer[]>();
  const shapeKey = (v: Value) => `${DTYPE_BYTES[v.dtype]}:${v.shape.join()}`;
  const drop = (buffer: Buffer, at: number) => {
    if (--buffer.uses > 0) return;
    buffer.end = at;
    const key = shapeKey(buffer.values[0]!);
    const list = free.get(key);
    if (list) list.push(buffer);
    else free.set(key, [buffer]);
  };
  const take = (step: Step, i: number, at: number): Buffer | undefined => {
    const y = step.outputs[i]!;
    const x = step.inputs[0]!;
    const own = bufferOf.get(x);
    const { type } = step.node.rule;
    if (i === 0 && VIEWS.has(type)) return own;
    if (
      i === 0 &&
      IN_PLACE.has(type) &&
      own?.uses === 1 &&
      DTYPE_BYTES[x.dtype] === DTYPE_BYTES[y.dtype] &&
      sameShape(x.shape, y.shape)
    )
      return own;
    const dead = y.shape.length > 0 ? free.get(shapeKey(y))?.pop() : undefined;
    if (dead) return dead;
    const buffer: Buffer = { values: [], bytes: arenaSize(byteSize(y)), start: at, end: at, uses: 0 };
    buffers.push(buffer);
    return buffer;
  };
  order.forEach((step, at) => {
    step.outputs.forEach((y, i) => {
      if (outputs.has(y)) {
        held.add(y);
        return;
      }
      if (i === 0 && VIEWS.has(step.node.rule.type) && held.has(step.inputs[0]!)) {
        held.add(y);
        return;
      }
      const buffer = take(step, i, at)!;
      bufferOf.set(y, buffer);
      buffer.values.push(y);
      // One more use that the step itself gives back: a result that nothing reads is free behind it.
      buffer.uses += (uses.get(y) ?? 0) + 1;
    });
    for (const v of [...step.inputs, ...step.outputs]) {
      const buffer = bufferOf.get(v);
      if (buffer) drop(buffer, at);
    }
  });
  return buffers;
}

/** Live through the steps: the largest sum of buffers in use, and what the arena makes of it. */
function measure(buffers: readonly Buffer[], length: number): Peak {
  const starts: Buffer[][] = Array.from({ length }, () => []);
  const ends: Buffer[][] = Array.from({ length }, () => []);
  for (const buffer of buffers) {
    starts[buffer.start]!.push(buffer);
    ends[buffer.end]!.push(buffer);
  }
  const arena = createArena();
  const release = new Map<Buffer, () => void>();
  let [bytes, at, now] = [0, 0, 0];
  for (let i = 0; i < length; i++) {
    for (const buffer of starts[i]!) {
      now += buffer.bytes;
      release.set(buffer, arena.allocate(buffer.bytes));
    }
    if (now > bytes) [bytes, at] = [now, i];
    for (const buffer of ends[i]!) {
      now -= buffer.bytes;
      release.get(buffer)!();
    }
  }
  const alive = buffers.filter((b) => b.start <= at && at <= b.end).sort((a, b) => b.bytes - a.bytes);
  return {
    bytes,
    arenaBytes: arena.stats.maxInUse,
    reservedBytes: arena.stats.reserved,
    at,
    buffers: alive.map((b) => b.values[0]!),
  };
}
