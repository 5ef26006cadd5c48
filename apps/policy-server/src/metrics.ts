/** @file What the server counts, for Prometheus. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

/** One server's metrics, in a registry of their own. */
export interface Metrics {
  /** By outcome: `ok` or the error's code. */
  requests: Counter<"outcome">;
  /** From a request's arrival to its answer. */
  requestSeconds: Histogram;
  queueSeconds: Histogram;
  modelSeconds: Histogram;
  batchSize: Histogram;
  /** By outcome: `ok` or `failed`. */
  reloads: Counter<"outcome">;
  /** Connections ever accepted, and refused by reason. */
  connections: Counter<"outcome">;
  /** Prometheus's text format. */
  text(): Promise<string>;
  readonly contentType: string;
}

const LATENCY = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export function createMetrics(now: { clients(): number; waiting(): number }): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry, prefix: "insula_" });
  const gauge = (name: string, help: string, value: () => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(value());
      },
    });
  gauge("insula_clients", "Connected clients", now.clients);
  gauge("insula_queue_length", "Requests that wait for the model", now.waiting);
  const seconds = (name: string, help: string) => new Histogram({ name, help, buckets: LATENCY, registers });
  const counter = (name: string, help: string) =>
    new Counter({ name, help, labelNames: ["outcome"] as const, registers });
  return {
    requests: counter("insula_requests_total", "Requests answered, by outcome"),
    requestSeconds: seconds("insula_request_seconds", "From arrival to answer"),
    queueSeconds: seconds("insula_queue_seconds", "Transforms and waiting for the model"),
    modelSeconds: seconds("insula_model_seconds", "A batch in the model"),
    batchSize: new Histogram({
      name: "insula_batch_size",
      help: "Requests computed together",
      buckets: [1, 2, 4, 8, 16],
      registers,
    }),
    reloads: counter("insula_reloads_total", "Checkpoint reloads, by outcome"),
    connections: counter("insula_connections_total", "Connections, by outcome"),
    text: () => registry.metrics(),
    contentType: registry.contentType,
  };
}
