#!/usr/bin/env node
/**
 * node scripts/check-status-page.mjs
 *
 * Opens the policy server's status page in Chromium while a client asks: its token, the counts, the latency, the
 * camera's pixels and the predicted actions must show, and nothing that a client sends may run. Ten seconds.
 */
import { createRequire } from "node:module";
import { join } from "node:path";
import { build, root } from "./lib/workspace.mjs";

const TOKEN = "look";
const CHROMIUM = "/usr/bin/chromium";
const requireFrom = (dir) => createRequire(join(root, dir, "package.json"));
const { chromium } = requireFrom("tools/browser")("playwright-core");
const { WebSocket } = requireFrom("apps/policy-server")("ws");

build([join(root, "apps/policy-server")]);
const { createPolicyServer, decodeObservation, encodeMessage } = await import(
  join(root, "apps/policy-server/dist/index.js")
);

/** A policy whose actions are ramps: three dims, five steps. */
const actions = {
  data: Float32Array.from({ length: 15 }, (_, i) => (i % 3) * Math.floor(i / 3)),
  shape: [5, 3],
};
const policy = {
  maxBatch: 1,
  maxParallel: 1,
  prepare: (sample) => ({ sample, noise: actions }),
  run: async (batch) => batch.map(() => ({ actions, policy_timing: { infer_ms: 1 } })),
  infer: async () => ({ actions }),
  release: async () => {},
};
const server = await createPolicyServer({
  load: async () => ({ policy }),
  host: "127.0.0.1",
  port: 0,
  token: TOKEN,
});
const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
let failed = 0;
const check = (name, ok, found) => {
  if (!ok) failed += 1;
  console.log(
    `${ok ? "ok    " : "failed"} ${name}${ok || found === undefined ? "" : `: ${JSON.stringify(found)}`}`,
  );
};
try {
  const page = await browser.newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(error.message));
  page.on("dialog", (dialog) => errors.push(`dialog: ${dialog.message()}`) && dialog.dismiss());
  await page.goto(server.url.replace("ws", "http"));
  await page.locator("#login").waitFor({ state: "visible" });
  check("asks for the token", (await page.locator("#note").textContent()).includes("token"));
  await page.fill("#token", TOKEN);
  await page.click("#login button");
  await page.locator("#login").waitFor({ state: "hidden" });

  // A camera whose name would be markup.
  const camera = '<img src=x onerror="alert(1)">';
  const pixels = Uint8Array.from({ length: 2 * 4 * 3 }, (_, i) => 10 * i);
  const socket = new WebSocket(server.url, { headers: { authorization: `Api-Key ${TOKEN}` } });
  const frame = () => new Promise((resolve) => socket.once("message", resolve));
  await frame();
  for (let i = 0; i < 3; i++) {
    socket.send(encodeMessage({ [camera]: { data: pixels, shape: [2, 4, 3] }, prompt: "go" }));
    decodeObservation(await frame());
  }
  await page.waitForFunction(() => document.getElementById("answered").textContent === "3");
  await page.locator("canvas").waitFor();
  const text = (id) => page.locator(`#${id}`).textContent();
  check("counts clients", (await text("clients")) === "1", await text("clients"));
  check("latency", /^\d+\.\d ms$/.test(await text("p99")), await text("p99"));
  check("the caption is text", (await page.locator("figcaption").textContent()).startsWith(camera));
  const painted = await page.evaluate(() => {
    const canvas = document.querySelector("canvas");
    return [...canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data];
  });
  const expected = Array.from({ length: 8 }, (_, p) => [...pixels.slice(3 * p, 3 * p + 3), 255]).flat();
  check("the camera's pixels", painted.join() === expected.join(), painted);
  const paths = await page
    .locator("#trajectory path")
    .evaluateAll((all) => all.map((p) => p.getAttribute("d")));
  check(
    "one line per action dim",
    paths.length === 3 && paths.every((d) => d.split("L").length === 5),
    paths,
  );
  check(
    "the ramps rise as they should",
    paths[2]?.endsWith("L600.0 5.0") && paths[0]?.endsWith("L600.0 145.0"),
    paths,
  );
  check("the latency's line", (await page.locator("#latency path").count()) === 1);
  check("no script but the page's own ran", errors.length === 0, errors);
  socket.close();
} finally {
  await browser.close();
  await server.close();
}
console.log(failed ? `failed: ${failed} checks` : "ok: the status page in Chromium");
process.exitCode = failed ? 1 : 0;
