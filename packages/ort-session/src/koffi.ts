/**
 * @file koffi, set up before anything is loaded through it: its settings are the process's, and fixed from the first
 * library on. Import it from here.
 */
import koffi from "koffi";

/**
 * Stack of calls on other threads. koffi's default of 128 KiB is too little for making sessions (graph passes,
 * CUDA's initialisation) and close to what one matrix product's packing buffers take. Only touched pages cost memory.
 */
export const ASYNC_STACK: number = 8 * 2 ** 20;

/** Whether calls on other threads have the stack that they need: not when another package was first. */
export function hasAsyncStack(): boolean {
  return (koffi.config().async_stack_size ?? 0) >= ASYNC_STACK;
}

try {
  if (!hasAsyncStack()) koffi.config({ async_stack_size: ASYNC_STACK });
} catch {
  // Too late; `hasAsyncStack` says so.
}

export { koffi };
