/**
 * A transformer layer, forward and backward, against the neural-network libraries of JavaScript: jax-js and
 * TensorFlow.js, both on WebAssembly.
 *
 *     pnpm bench step --peers js [--check] [--rounds 10] [--steps 7] [--profile PREFIX]
 *
 * The layer is defined in layer.mjs; all libraries get the same weights and the same input. First their losses and
 * gradients are compared with ours (`--check` ends there): these are differentiators written independently of each
 * other, so agreement within 1e-4 of each tensor's largest gradient says that ours differentiates rightly. Then
 * each library, alone in its process and warmed up, takes `--steps` steps in turn, for `--rounds` rounds. Printed
 * are the minimum, the median, all figures, and the ratios to our goal: at least 4 times as fast as both.
 * `--profile` writes ONNX Runtime's profile of a few of our steps to PREFIX_<date>.json and ends.
 *
 * The peers are installed on first use (npm, 15 s). About 70 s; `--check` 10 s. Expected: all gradients agree within
 * 1e-6, and on two quiet cores (AVX-512) ours at 9 ms on one thread and 5 to 6 ms on two, jax-js and tuned tfjs at
 * 36 to 41 ms, plain tfjs at 390 ms. Answers exit code 1 when gradients differ, not when the goal is missed.
 */
import { fork } from "node:child_process";
import { cpus } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { installPeers, VERSIONS } from "./install.mjs";
import { FLOPS, NAMES } from "./layer.mjs";

const TOLERANCE = 1e-4;
const GOAL = 4;
const WARM_UP = 10;

/** Every peer in the form that is fastest here, and in the form that its documentation shows where that is another. */
const CONTENDERS = [
  { name: "insula, 1 thread", library: "ours", options: { threads: 1 } },
  { name: "insula, 2 threads", library: "ours", options: { threads: 2 } },
  { name: "jax-js, 1 thread", library: "jax", options: { threads: 1 } },
  { name: "jax-js, 2 threads", library: "jax", options: { threads: 2 } },
  { name: "tfjs, plain", library: "tfjs", options: { tuned: false } },
  { name: "tfjs, tuned", library: "tfjs", options: { tuned: true } },
];

/** Start a contender's process; answers when its library is loaded. */
async function start({ name, library, options }) {
  const path = fileURLToPath(new URL("worker.mjs", import.meta.url));
  const child = fork(path, [library, JSON.stringify(options)], { serialization: "advanced" });
  const answer = () =>
    new Promise((resolve, reject) => {
      const settle = (then, value) => {
        child.off("message", onMessage).off("exit", onExit);
        then(value);
      };
      const onMessage = (message) =>
        message.error ? settle(reject, new Error(message.error)) : settle(resolve, message);
      const onExit = (code, signal) =>
        settle(reject, new Error(`${name}: its process ended (${signal ?? code})`));
      child.on("message", onMessage).on("exit", onExit);
    });
  const ask = (message) => {
    child.send(message);
    return answer();
  };
  const stop = () => child.connected && child.disconnect();
  await answer();
  return { name, library, ms: [], ask, stop };
}

/** Largest difference over a tensor, as a share of the largest of `reference`. */
function difference(a, reference) {
  if (a.length !== reference.length) return Number.POSITIVE_INFINITY;
  let [apart, largest] = [0, 0];
  for (let i = 0; i < a.length; i++) {
    // A NaN must not hide in a comparison.
    if (!Number.isFinite(a[i]) || !Number.isFinite(reference[i])) return Number.POSITIVE_INFINITY;
    apart = Math.max(apart, Math.abs(a[i] - reference[i]));
    largest = Math.max(largest, Math.abs(reference[i]));
  }
  return largest > 0 ? apart / largest : Number.POSITIVE_INFINITY;
}

/** Every contender against every other one before it; whether all agree. */
async function compareGradients(contenders) {
  const results = [];
  for (const c of contenders) {
    await c.ask({ steps: 2 });
    results.push({ name: c.name, ...(await c.ask({ gradients: true })) });
  }
  console.log(
    `Gradients of ${NAMES.length} tensors: largest difference relative to the tensor's largest gradient`,
  );
  let ok = true;
  for (const [i, a] of results.entries()) {
    for (const b of results.slice(0, i)) {
      const apart = NAMES.map((name) => ({ name, by: difference(a.gradients[name], b.gradients[name]) }));
      const worst = apart.reduce((x, y) => (y.by > x.by ? y : x));
      const loss = Math.abs(a.loss / b.loss - 1);
      const agrees = worst.by <= TOLERANCE && loss <= TOLERANCE;
      ok &&= agrees;
      console.log(
        `  ${a.name.padEnd(18)} and ${b.name.padEnd(18)} ${worst.by.toExponential(1)} (${worst.name}), ` +
          `loss ${loss.toExponential(1)}  ${agrees ? "ok" : `DIFFER, expected ≤ ${TOLERANCE}`}`,
      );
    }
  }
  return ok;
}

const median = (values) => {
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
};

async function measure(contenders, rounds, steps) {
  for (const c of contenders) await c.ask({ steps: WARM_UP });
  for (let round = 0; round < rounds; round++) {
    for (const c of contenders) {
      // The threads of the one before have gone to sleep; the first step brings caches and threads back.
      await sleep(50);
      c.ms.push(...(await c.ask({ steps: steps + 1 })).ms.slice(1));
    }
  }
}

function report(contenders) {
  console.log(`\n${"".padEnd(20)}    min  median  GFLOP/s   all, in ms`);
  for (const { name, ms } of contenders) {
    const min = Math.min(...ms);
    console.log(
      `${name.padEnd(20)}${min.toFixed(1).padStart(7)} ${median(ms).toFixed(1).padStart(7)}  ` +
        `${(FLOPS / min / 1e6).toFixed(1).padStart(7)}   ${ms.map((x) => x.toFixed(1)).join(" ")}`,
    );
  }
  const best = (library, threads) => {
    const times = contenders.filter((c) => c.library === library && (!threads || c.name.endsWith(threads)));
    return {
      min: Math.min(...times.map((c) => Math.min(...c.ms))),
      median: Math.min(...times.map((c) => median(c.ms))),
    };
  };
  console.log(`\nGoal: at least ${GOAL} times as fast as both (by the minimum)`);
  for (const [label, peer, theirs, ours] of [
    ["jax-js, one thread each", "jax", "1 thread", "1 thread"],
    ["tfjs, one thread each", "tfjs", undefined, "1 thread"],
    ["jax-js, best against best", "jax", undefined, undefined],
    ["tfjs, best against best", "tfjs", undefined, undefined],
  ]) {
    const [a, b] = [best(peer, theirs), best("ours", ours)];
    const ratio = a.min / b.min;
    console.log(
      `  ${label.padEnd(27)}${ratio.toFixed(2).padStart(6)}×  (median ${(a.median / b.median).toFixed(2)}×)  ` +
        (ratio >= GOAL ? "ok" : "missed"),
    );
  }
  console.log(NOT_ALIKE);
}

const NOT_ALIKE = `
Not like for like: ours is native code with the processor's widest vectors, theirs WebAssembly with 128-bit vectors
and without fused multiply-add. Our gradients end in arrays of the caller, theirs stay in WebAssembly's memory, and
the time to copy them out is not counted. Compilation (jit, session) is not counted for anyone.
jax-js has no workers in Node; "2 threads" gives it some (jax.mjs). tfjs switches threads off in Node; with its
threaded module forced on it still reports one, and is no faster. "tuned" replaces the gradient of tf.matMul, whose
transposed products are slow, and treats heads one by one (tfjs.mjs). Tried without effect: attention of jax-js
written out with heads first, 4 workers, tf.fused.matMul.`;

/** Run the comparison; answers the exit code. */
export async function comparePeers({ check = false, rounds = "10", steps, profile }) {
  const contenders = [];
  try {
    if (profile) return await profileOurs(profile);
    installPeers();
    const versions = Object.entries(VERSIONS).map(([name, version]) => `${name} ${version}`);
    console.log(
      `${cpus().length} × ${cpus()[0].model}, Node ${process.versions.node}; ${versions.join(", ")}\n`,
    );
    for (const c of CONTENDERS) contenders.push(await start(c));
    if (!(await compareGradients(contenders))) return 1;
    if (check) return 0;
    await measure(contenders, Number(rounds), Number(steps));
    report(contenders);
    return 0;
  } catch (error) {
    console.error(error.message);
    return 1;
  } finally {
    for (const c of contenders) c.stop();
  }
}

/** A profile of our steps, the first of which are start-up. */
async function profileOurs(profilePrefix) {
  const ours = await start({ name: "insula", library: "ours", options: { threads: 1, profilePrefix } });
  await ours.ask({ steps: WARM_UP });
  ours.stop();
  return 0;
}
