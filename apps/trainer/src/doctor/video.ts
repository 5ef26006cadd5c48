/** @file What reads videos: node-av, which brings FFmpeg along, and whether there is an ffmpeg to convert with. */
import { spawnSync } from "node:child_process";
import type { Finding, Surroundings } from "./finding.js";
import { resolveFrom } from "./runtime.js";

export function examineVideo({ env }: Surroundings): Finding[] {
  const path = resolveFrom("@insula/lerobot-dataset", "node-av");
  const video: Finding = path
    ? { part: "video", state: "ok", detail: "node-av: AV1, H.264 and HEVC datasets can be read" }
    : {
        part: "video",
        state: "missing",
        detail: "node-av is not installed (optional): datasets of images only",
        fix: "npx --yes pnpm@12.21.0 add --filter @insula/lerobot-dataset --save-optional node-av",
      };
  const { status, stdout } = spawnSync("ffmpeg", ["-version"], { encoding: "utf8", env, timeout: 20_000 });
  const ffmpeg: Finding =
    status === 0
      ? {
          part: "ffmpeg",
          state: "ok",
          detail: stdout.split("\n")[0]!.replace(/^ffmpeg version (\S+).*/, "$1"),
        }
      : {
          part: "ffmpeg",
          state: "missing",
          detail: "not on the PATH; nothing here needs it",
          fix: "apt-get install ffmpeg",
        };
  return [video, ffmpeg];
}
