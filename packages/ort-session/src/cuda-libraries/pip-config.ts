/**
 * @file Where this machine takes Python packages from: what pip's environment variables and configuration files say.
 */
import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export interface PackageSources {
  /** A simple index (PEP 503), without a slash at its end. */
  index: string;
  /** Folders that hold wheels. */
  folders: string[];
}

const PYPI = "https://pypi.org/simple";

/** `PIP_INDEX_URL` and `PIP_FIND_LINKS`, else `index-url` and `find-links` of pip's files, else PyPI. */
export function packageSources(env: NodeJS.ProcessEnv = process.env): PackageSources {
  const settings: Record<string, string> = {};
  for (const path of configFiles(env)) Object.assign(settings, readSettings(path));
  const index = env["PIP_INDEX_URL"] || settings["index-url"] || PYPI;
  const links = (env["PIP_FIND_LINKS"] || settings["find-links"] || "").split(/\s+/).filter(Boolean);
  return {
    index: index.replace(/\/+$/, ""),
    folders: links
      .map((link) => (link.startsWith("file:") ? fileURLToPath(link) : link))
      .filter((link) => !/^https?:/.test(link) && existsSync(link)),
  };
}

/** In the order in which pip reads them; later ones win. */
function configFiles(env: NodeJS.ProcessEnv): string[] {
  const named = env["PIP_CONFIG_FILE"];
  if (named === "/dev/null") return [];
  const home = env["HOME"] || homedir();
  const files = [
    "/etc/pip.conf",
    join(home, ".pip", "pip.conf"),
    join(env["XDG_CONFIG_HOME"] || join(home, ".config"), "pip", "pip.conf"),
    ...(env["VIRTUAL_ENV"] ? [join(env["VIRTUAL_ENV"], "pip.conf")] : []),
    ...(named ? [named] : []),
  ];
  return files.filter((path) => existsSync(path));
}

/** The settings of section `[global]`; a value may go on in indented lines. */
function readSettings(path: string): Record<string, string> {
  const settings: Record<string, string> = {};
  let section = "";
  let key = "";
  for (const line of readFileSync(path, "utf8").split(/\r?\n/)) {
    if (/^\s*([#;].*)?$/.test(line)) continue;
    const header = /^\[(.*)\]\s*$/.exec(line);
    const pair = /^([\w-]+)\s*[=:]\s*(.*)$/.exec(line);
    if (header) section = header[1]!;
    else if (section !== "global") continue;
    else if (pair) settings[(key = pair[1]!.replaceAll("_", "-"))] = pair[2]!.trim();
    else if (key && /^\s/.test(line)) settings[key] = `${settings[key]} ${line.trim()}`.trim();
  }
  return settings;
}
