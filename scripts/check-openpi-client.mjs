#!/usr/bin/env node
/**
 * node scripts/check-openpi-client.mjs [--checkpoint DIR] [--max-batch N] [--keep DIR]
 *
 * Serves a checkpoint (trained for it: a few steps on the sample data) and calls it with the real `openpi-client`
 * from PyPI, in a fresh virtual environment: metadata, DROID observations, the action chunk broker, two clients at
 * once, errors, a wrong key. The actions must be those of the same policy without a server. Half a minute.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { build, root, run } from "./lib/workspace.mjs";

const TOKEN = "check";
/** A batch adds in another order than one request alone. */
const TOLERANCE = { alone: 0, batched: 1e-4 };

const { values: args } = parseArgs({
  options: { checkpoint: { type: "string" }, "max-batch": { type: "string" }, keep: { type: "string" } },
});
const dir = args.keep ?? mkdtempSync(join(tmpdir(), "insula-openpi-"));
const maxBatch = Number(args["max-batch"] ?? 1);
const cli = join(root, "apps/trainer/dist/cli.js");
let failed = 0;
try {
  build([join(root, "apps/trainer")]);
  const checkpoint = args.checkpoint ?? trainTiny();
  const python = makeVenv(join(dir, "venv"));
  const server = await startServer(checkpoint);
  let found;
  try {
    found = JSON.parse(
      await collect(python, [join(root, "scripts/lib/call_policy_server.py"), server.port, TOKEN]),
    );
    server.process.kill("SIGHUP");
    check("SIGHUP loads the checkpoint again", await reloaded(server.port));
  } finally {
    server.process.kill("SIGTERM");
    const [code] = await server.exited;
    check("SIGTERM drains and ends with 0", code === 0, `exit code ${code}`);
  }
  await compare(found, checkpoint);
  console.log(failed ? `failed: ${failed} checks` : "ok: openpi-client gets the policy's own actions");
  process.exitCode = failed ? 1 : 0;
} finally {
  if (!args.keep) rmSync(dir, { recursive: true, force: true });
}

function check(name, ok, found) {
  if (!ok) failed += 1;
  console.log(`${ok ? "ok    " : "failed"} ${name}${found === undefined ? "" : `: ${found}`}`);
}

function trainTiny() {
  run([process.execPath, cli, "train", "--num-steps", "4", "--log-dir", join(dir, "run"), "--overwrite"]);
  return join(dir, "run");
}

/** `insula serve` on a free port. */
async function startServer(checkpoint) {
  const flags = ["--checkpoint", checkpoint, "--host", "127.0.0.1", "--port", "0", "--token", TOKEN];
  const child = spawn(process.execPath, [cli, "serve", ...flags, "--max-batch", String(maxBatch)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  for await (const line of createInterface({ input: child.stdout })) {
    const port = /ws:\/\/127\.0\.0\.1:(\d+)/.exec(line)?.[1];
    if (port) return { process: child, port, exited };
  }
  throw new Error(`insula serve ended: ${(await exited).join(" ")}`);
}

/** Whether the server counts a reload within ten seconds. */
async function reloaded(port) {
  for (let i = 0; i < 100; i++) {
    const response = await fetch(`http://127.0.0.1:${port}/metrics`, {
      headers: { authorization: `Bearer ${TOKEN}` },
    });
    if ((await response.text()).includes('insula_reloads_total{outcome="ok"} 1')) return true;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return false;
}

/** Run to its end without blocking this process; what it wrote on stdout. */
async function collect(command, parameters) {
  const child = spawn(command, parameters, { stdio: ["ignore", "pipe", "inherit"] });
  const chunks = [];
  child.stdout.on("data", (chunk) => chunks.push(chunk));
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`${parameters[0]}: exit code ${code}`);
  return Buffer.concat(chunks).toString();
}

/** The same calls without a server. */
async function compare(found, checkpoint) {
  const { loadPolicy } = await import(join(root, "apps/trainer/dist/infer/load-policy.js"));
  const { policy, config } = await loadPolicy({ checkpoint, backend: { device: "cpu" } });
  const { actionHorizon: h, actionDim: d } = config.model;
  const noise = (k) => ({
    data: Float32Array.from({ length: h * d }, (_, i) => ((i * 37 + k) % 101) / 50 - 1),
    shape: [h, d],
  });
  const chunk = async (k, options, shape) => {
    const { actions } = await policy.infer(observation(k, shape), options);
    return { data: [...actions.data], shape: actions.shape };
  };
  const expectSame = (name, theirs, ours, tolerance = TOLERANCE.alone) => {
    const flat = theirs.flat();
    const worst = Math.max(...flat.map((v, i) => Math.abs(v - ours.data[i])));
    check(
      `${name} [${ours.shape}]`,
      flat.length === ours.data.length && worst <= tolerance,
      `differs by ${worst}`,
    );
  };
  const { versions, metadata, errors, timing } = found;
  console.log(
    Object.entries(versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(", "),
  );
  check("metadata", metadata.action_horizon === h && metadata.action_dim === d, JSON.stringify(metadata));
  check("actions are float64, as openpi's", found.dtype === "float64");
  for (const k of [0, 1, 2]) expectSame(`drawn noise, request ${k}`, found.drawn[k], await chunk(k));
  expectSame("given noise", found.given, await chunk(1, { noise: noise(1) }));
  expectSame("a camera of 180 x 320", found.wide, await chunk(2, { noise: noise(2) }, [180, 320, 3]));
  const batched = maxBatch > 1 ? TOLERANCE.batched : TOLERANCE.alone;
  for (const c of [1, 2]) {
    for (const [i, actions] of found.clients[c].entries()) {
      const k = 10 * c + i;
      expectSame(`client ${c} of two, request ${i}`, actions, await chunk(k, { noise: noise(k) }), batched);
    }
  }
  for (const k of [0, 1]) {
    const { data, shape } = await chunk(k, { noise: noise(k) });
    const rows = { data: data.slice(0, 4 * shape[1]), shape: [4, shape[1]] };
    expectSame(`action chunk broker, chunk ${k}`, found.broker.slice(4 * k, 4 * k + 4), rows);
  }
  const [one, two] = [await chunk(1, { noise: noise(0) }), await chunk(2, { noise: noise(0) })];
  check(
    "other observations, other actions",
    one.data.some((v, i) => v !== two.data[i]),
  );
  const keys = timing.map((t) => Object.keys(t).sort().join());
  check(
    "server_timing",
    keys[0] === "infer_ms,model_ms" && keys[1] === "infer_ms,model_ms,prev_total_ms",
    keys[1],
  );
  check(
    "the model's time is within the server's",
    timing.every((t) => t.model_ms > 0 && t.model_ms < t.infer_ms),
  );
  check(
    "error",
    /^RuntimeError: Error in inference server:\ndroid\/missing-key/.test(errors.error),
    errors.error,
  );
  check("then 1011", /1011.*Traceback included/s.test(errors.after), errors.after);
  check("a wrong key", /401/.test(errors.token), errors.token);
  check("/healthz", found.health.join() === "200,OK\n");
  await policy.release();
}

/** As in lib/call_policy_server.py. */
function observation(k, shape = [224, 224, 3]) {
  const length = shape.reduce((a, b) => a * b);
  const image = (step) => ({ data: Uint8Array.from({ length }, (_, i) => (i * step + k) % 256), shape });
  return {
    "observation/exterior_image_1_left": image(7),
    "observation/wrist_image_left": image(11),
    "observation/joint_position": {
      data: Float64Array.from({ length: 7 }, (_, i) => ((k + i) % 5) / 8),
      shape: [7],
    },
    "observation/gripper_position": { data: Float64Array.of((k % 2) / 2), shape: [1] },
    prompt: `do task ${k}`,
  };
}

/** A virtual environment with openpi-client; returns its python. */
function makeVenv(venv) {
  run(["python3", "-m", "venv", venv]);
  const python = join(venv, "bin/python");
  // typing_extensions is imported by openpi-client 0.1.2 but not among what it asks for.
  run([python, "-m", "pip", "install", "--quiet", "openpi-client", "typing_extensions"]);
  return python;
}
