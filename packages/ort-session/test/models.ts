/**
 * @file Models: two tiny ones, serialised once by onnx-grad and kept as bytes, and some of any size.
 */
import { modelBytes } from "../src/model-bytes.js";

const decode = (base64: string) => new Uint8Array(Buffer.from(base64, "base64"));

/** float32 [2, 3]: new_p = p − 0.5·d, norm = Σ d². */
export const UPDATE: Uint8Array = decode(
  "CAoSBmluc3VsYTIAOvwCChwKAWQKCGNvbnN0YW50EgNNdWwaA011bCIDTXVsChcKAXAKA011bBIDU3ViGgNTdWIiA1N1YgoZCgFkCgFkEgVNdWxfMRoFTXVsXzEiA011bApFCgVNdWxfMQoKY29uc3RhbnRfMRIJUmVkdWNlU3VtGglSZWR1Y2VTdW0iCVJlZHVjZVN1bSoPCghrZWVwZGltcxgAoAECCiQKA1N1YhIFbmV3X3AaDG91dHB1dC9uZXdfcCIISWRlbnRpdHkKKAoJUmVkdWNlU3VtEgRub3JtGgtvdXRwdXQvbm9ybSIISWRlbnRpdHkSBnVwZGF0ZSoSEAFCCGNvbnN0YW50SgQAAAA/KiIIAhAHQgpjb25zdGFudF8xShAAAAAAAAAAAAEAAAAAAAAAWhMKAXASDgoMCAESCAoCCAIKAggDWhMKAWQSDgoMCAESCAoCCAIKAggDYhcKBW5ld19wEg4KDAgBEggKAggCCgIIA2IOCgRub3JtEgYKBAgBEgBCBAoAEBU=",
);

/** [3] each: not = ¬mask (bool), twice = ids + ids (int32), next = wide + 1 (int64), bright = float(pixels) (uint8). */
export const TYPES: Uint8Array = decode(
  "CAoSBmluc3VsYTIAOtcDChUKBG1hc2sSA05vdBoDTm90IgNOb3QKGQoDaWRzCgNpZHMSA0FkZBoDQWRkIgNBZGQKIwoEd2lkZQoIY29uc3RhbnQSBUFkZF8xGgVBZGRfMSIDQWRkCiUKBnBpeGVscxIEQ2FzdBoEQ2FzdCIEQ2FzdCoJCgJ0bxgBoAECCiAKA05vdBIDbm90GgpvdXRwdXQvbm90IghJZGVudGl0eQokCgNBZGQSBXR3aWNlGgxvdXRwdXQvdHdpY2UiCElkZW50aXR5CiQKBUFkZF8xEgRuZXh0GgtvdXRwdXQvbmV4dCIISWRlbnRpdHkKJwoEQ2FzdBIGYnJpZ2h0Gg1vdXRwdXQvYnJpZ2h0IghJZGVudGl0eRIFdHlwZXMqFhAHQghjb25zdGFudEoIAQAAAAAAAABaEgoEbWFzaxIKCggICRIECgIIA1oRCgNpZHMSCgoICAYSBAoCCANaEgoEd2lkZRIKCggIBxIECgIIA1oUCgZwaXhlbHMSCgoICAISBAoCCANiEQoDbm90EgoKCAgJEgQKAggDYhMKBXR3aWNlEgoKCAgGEgQKAggDYhIKBG5leHQSCgoICAcSBAoCCANiFAoGYnJpZ2h0EgoKCAgBEgQKAggDQgQKABAV",
);

/** float32 [rows, n] · [n, n], `depth` times: arithmetic and nothing else. */
export function heavyModel(rows: number, n: number, depth: number): Uint8Array {
  return modelBytes({
    inputs: [
      { name: "x", type: "float32", shape: [rows, n] },
      { name: "w", type: "float32", shape: [n, n] },
    ],
    outputs: [{ name: "y", type: "float32", shape: [rows, n] }],
    nodes: Array.from({ length: depth }, (_, i) => ({
      op: "MatMul",
      inputs: [i === 0 ? "x" : `h${i - 1}`, "w"],
      outputs: [i === depth - 1 ? "y" : `h${i}`],
    })),
  });
}

/** y = sin(x) + cos(x), float32 [n]: two values of n floats between input and output. */
export function twoValues(n: number): Uint8Array {
  return modelBytes({
    inputs: [{ name: "x", type: "float32", shape: [n] }],
    outputs: [{ name: "y", type: "float32", shape: [n] }],
    nodes: [
      { op: "Sin", inputs: ["x"], outputs: ["sin"] },
      { op: "Cos", inputs: ["x"], outputs: ["cos"] },
      { op: "Add", inputs: ["sin", "cos"], outputs: ["y"] },
    ],
  });
}
