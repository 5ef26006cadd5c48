/** @file Names that become folders below a run, a checkpoint or a cache: none of them may lead out of it. */

/** What {@link isFolderName} wants, for messages. */
export const FOLDER_NAME = "expected a folder name without empty, '.' or '..' segments";

/** Whether `text` names a folder below another: `droid`, `lerobot/aloha`. */
export const isFolderName = (text: string): boolean =>
  text.split(/[\\/]/).every((part) => part !== "" && part !== "." && part !== ".." && !part.includes("\0"));
