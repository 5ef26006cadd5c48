/**
 * @file Which objects are datasets as `openLeRobotDataset` returned them. A view that is made of a dataset's parts has
 * its fields too, but must not be taken for it when a worker opens the same again.
 */
const opened = new WeakSet<object>();

/** Called once for each dataset. */
export function markOpened(dataset: object): void {
  opened.add(dataset);
}

/** Whether `source` is a dataset itself. */
export function isOpened(source: object): boolean {
  return opened.has(source);
}
