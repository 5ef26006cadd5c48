/**
 * @file What a native session says about itself: its arena's statistics and where its nodes run.
 */
import type { DeviceLocation } from "../device.js";
import type { NodePlacement, SessionMemory, Slot } from "../session.js";
import { type Api, DEFAULT_MEMORY, DEVICE_ALLOCATOR, type Handle } from "./api.js";

/** The session's allocator on a device; the caller releases it, before the session. */
export function sessionAllocator(api: Api, session: Handle, { type, index }: DeviceLocation): Handle {
  const name = type === "cuda" ? "Cuda" : "Cpu";
  const info = api.get("CreateMemoryInfo", name, DEVICE_ALLOCATOR, index, DEFAULT_MEMORY);
  try {
    return api.get("CreateAllocator", session, info);
  } finally {
    api.plain("ReleaseMemoryInfo", info);
  }
}

/** Statistics of the arena behind the session's allocator (ONNX Runtime's `AllocatorStats`). */
export function sessionMemory(api: Api, session: Handle, device: DeviceLocation): SessionMemory | undefined {
  const allocator = sessionAllocator(api, session, device);
  try {
    const pairs = api.get("AllocatorGetStats", allocator);
    try {
      const stats = readPairs(api, pairs);
      if (!stats.has("InUse")) return undefined; // not an arena
      const read = (key: string) => Number(stats.get(key) ?? 0);
      return {
        inUse: read("InUse"),
        peak: read("MaxInUse"),
        reserved: read("TotalAllocated"),
        largest: read("MaxAllocSize"),
        allocations: read("NumAllocs"),
      };
    } finally {
      api.plain("ReleaseKeyValuePairs", pairs);
    }
  } finally {
    api.plain("ReleaseAllocator", allocator);
  }
}

function readPairs(api: Api, pairs: Handle): Map<string, string> {
  const [keys, values, count] = [[null] as Handle[], [null] as Handle[], [0]];
  api.plain("GetKeyValuePairs", pairs, keys, values, count);
  const n = Number(count[0]);
  const names = api.pointers(keys[0], n);
  const texts = api.pointers(values[0], n);
  return new Map(names.map((name, i) => [api.string(name), api.string(texts[i])]));
}

/** Nodes with their provider, in the order of partitioning. */
export function sessionPlacement(api: Api, session: Handle): NodePlacement[] {
  const list = (name: "Session_GetEpGraphAssignmentInfo" | "EpAssignedSubgraph_GetNodes", of: Handle) => {
    const [array, count] = [[null] as Handle[], [0]];
    api.call(name, of, array, count);
    return api.pointers(array[0], Number(count[0]));
  };
  return list("Session_GetEpGraphAssignmentInfo", session).flatMap((subgraph) => {
    const provider = api.string(api.get("EpAssignedSubgraph_GetEpName", subgraph));
    return list("EpAssignedSubgraph_GetNodes", subgraph).map((node) => ({
      node: api.string(api.get("EpAssignedNode_GetName", node)),
      opType: api.string(api.get("EpAssignedNode_GetOperatorType", node)),
      provider,
    }));
  });
}

/** OrtMemoryInfoDeviceType_CPU */
const CPU = 0;

/** Names of the inputs that the session reads from host memory. */
export function readFromHost(api: Api, session: Handle, inputs: readonly Slot[]): string[] {
  const infos = new BigUint64Array(inputs.length); // const OrtMemoryInfo*
  api.call("SessionGetMemoryInfoForInputs", session, infos, inputs.length);
  return inputs.flatMap(({ name }, i) => {
    const type = [CPU + 1];
    api.plain("MemoryInfoGetDeviceType", infos[i], type);
    return type[0] === CPU ? [name] : [];
  });
}
