/** @file A Chromium to test in: the one that is there, or Debian's, installed when we may. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

const PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const INSTALL = "apt-get update && apt-get install -y --no-install-recommends chromium";

/** Start it, headless. */
export function launch() {
  return chromium.launch({
    executablePath: findChromium(),
    args: process.getuid?.() === 0 ? ["--no-sandbox"] : [],
  });
}

function findChromium() {
  const wanted = process.env.CHROMIUM;
  if (wanted) {
    if (existsSync(wanted)) return wanted;
    throw new Error(`CHROMIUM names ${wanted}, which does not exist`);
  }
  const find = () => PLACES.find(existsSync);
  const found = find();
  if (found) return found;
  if (process.getuid?.() !== 0 || !existsSync("/etc/debian_version")) {
    throw new Error(
      `no Chromium in ${PLACES.join(", ")}: install one (Debian, as root: ${INSTALL}) or name it in CHROMIUM`,
    );
  }
  console.log(`installing Chromium: ${INSTALL}`);
  const { status, stderr } = spawnSync("sh", ["-c", INSTALL], {
    encoding: "utf8",
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    maxBuffer: 1 << 28,
  });
  const installed = find();
  if (status === 0 && installed) return installed;
  throw new Error(`installing Chromium failed (exit code ${status}):\n${stderr}`);
}
