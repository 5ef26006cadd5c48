/** @file Which checkpoints stay, and how the others go: a killed deletion leaves no half checkpoint under a step's name. */
import { rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { listCheckpoints, namesIn } from "./list.js";

/** What decides. */
export interface KeepRule {
  /** The step just saved; later ones are not touched. */
  latest: number;
  /** Newest steps to keep, the latest included; null: all. */
  maxToKeep: number | null;
  /** Multiples of it stay besides; null: none. */
  keepPeriod: number | null;
  /** A step that stays besides. */
  best: number | undefined;
}

/** The steps of `steps` (ascending) that the rule lets go. */
export function stepsToDelete(steps: readonly number[], rule: KeepRule): number[] {
  const { latest, maxToKeep, keepPeriod, best } = rule;
  if (maxToKeep === null) return [];
  const newest = new Set(steps.filter((step) => step <= latest).slice(-maxToKeep));
  return steps.filter(
    (step) =>
      step < latest && !newest.has(step) && step !== best && (keepPeriod === null || step % keepPeriod !== 0),
  );
}

/** Delete what need not be kept. */
export async function prune(root: string, rule: KeepRule): Promise<void> {
  for (const step of stepsToDelete(await listCheckpoints(root), rule)) {
    const gone = join(root, `${step}.old.partial`);
    await rename(join(root, String(step)), gone);
    await rm(gone, { recursive: true, force: true });
  }
}

/** Delete what saves and deletions that were killed half-way left under `root`, whatever their step. */
export async function removePartial(root: string): Promise<void> {
  for (const name of await namesIn(root)) {
    if (/^(\d+(\.old)?|best)\.partial$/.test(name))
      await rm(join(root, name), { recursive: true, force: true });
  }
}
