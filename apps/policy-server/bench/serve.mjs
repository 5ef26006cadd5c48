/**
 * Latency and throughput of the policy server under 1 and 8 openpi-style clients, and of Python servers beside it.
 *
 *     pnpm bench serve [--checkpoint DIR | --size tiny] [--seconds 8] [--max-batch 1] [--parallel N] [--threads N]
 *                      [--python PYTHON] [--openpi PYTHON] [--json]
 *
 * Without --checkpoint one of --size is trained on the sample data for a few steps. `--openpi` names a Python with openpi's
 * sources in its path: ./openpi_peer.py is its own server, policy and PyTorch model of the same sizes. `--python` names one
 * with torch, numpy, msgpack and websockets: ./torch_peer.py is a leaner model that does the same work per request.
 * Clients are closed loops: each sends the next observation when it has the reply.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { WebSocket } from "ws";
import { build } from "../../../scripts/lib/workspace.mjs";
import { decodeObservation, encodeMessage } from "../dist/index.js";

const CLIENTS = [1, 8];
const CAMERAS = 2;
const WARMUP_MS = 1500;
const PEERS = { pytorch: "torch_peer.py", openpi: "openpi_peer.py" };
const cli = fileURLToPath(new URL("../../trainer/dist/cli.js", import.meta.url));
const { values: args } = parseArgs({
  options: {
    checkpoint: { type: "string" },
    size: { type: "string", default: "tiny" },
    seconds: { type: "string", default: "8" },
    "max-batch": { type: "string", default: "1" },
    parallel: { type: "string" },
    threads: { type: "string" },
    python: { type: "string" },
    openpi: { type: "string" },
    json: { type: "boolean", default: false },
  },
});

build([fileURLToPath(new URL("../../trainer", import.meta.url))]);
const dir = mkdtempSync(join(tmpdir(), "insula-bench-serve-"));
try {
  const run = args.checkpoint ?? (await trainBriefly());
  const step = args.checkpoint && !readdirSync(run).includes("checkpoints") ? run : latest(run);
  const threads = args.threads ? ["--threads", args.threads] : [];
  const flags = [
    "--host",
    "127.0.0.1",
    "--port",
    "0",
    "--max-queue",
    "64",
    "--max-batch",
    args["max-batch"],
    ...(args.parallel ? ["--parallel", args.parallel] : []),
  ];
  const results = [
    await measure("insula", process.execPath, [cli, "serve", "--checkpoint", run, ...flags, ...threads]),
  ];
  for (const [name, python] of [
    ["pytorch", args.python],
    ["openpi", args.openpi],
  ]) {
    if (!python) continue;
    const peer = fileURLToPath(new URL(PEERS[name], import.meta.url));
    const parameters = [peer, join(step, "config.json"), String(CAMERAS), args.threads ?? "0"];
    results.push(await measure(name, python, parameters));
  }
  console.log(args.json ? JSON.stringify(results, null, 2) : text(results));
} finally {
  rmSync(dir, { recursive: true });
}

async function trainBriefly() {
  const run = join(dir, "run");
  const child = spawn(
    process.execPath,
    [cli, "train", "--size", args.size, "--num-steps", "3", "--log-dir", run],
    {
      stdio: "ignore",
    },
  );
  const [code] = await once(child, "exit");
  if (code !== 0) throw new Error(`insula train: exit code ${code}`);
  return run;
}

/** The last checkpoint of a run. */
function latest(run) {
  const steps = readdirSync(join(run, "checkpoints"))
    .map(Number)
    .sort((a, b) => a - b);
  return join(run, "checkpoints", String(steps.at(-1)));
}

/** Start a server, load it with each number of clients, stop it. */
async function measure(name, command, parameters) {
  const child = spawn(command, parameters, { stdio: ["ignore", "pipe", "ignore"] });
  const exited = once(child, "exit");
  try {
    const { line, url } = await announced(child);
    await load(url, 1, WARMUP_MS);
    const loads = [];
    for (const clients of CLIENTS)
      loads.push({ clients, ...(await load(url, clients, 1000 * Number(args.seconds))) });
    return { name, line, loads };
  } finally {
    child.kill("SIGTERM");
    await exited;
  }
}

async function announced(child) {
  for await (const line of createInterface({ input: child.stdout })) {
    const url = /ws:\/\/[\d.:]+/.exec(line)?.[0];
    if (url) return { line, url };
  }
  throw new Error("the server ended before it served");
}

/** Closed loops of `clients` for `ms`; latencies in milliseconds as clients see them. */
async function load(url, clients, ms) {
  const observation = encodeMessage({
    "observation/exterior_image_1_left": image(7),
    "observation/wrist_image_left": image(11),
    "observation/joint_position": { data: new Float64Array(7).fill(0.1), shape: [7] },
    "observation/gripper_position": { data: Float64Array.of(0.5), shape: [1] },
    prompt: "pick up the red block and put it in the bowl",
  });
  const until = performance.now() + ms;
  const latencies = [];
  const begin = performance.now();
  await Promise.all(
    Array.from({ length: clients }, async () => {
      const socket = new WebSocket(url, { perMessageDeflate: false });
      const reply = () => once(socket, "message");
      await reply();
      while (performance.now() < until) {
        const sent = performance.now();
        socket.send(observation);
        const [data, isBinary] = await reply();
        if (!isBinary) throw new Error(String(data));
        latencies.push(performance.now() - sent);
        if (latencies.length === 1) decodeObservation(data).actions.shape.join();
      }
      socket.close();
    }),
  );
  const seconds = (performance.now() - begin) / 1000;
  latencies.sort((a, b) => a - b);
  const at = (q) => latencies[Math.min(latencies.length - 1, Math.floor(q * latencies.length))];
  return { requests: latencies.length, p50: at(0.5), p99: at(0.99), perSecond: latencies.length / seconds };
}

function image(step) {
  const shape = [224, 224, 3];
  return { data: Uint8Array.from({ length: 224 * 224 * 3 }, (_, i) => (i * step) % 256), shape };
}

function text(results) {
  const rows = results.flatMap(({ name, loads }) =>
    loads.map(
      ({ clients, requests, p50, p99, perSecond }) =>
        `${name.padEnd(8)} ${String(clients).padStart(7)} ${String(requests).padStart(8)} ` +
        `${p50.toFixed(1).padStart(7)} ${p99.toFixed(1).padStart(7)} ${perSecond.toFixed(1).padStart(10)}`,
    ),
  );
  const lines = [
    ...results.map((r) => r.line),
    "",
    "server   clients requests  p50 ms  p99 ms requests/s",
    ...rows,
  ];
  const [ours, ...peers] = results;
  for (const theirs of peers) {
    const ratio = (i, key) => (ours.loads[i][key] / theirs.loads[i][key]).toFixed(2);
    lines.push(
      "",
      `insula / ${theirs.name}: p50 ${ratio(0, "p50")}, p99 ${ratio(0, "p99")} with 1 client; ` +
        `throughput ${ratio(1, "perSecond")} with 8`,
    );
  }
  return lines.join("\n");
}
