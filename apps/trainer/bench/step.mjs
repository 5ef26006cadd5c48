/**
 * Time of one training step (forward, backward, clip, AdamW) against a peer, on the same shapes and threads.
 *
 *     pnpm bench step [--peers torch,torch-compile,jax] [--python PATH] [--steps 7] [--rounds 2] [--threads 2]
 *                     [--modes padded,live,default]
 *
 * The model is that of the configuration `bench_small`: `small` with horizon 16 and vocabulary 4096; a batch is 4 samples with 3 cameras of which 2 exist,
 * a prompt of 36 and 24 FAST tokens in a buffer of 256. Modes: `padded` computes every padded token, as users of
 * openpi and LeRobot do; `live` computes exactly the tokens there are; `default` is what `insula train` runs. Peers are
 * the scripts in ../shared/baselines, run by `--python` (INSULA_PYTHON, python3), which must have torch or jax; ours and
 * theirs alternate. Expected on two quiet cores: live at most 1.0, default at most 0.5 of the fastest peer. About one
 * minute without a peer, two more for each (JAX: ten).
 *
 * `--peers js` measures a transformer layer against jax-js and TensorFlow.js instead: see js-peers/index.mjs.
 */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { buildArtifact, createTrainSession, initParams } from "@insula/ki-model";
import { getConfig, resolveConfig } from "../dist/index.js";

const { values: args } = parseArgs({
  options: {
    steps: { type: "string", default: "7" },
    threads: { type: "string", default: "2" },
    modes: { type: "string", default: "padded,live,default" },
    peers: { type: "string" },
    python: { type: "string", default: process.env.INSULA_PYTHON || "python3" },
    check: { type: "boolean" },
    rounds: { type: "string" },
    profile: { type: "string" },
  },
});
if (args.peers === "js") {
  const { comparePeers } = await import("./js-peers/index.mjs");
  process.exit(await comparePeers(args));
}
/** Peers by name: a script of ../shared/baselines and its options. */
const PEERS = {
  torch: ["torch_step.py"],
  "torch-compile": ["torch_step.py", "--compile"],
  jax: ["jax_step.py"],
};
const peers = args.peers ? args.peers.split(",") : [];
for (const name of peers) {
  if (!PEERS[name])
    throw new Error(`--peers: expected js or some of ${Object.keys(PEERS).join(", ")}; found ${name}`);
}
const baselines = join(
  process.env.INSULA_SHARED ?? fileURLToPath(new URL("../../../../shared", import.meta.url)),
  "baselines",
);
const B = 4;
const PROMPT = 36;
const FAST = 24;
const LIVE_CAMERAS = 2;
const { model: config } = resolveConfig(getConfig("bench_small"), { size: "small" });
const live = config.imageKeys.slice(0, LIVE_CAMERAS);
const MODES = {
  padded: { config, options: { lossRows: FAST } },
  live: {
    config: { ...config, maxTokenLen: PROMPT + FAST },
    options: { imageKeys: live, lossRows: FAST },
  },
  default: { config, options: { imageKeys: live, tokenBuckets: [64, 128, 192] } },
};

const draw = (shape) => ({
  data: Float32Array.from({ length: shape.reduce((a, d) => a * d, 1) }, () => 2 * Math.random() - 1),
  shape,
});

function makeBatch({ maxTokenLen: l, actionHorizon: h, actionDim: d, imageKeys, imageSize }) {
  const text = (fill) => Int32Array.from({ length: B * l }, (_, i) => fill(i % l));
  const mask = (fill) => ({ data: Uint8Array.from(text(fill)), shape: [B, l] });
  const real = (i) => (i < PROMPT + FAST ? 1 : 0);
  const fast = (i) => (i >= PROMPT && i < PROMPT + FAST ? 1 : 0);
  const image = () => ({
    data: Uint8Array.from({ length: B * imageSize ** 2 * 3 }, () => 256 * Math.random()),
    shape: [B, imageSize, imageSize, 3],
  });
  const exists = (i) => ({ data: new Uint8Array(B).fill(i < LIVE_CAMERAS ? 1 : 0), shape: [B] });
  return {
    batch: {
      observation: {
        images: Object.fromEntries(imageKeys.map((key) => [key, image()])),
        imageMasks: Object.fromEntries(imageKeys.map((key, i) => [key, exists(i)])),
        state: draw([B, d]),
        tokenizedPrompt: {
          data: text((i) => real(i) && 1 + Math.floor(4095 * Math.random())),
          shape: [B, l],
        },
        tokenizedPromptMask: mask(real),
        tokenArMask: { data: text(fast), shape: [B, l] },
        tokenLossMask: mask(fast),
      },
      actions: draw([B, h, d]),
    },
    draws: { noise: draw([B, h, d]), time: { data: new Float32Array(B).fill(0.5), shape: [B] } },
  };
}

async function ours(mode) {
  const { config: c, options } = MODES[mode];
  const began = performance.now();
  const artifact = buildArtifact(c, { batchSize: B, ...options });
  const session = await createTrainSession({
    artifact,
    params: initParams(c, 0),
    threads: Number(args.threads),
  });
  const { batch, draws } = makeBatch(c);
  await session.step(batch, draws, 1e-4);
  const startup = performance.now() - began;
  await session.step(batch, draws, 1e-4);
  const ms = [];
  const cpu = [];
  const lag = monitorEventLoopDelay({ resolution: 1 });
  lag.enable();
  for (let i = 0; i < Number(args.steps); i++) {
    const [t0, c0] = [performance.now(), process.cpuUsage()];
    await session.step(batch, draws, 1e-4);
    const { user, system } = process.cpuUsage(c0);
    ms.push(performance.now() - t0);
    cpu.push((user + system) / 1e6);
  }
  lag.disable();
  const { arena } = session.memory();
  await session.release();
  return {
    lag_ms: lag.max / 1e6,
    arena_mb: arena && arena.peak / 1e6,
    ms_min: Math.min(...ms),
    cpu_s_min: Math.min(...cpu),
    startup_ms: startup,
    ms,
  };
}

function theirs(name, mode) {
  const [script, ...options] = PEERS[name];
  const size = ["--config", "small", "--steps", args.steps, "--threads", args.threads];
  const command = [join(baselines, script), ...size, ...options, ...(mode === "live" ? ["--no-pad"] : [])];
  const out = execFileSync(args.python, command, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
  return JSON.parse(out.trim().split("\n").at(-1));
}

const show = (name, { ms_min, cpu_s_min, startup_ms, lag_ms, arena_mb, ms }) =>
  console.log(
    `${name.padEnd(22)}${ms_min.toFixed(0).padStart(6)} ms  ${cpu_s_min.toFixed(2)} CPU s` +
      (startup_ms ? `  to the end of the first step ${(startup_ms / 1000).toFixed(1)} s` : "") +
      (lag_ms ? `  event loop at most ${lag_ms.toFixed(0)} ms late` : "") +
      (arena_mb ? `  arena ${arena_mb.toFixed(0)} MB` : "") +
      (ms ? `  all ${ms.map((x) => x.toFixed(0)).join(" ")}` : ""),
  );
const best = {};
const least = (key, result) => {
  show(key, result);
  best[key] = Math.min(best[key] ?? Infinity, result.ms_min);
};
for (let round = 0; round < Number(args.rounds ?? 2); round++) {
  for (const mode of args.modes.split(",")) {
    least(`ours ${mode}`, await ours(mode));
    // What runs by default has no like: it is held against what others compute.
    if (mode !== "default") for (const name of peers) least(`${name} ${mode}`, theirs(name, mode));
  }
}
for (const [mine, against] of [
  ["padded", "padded"],
  ["live", "live"],
  ["default", "padded"],
]) {
  const own = best[`ours ${mine}`];
  for (const name of peers) {
    const other = best[`${name} ${against}`];
    if (own && other) console.log(`ours ${mine} / ${name} ${against}: ${(own / other).toFixed(2)}`);
  }
}
