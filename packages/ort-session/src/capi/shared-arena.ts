/**
 * @file The arena that sessions share on the CPU: ONNX Runtime's environment owns it, one per process.
 */
import { type Api, DEFAULT_MEMORY, type Handle } from "./api.js";

/** OrtAllocatorType OrtArenaAllocator */
const ARENA_ALLOCATOR = 1;

let registered = false;

/** Let the session that is made with these options take its memory from there. */
export function useSharedArena(api: Api, options: Handle): void {
  if (!registered) {
    const info = api.get("CreateCpuMemoryInfo", ARENA_ALLOCATOR, DEFAULT_MEMORY);
    try {
      api.call("CreateAndRegisterAllocator", api.env, info, null);
    } finally {
      api.plain("ReleaseMemoryInfo", info);
    }
    registered = true;
  }
  api.call("AddSessionConfigEntry", options, "session.use_env_allocators", "1");
}
