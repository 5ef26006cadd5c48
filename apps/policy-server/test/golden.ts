/**
 * @file Messages and the bytes that openpi-client 0.1.2's packer (msgpack 1.2.4, NumPy 1.26.4) makes of them:
 *
 *     python -c 'from openpi_client import msgpack_numpy as m; import numpy as np; print(m.packb(…).hex())'
 */
import type { Message } from "../src/index.js";

export const bytesOf = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, "hex"));

/** Written as these bytes; the same value for Python and for us. */
export const WRITTEN: Readonly<Record<string, readonly [message: Message, hex: string]>> = {
  "{}": [{}, "80"],
  'actions: np.arange(6, dtype="f4").reshape(2, 3)': [
    { actions: { data: Float32Array.of(0, 1, 2, 3, 4, 5), shape: [2, 3] } },
    "81a7616374696f6e7384c40b5f5f6e6461727261795f5fc3c40464617461c418000000000000803f0000004000004040000080400000a040" +
      "c4056474797065a33c6634c4057368617065920203",
  ],
  "a: np.array([0.5, -2.0])": [
    { a: { data: Float64Array.of(0.5, -2), shape: [2] } },
    "81a16184c40b5f5f6e6461727261795f5fc3c40464617461c410000000000000e03f00000000000000c0c4056474797065a33c6638" +
      "c40573686170659102",
  ],
  "g: np.array(1.5)": [
    { g: { data: Float64Array.of(1.5), shape: [] } },
    "81a16784c40b5f5f6e6461727261795f5fc3c40464617461c408000000000000f83fc4056474797065a33c6638c405736861706590",
  ],
  "i: np.array([1, -2])": [
    { i: { data: BigInt64Array.of(1n, -2n), shape: [2] } },
    "81a16984c40b5f5f6e6461727261795f5fc3c40464617461c4100100000000000000feffffffffffffffc4056474797065a33c6938" +
      "c40573686170659102",
  ],
  "server_timing: {infer_ms: 5.0, prev_total_ms: 6.25}": [
    { server_timing: { infer_ms: 5, prev_total_ms: 6.25 } },
    "81ad7365727665725f74696d696e6782a8696e6665725f6d73cb4014000000000000ad707265765f746f74616c5f6d73cb4019000000000000",
  ],
  "l: [1, -33, 70000, -70000, 2**40, 300, -200, 1.5], none: None": [
    { l: [1n, -33n, 70000n, -70000n, 2n ** 40n, 300n, -200n, 1.5], none: null },
    "82a16c9801d0dfce00011170d2fffeee90cf0000010000000000cd012cd1ff38cb3ff8000000000000a46e6f6e65c0",
  ],
  '"k" * 40: "v" * 300': [
    { ["k".repeat(40)]: "v".repeat(300) },
    `81d928${"6b".repeat(40)}da012c${"76".repeat(300)}`,
  ],
};

/** Read from these bytes. */
export const READ: Readonly<Record<string, readonly [hex: string, sample: unknown]>> = {
  "an observation": [
    "86bc6f62736572766174696f6e2f677269707065725f706f736974696f6e84c40b5f5f6e6461727261795f5fc3c40464617461c408" +
      "000000000000e03fc4056474797065a33c6638c40573686170659101b16f62736572766174696f6e2f696d61676584c40b5f5f6e64" +
      "61727261795f5fc3c40464617461c406000000000000c4056474797065a37c7531c405736861706593020103a670726f6d7074a770" +
      "69636b207570a162c403686579a46e6f6e65c0a16c9801d0dfce00011170d2fffeee90cf0000010000000000cd012cd1ff38cb3ff8" +
      "000000000000",
    {
      "observation/gripper_position": { data: Float64Array.of(0.5), shape: [1] },
      "observation/image": { data: new Uint8Array(6), shape: [2, 1, 3] },
      prompt: "pick up",
      b: { data: Uint8Array.from(Buffer.from("hey")), shape: [3] },
      l: { data: Float64Array.of(1, -33, 70000, -70000, 2 ** 40, 300, -200, 1.5), shape: [8] },
    },
  ],
  "NumPy scalars: np.float32(0.25), np.int64(-7), np.bool_(True), np.str_": [
    "84a17883c40d5f5f6e7067656e657269635f5fc3c40464617461cb3fd0000000000000c4056474797065a33c6634a16e83c40d5f5f6e70" +
      "67656e657269635f5fc3c40464617461f9c4056474797065a33c6938a17483c40d5f5f6e7067656e657269635f5fc3c40464617461c3" +
      "c4056474797065a37c6231a173a26869",
    { x: { data: Float32Array.of(0.25), shape: [] }, n: -7, t: true, s: "hi" },
  ],
  "np.array([True, False])": [
    "81a16284c40b5f5f6e6461727261795f5fc3c40464617461c4020100c4056474797065a37c6231c40573686170659102",
    { b: { data: Uint8Array.of(1, 0), shape: [2] } },
  ],
  'np.array("hi")': [
    "81a17084c40b5f5f6e6461727261795f5fc3c40464617461c4086800000069000000c4056474797065a33c5532c405736861706590",
    { p: "hi" },
  ],
  "np.array([1.5, -2], np.float16)": [
    "81a16884c40b5f5f6e6461727261795f5fc3c40464617461c404003e00c0c4056474797065a33c6632c40573686170659102",
    { h: { data: Float32Array.of(1.5, -2), shape: [2] } },
  ],
};
