/** @file `insula serve`: a checkpoint as a policy server for openpi clients. */

import { readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { configModelType, InsulaError } from "@insula/model-types";
import type { Device, Runtime } from "@insula/ort-session";
import { createPolicyServer, type PolicyServer, type Served } from "@insula/policy-server";
import { assertDevice, makeBackend } from "../backend.js";
import { findCheckpoint, readCheckpointConfig } from "../checkpoint.js";
import { loadPolicy } from "../infer/load-policy.js";
import { type Install, type Io, positiveInt, wholeNumber } from "./command.js";
import { addDeviceOptions } from "./options.js";

interface ServeCommandOptions {
  checkpoint: string;
  host: string;
  port: number;
  token?: string;
  tlsCert?: string;
  tlsKey?: string;
  maxQueue?: number;
  deadlineMs?: number;
  maxBatch: number;
  parallel?: number;
  batchWaitMs?: number;
  maxClients?: number;
  maxMessageMb?: number;
  prompt?: string;
  denoiseSteps: number;
  seed?: number;
  device?: Device;
  runtime?: Runtime;
  threads?: number;
}

export const installServe: Install = (program, io) => {
  addDeviceOptions(program.command("serve"))
    .description("serve a checkpoint to openpi clients; SIGHUP loads it again, SIGTERM drains")
    .requiredOption("--checkpoint <dir>", "a run's folder (its latest step) or one of its checkpoints")
    .option("--host <address>", "address to listen on", "0.0.0.0")
    .option("--port <n>", "port; 0 takes a free one", wholeNumber, 8000)
    .option("--token <text>", "what clients must present as API key (default: $INSULA_TOKEN, or nothing)")
    .option("--tls-cert <file>", "certificate (PEM): wss and https only")
    .option("--tls-key <file>", "its key (PEM)")
    .option("--max-queue <n>", "requests that may wait (default 32)", positiveInt)
    .option("--deadline-ms <n>", "time from a request to its answer (default 10000)", positiveInt)
    .option("--max-batch <n>", "requests computed together", positiveInt, 1)
    .option(
      "--parallel <n>",
      "batches computed at the same time (default: one per core up to 4; 1 on a GPU and with --threads)",
      positiveInt,
    )
    .option("--batch-wait-ms <n>", "how long the first of a batch waits for others (default 2)", wholeNumber)
    .option("--max-clients <n>", "connections at once (default 64)", positiveInt)
    .option("--max-message-mb <n>", "largest message (default 64)", positiveInt)
    .option("--prompt <text>", "the instruction for observations that have none")
    .option("--denoise-steps <n>", "denoising steps", positiveInt, 10)
    .option("--seed <n>", "seed of the noise (default: the run's)", wholeNumber)
    .option("--threads <n>", "threads of ONNX Runtime (default: one per core)", positiveInt)
    .action((options: ServeCommandOptions) => serve(options, io));
};

/** Serve until SIGTERM or SIGINT. */
async function serve(options: ServeCommandOptions, io: Io): Promise<void> {
  const server = await startServer(options, io);
  io.out(`serving ${options.checkpoint} on ${server.url}`);
  const reload = () => void server.reload().catch(() => {}); // the server's log says why
  process.on("SIGHUP", reload);
  await new Promise<void>((resolve) => {
    process.once("SIGTERM", () => resolve());
    process.once("SIGINT", () => resolve());
  });
  await server.close();
  process.off("SIGHUP", reload);
}

/** The server that the command line asks for. */
export async function startServer(options: ServeCommandOptions, io: Io): Promise<PolicyServer> {
  const { tlsCert, tlsKey, maxMessageMb, maxBatch, parallel, seed, threads, prompt } = options;
  if ((tlsCert === undefined) !== (tlsKey === undefined)) {
    throw new InsulaError("serve/tls", "--tls-cert and --tls-key belong together; give both or none");
  }
  const saved = await readCheckpointConfig(await findCheckpoint(options.checkpoint));
  const { device = "cpu", runtime = saved.runtime } = options;
  const backend = makeBackend({ device, runtime, cuda: saved.cuda });
  await assertDevice(backend);
  const load = async (): Promise<Served> => {
    const { policy, config } = await loadPolicy({
      checkpoint: options.checkpoint,
      backend,
      numSteps: options.denoiseSteps,
      batchSizes: maxBatch > 1 ? [1, maxBatch] : [1],
      onNotDecoded: ({ message }) => io.err(`warning: ${message}: the middle of each dim was sent instead`),
      parallel:
        parallel ?? (device === "cpu" && threads === undefined ? Math.min(4, availableParallelism()) : 1),
      ...(seed === undefined ? {} : { seed }),
      ...(threads === undefined ? {} : { threads }),
      ...(prompt === undefined ? {} : { defaultPrompt: prompt }),
    });
    const { actionHorizon, actionDim } = config.model;
    const metadata = {
      config: config.name,
      model_type: configModelType(config.model),
      action_horizon: BigInt(actionHorizon),
      action_dim: BigInt(actionDim),
    };
    return { policy, metadata };
  };
  const token = options.token ?? process.env["INSULA_TOKEN"];
  return createPolicyServer({
    load,
    host: options.host,
    port: options.port,
    ...(token ? { token } : {}),
    ...(tlsCert && tlsKey ? { tls: { cert: await pem(tlsCert), key: await pem(tlsKey) } } : {}),
    ...(maxMessageMb === undefined ? {} : { maxMessageBytes: maxMessageMb * 1024 * 1024 }),
    ...given(options, ["maxQueue", "deadlineMs", "batchWaitMs", "maxClients"]),
  });
}

/** The options that were given. */
function given<K extends keyof ServeCommandOptions>(
  options: ServeCommandOptions,
  keys: readonly K[],
): { [P in K]?: NonNullable<ServeCommandOptions[P]> } {
  const found = keys.filter((key) => options[key] !== undefined).map((key) => [key, options[key]]);
  return Object.fromEntries(found) as { [P in K]?: NonNullable<ServeCommandOptions[P]> };
}

function pem(path: string): Promise<Buffer> {
  return readFile(path).catch((cause: NodeJS.ErrnoException) => {
    throw new InsulaError("serve/tls", `${path}: cannot be read (${cause.code})`, { cause });
  });
}
