/** @file The last lines of a run. */
import type { TrainMemory } from "@insula/ki-model";
import { gigabytes } from "../plan/units.js";

/** What the run took: its tensors, and the most that the graphs took besides; and how good the plan was. */
export function memoryLine({ tensors, arena }: TrainMemory, planned?: number): string {
  const graphs = arena
    ? `, ${gigabytes(arena.peak)} at most inside of the graphs (${gigabytes(arena.reserved)} reserved)`
    : "";
  const used = arena && tensors + arena.peak;
  const plan = planned && used ? `; planned ${gigabytes(planned)}, ${percent(used / planned)}` : "";
  return `memory      ${gigabytes(tensors)} parameters, gradients and moments${graphs}, process ${gigabytes(process.memoryUsage.rss())}${plan}`;
}

/** What was used in terms of what was planned. */
function percent(ratio: number): string {
  const more = Math.round(100 * (ratio - 1));
  return more === 0 ? "used just so" : `used ${Math.abs(more)} % ${more > 0 ? "more" : "less"}`;
}
