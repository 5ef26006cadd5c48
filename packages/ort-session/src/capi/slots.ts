/**
 * @file What a native session takes and gives.
 */
import { InsulaError } from "@insula/model-types";
import { elementTypeName } from "../element-types.js";
import type { Slot } from "../session.js";
import type { Api, Handle } from "./api.js";

/** Inputs or outputs in the model's order; a free dimension is -1. */
export function readSlots(api: Api, session: Handle, side: "Input" | "Output"): Slot[] {
  const count = Number(api.get<number>(`SessionGet${side}Count`, session));
  return Array.from({ length: count }, (_, i) => {
    const name = api.takeString(api.get(`SessionGet${side}Name`, session, i, api.allocator));
    const info = api.get(`SessionGet${side}TypeInfo`, session, i);
    try {
      const tensor = api.get("CastTypeInfoToTensorInfo", info);
      const type = elementTypeName(api.get<number>("GetTensorElementType", tensor));
      if (!type)
        throw new InsulaError(
          "session/create",
          `session: '${name}' has an element type that is not exchanged`,
        );
      const shape = new BigInt64Array(Number(api.get<number>("GetDimensionsCount", tensor)));
      api.call("GetDimensions", tensor, shape, shape.length);
      return { name, type, shape: Array.from(shape, Number) };
    } finally {
      api.plain("ReleaseTypeInfo", info);
    }
  });
}
