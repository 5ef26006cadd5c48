import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, test } from "vitest";

const here = (path: string) => JSON.stringify(new URL(path, import.meta.url).href);

/** Leaves while one of libuv's threads is busy for ten seconds and more, and says so to nobody. */
const CHILD = `
  import { pbkdf2 } from "node:crypto";
  import { register } from "node:module";
  register(${here("../../../scripts/lib/typescript-hooks.mjs")});
  const { exitNow } = await import(${here("../src/index.ts")});
  process.on("exit", () => process.stdout.write("exit listener"));
  pbkdf2("", "", 4e7, 64, "sha512", () => process.stdout.write("done"));
  process.stdout.write("busy ");
  setTimeout(() => exitNow(7), 100);
`;

test("the process ends at once, with the code, whatever a native call still does", async () => {
  const child = spawn(process.execPath, ["--input-type=module", "-e", CHILD], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  let busyAt = 0;
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
    busyAt ||= performance.now();
  });
  const [code, signal] = await once(child, "close");
  expect({ code, signal, output }).toEqual({ code: 7, signal: null, output: "busy " });
  expect(performance.now() - busyAt).toBeLessThan(2000);
});
