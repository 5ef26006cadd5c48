/** @file What a download from the hub tells on the console. */
import type { DownloadProgress } from "@insula/lerobot-dataset";
import type { Io } from "../command.js";

/** A line per file that comes from the hub. */
export function told(io: Io): (progress: DownloadProgress) => void {
  return ({ file, files, totalFiles, bytes }) => {
    if (bytes > 0) io.err(`${files}/${totalFiles} ${file}`);
  };
}
