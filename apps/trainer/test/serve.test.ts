/** A trained checkpoint as a policy: `insula infer`, and the server that `insula serve` starts. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeDroidExample } from "@insula/droid-policy";
import type { NdArray, Sample } from "@insula/model-types";
import { decodeObservation, encodeMessage, type PolicyServer } from "@insula/policy-server";
import { ensureSampleData } from "@insula/sample-data";
import { readNormStats } from "@insula/transforms/node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startServer } from "../src/commands/serve.js";
import { loadPolicy } from "../src/infer/load-policy.js";
import { runCli } from "../src/program.js";

const base = mkdtempSync(join(tmpdir(), "insula-serve-"));
afterAll(() => rmSync(base, { recursive: true }));
const run = join(base, "run");
const backend = { device: "cpu" } as const;

async function insula(...args: string[]) {
  const out: string[] = [];
  const err: string[] = [];
  const code = await runCli(args, { out: (l) => out.push(l), err: (l) => err.push(l) });
  return { code, out: out.join("\n"), err: err.join("\n") };
}
const infer = (...args: string[]) => insula("infer", "--checkpoint", run, "--denoise-steps", "2", ...args);

/** Noise that no generator makes. */
const waves = (k: number, shape: [number, number]) => ({
  data: Float32Array.from({ length: shape[0] * shape[1] }, (_, i) => Math.sin(i * k)),
  shape,
});

type Client = Awaited<ReturnType<typeof connect>>;

/** A client that asks for the actions of the `k`th example. */
async function connect(url: string) {
  const { WebSocket } = createRequire(new URL("../../policy-server/package.json", import.meta.url))("ws");
  const socket = new WebSocket(url);
  const frames: Buffer[] = [];
  let wake = () => {};
  socket.on("message", (data: Buffer) => {
    frames.push(data);
    wake();
  });
  const next = async (): Promise<Sample> => {
    while (frames.length === 0) await new Promise<void>((resolve) => (wake = resolve));
    return decodeObservation(frames.shift()!);
  };
  const metadata = await next();
  const noiseShape = [Number(metadata["action_horizon"]), Number(metadata["action_dim"])] as [number, number];
  const ask = async (k: number) => {
    socket.send(encodeMessage({ ...makeDroidExample({ seed: k }), noise: waves(k, noiseShape) }));
    return (await next())["actions"] as NdArray<Float64Array>;
  };
  return { metadata, ask, close: () => socket.close() };
}

beforeAll(async () => {
  const { datasetDir } = await ensureSampleData(join(base, "data"), undefined, { episodes: 2 });
  const trained = await insula(
    ...["train", "debug_pi05_ki", "--dataset", datasetDir, "--log-dir", run, "--threads", "1"],
    ...[
      "--num-train-steps",
      "3",
      "--set",
      "model.imageSize=28",
      "--set",
      'lrSchedule={"type":"constant","lr":0.01}',
    ],
  );
  expect(trained).toMatchObject({ code: 0, err: "" });
});

test("infer answers a frame of the dataset in the robot's units, the same for the same seed", async () => {
  const { code, out, err } = await infer("--episode", "1", "--frame", "4", "--json");
  expect({ code, err }).toEqual({ code: 0, err: "" });
  const report = JSON.parse(out);
  expect(report.dims).toHaveLength(8);
  expect(report.actions).toHaveLength(10);
  expect(report.recorded).toHaveLength(10);
  expect(report.prompt).toMatch(/\w+ \w+/);
  expect(report.policy_timing.infer_ms).toBeGreaterThan(0);
  const actions = async (...args: string[]) =>
    JSON.parse((await infer("--episode", "1", "--json", ...args)).out).actions;
  expect(await actions("--frame", "4")).toEqual(report.actions);
  expect(await actions("--frame", "4", "--seed", "77")).not.toEqual(report.actions);
  expect(await actions("--frame", "30")).not.toEqual(report.actions);
  expect((await infer("--frame", "2")).out).toMatch(/step +joint 1 \(rad\/s\)[\s\S]*\n +9 /);
});

test("infer answers an observation from a file as the library does", async () => {
  const example = makeDroidExample({ seed: 5 });
  const nested = ({ data, shape }: NdArray): unknown => {
    const [h, w] = shape as [number, number];
    const pixel = (y: number, x: number) =>
      Array.from(data.slice((y * w + x) * 3, (y * w + x + 1) * 3), Number);
    return Array.from({ length: h }, (_, y) => Array.from({ length: w }, (_, x) => pixel(y, x)));
  };
  const file = join(base, "observation.json");
  const json = Object.fromEntries(
    Object.entries(example).map(([key, leaf]) => {
      if (typeof leaf === "string") return [key, leaf];
      return [key, leaf.shape.length === 3 ? nested(leaf) : Array.from(leaf.data)];
    }),
  );
  writeFileSync(file, JSON.stringify(json));
  const report = JSON.parse((await infer("--observation", file, "--json")).out);
  const { policy } = await loadPolicy({ checkpoint: run, backend, numSteps: 2 });
  const { actions } = (await policy.infer(example)) as { actions: NdArray };
  expect(report.actions.flat()).toEqual(Array.from(actions.data, Number));
  await policy.release();
});

test.each([
  [["--episode", "9"], "infer/episode", "--episode 9: .* has 0 to 1"],
  [["--frame", "100000"], "infer/frame", "--frame 100000: episode 0 has frames 0 to \\d+"],
  [["--observation", "/nowhere.json"], "infer/observation", "/nowhere.json: cannot be read \\(ENOENT\\)"],
  [["--observation", "x.json", "--episode", "0"], "infer/source", "--observation excludes"],
])("infer %j is refused", async (args, code, message) => {
  const result = await infer(...args);
  expect(result.code).toBe(1);
  expect(result.err).toMatch(new RegExp(`${message}.*\\[${code}\\]`));
});

test("the prompt of the command line stands in for one that is missing, and only then", async () => {
  const { prompt, ...silent } = makeDroidExample({ seed: 1 });
  const { policy } = await loadPolicy({ checkpoint: run, backend, defaultPrompt: "wave", numSteps: 1 });
  const noise = { data: new Float32Array(10 * 32).fill(0.5), shape: [10, 32] };
  const actions = async (observation: Sample) => (await policy.infer(observation, { noise }))["actions"];
  expect(await actions(silent)).toEqual(await actions({ ...silent, prompt: "wave" }));
  expect(await actions({ ...silent, prompt })).toEqual(await actions({ prompt, ...silent }));
  await policy.release();
});

test("while the model computes, the event loop turns", async () => {
  const { policy } = await loadPolicy({ checkpoint: run, backend, threads: 1, numSteps: 10 });
  const prepared = policy.prepare(makeDroidExample({ seed: 1 }));
  await policy.run([prepared]);
  let turns = 0;
  let computing = true;
  const turn = () => {
    turns += 1;
    if (computing) setImmediate(turn);
  };
  setImmediate(turn);
  await policy.run([prepared]);
  computing = false;
  // Twelve runs of a session: were each of them to block, there would be about as many turns.
  expect(turns).toBeGreaterThan(100);
  await policy.release();
});

test("the server answers with the actions of the policy, to several clients, across a reload", async () => {
  const options = { checkpoint: run, host: "127.0.0.1", port: 0, denoiseSteps: 2, maxBatch: 2, threads: 1 };
  const server: PolicyServer = await startServer(options, { out() {}, err() {} });
  const { policy, config } = await loadPolicy({ checkpoint: run, backend, numSteps: 2, threads: 1 });
  const { actionHorizon: h, actionDim: d } = config.model;
  const noise = (k: number) => waves(k, [h, d]);
  const [one, two] = [await connect(server.url), await connect(server.url)];
  expect(one.metadata).toEqual({
    config: "debug_pi05_ki",
    model_type: "pi05_ki",
    action_horizon: h,
    action_dim: d,
  });
  const expectPolicys = async (ask: Client["ask"], k: number) => {
    const { data, shape } = await ask(k);
    const own = (await policy.infer(makeDroidExample({ seed: k }), { noise: noise(k) }))[
      "actions"
    ] as NdArray;
    expect(shape).toEqual([h, 8]);
    expect(data).toBeAllclose(own.data as Float64Array, { rtol: 1e-4, atol: 1e-5 });
  };
  const inTurn = async (ask: Client["ask"], from: number) => {
    for (let k = from; k < from + 3; k++) await expectPolicys(ask, k);
  };
  await Promise.all([inTurn(one.ask, 1), inTurn(two.ask, 11)]);
  await server.reload();
  await expectPolicys(one.ask, 7);
  one.close();
  two.close();
  await server.close();
  await policy.release();
});

test("pi0_fast: tokens that are no actions are the middle of each dim, and that is said", async () => {
  const { datasetDir } = await ensureSampleData(join(base, "data"), undefined, { episodes: 2 });
  const fast = join(base, "fast");
  const size = ["--size", "tiny", "--set", "model.imageSize=28", "--set", "model.maxTokenLen=96"];
  const trained = await insula(
    ...[
      "train",
      "pi0_fast_droid",
      "--dataset",
      datasetDir,
      "--log-dir",
      fast,
      "--num-train-steps",
      "1",
      ...size,
    ],
  );
  expect(trained).toMatchObject({ code: 0, err: "" });
  const warnings: string[] = [];
  const options = { checkpoint: fast, host: "127.0.0.1", port: 0, denoiseSteps: 1, maxBatch: 1, threads: 1 };
  const server = await startServer(options, { out() {}, err: (line) => warnings.push(line) });
  const client = await connect(server.url);
  const { data, shape } = await client.ask(1);
  expect(shape).toEqual([10, 8]);
  const { q01, q99 } = (await readNormStats(join(fast, "assets", "droid")))["actions"]!;
  const middle = Array.from(data, (_, i) => (q01![i % 8]! + q99![i % 8]! + 1e-6) / 2);
  expect(data).toBeAllclose(Float64Array.from(middle), { rtol: 1e-5, atol: 1e-6 });
  expect(warnings).toEqual([expect.stringMatching(/^warning: .*the middle of each dim was sent instead$/)]);
  client.close();
  await server.close();
});

test("a certificate without its key is refused", async () => {
  const result = await insula("serve", "--checkpoint", run, "--tls-cert", "cert.pem");
  expect(result.err).toMatch(/--tls-cert and --tls-key belong together.*\[serve\/tls\]/);
});
