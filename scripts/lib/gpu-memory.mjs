/** @file Memory of a GPU while something runs, as nvidia-smi sees it: all processes together. */
import { spawn, spawnSync } from "node:child_process";

const query = ["--query-gpu=memory.used", "--format=csv,noheader,nounits"];

/** Watch GPU `index`; undefined where there is no nvidia-smi. `stop()` gives bytes before and at the peak. */
export function watchMemory(index) {
  const select = ["-i", String(index)];
  const { status, stdout } = spawnSync("nvidia-smi", [...query, ...select], { encoding: "utf8" });
  if (status !== 0) return undefined;
  const before = Number(stdout) * 2 ** 20;
  let peak = before;
  const child = spawn("nvidia-smi", [...query, ...select, "-lms", "100"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  child.stdout.setEncoding("utf8").on("data", (text) => {
    for (const line of text.split("\n"))
      if (line.trim() !== "") peak = Math.max(peak, Number(line) * 2 ** 20 || 0);
  });
  return {
    stop() {
      child.kill();
      return { before, peak, taken: peak - before };
    },
  };
}
