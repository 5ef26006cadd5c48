/**
 * @file A policy server that openpi's clients can call (openpi `serving/websocket_policy_server.py`): one model, any
 * number of clients, and an event loop that never waits for the model.
 */
import { createServer as createHttpServer, type IncomingMessage, type Server } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { InsulaError } from "@insula/model-types";
import pino from "pino";
import { type WebSocket, WebSocketServer } from "ws";
import { isAuthorized, isForeignPage } from "./auth.js";
import { type Connection, serveConnection } from "./connection.js";
import { createHttp } from "./http.js";
import { createMetrics } from "./metrics.js";
import { limitsOf, type PolicyServerOptions } from "./options.js";
import { createRecent } from "./recent.js";
import { createScheduler } from "./scheduler.js";
import { createSlot, type Slot } from "./slot.js";

/** A running server. */
export interface PolicyServer {
  /** Where clients connect: `ws://host:port` or `wss://…`. */
  readonly url: string;
  readonly port: number;
  /**
   * Load the policy again. Clients stay connected; requests under way are answered by the old one. Calls that come
   * while a reload is under way wait for that one.
   * @throws what `load` throws; the old policy stays then
   */
  reload(): Promise<void>;
  /** Answer what is under way, for at most `drainMs`, say goodbye to the clients, release the policy. */
  close(): Promise<void>;
}

/**
 * Load the policy and listen.
 * @throws InsulaError `server/listen` when the port cannot be had; what `load` throws
 */
export async function createPolicyServer(options: PolicyServerOptions): Promise<PolicyServer> {
  const limits = limitsOf(options);
  const { token, tls, host = "0.0.0.0", port = 8000 } = options;
  const log = options.log ?? pino({ name: "insula", level: "info" }, pino.destination(2));
  let slot: Slot = createSlot(await options.load());
  let draining = false;
  let reloading: Promise<void> | undefined;
  const connections = new Set<Connection>();
  const recent = createRecent();
  const metrics = createMetrics({ clients: () => connections.size, waiting: () => scheduler.waiting() });
  const scheduler = createScheduler({
    limits,
    slot: () => slot,
    clients: () => connections.size,
    metrics,
  });

  const load = async (): Promise<void> => {
    try {
      const old = slot;
      slot = createSlot(await options.load());
      metrics.reloads.inc({ outcome: "ok" });
      log.info("reloaded the policy");
      old.retire().catch((error: unknown) => log.error(error, "the old policy could not be released"));
    } catch (error) {
      metrics.reloads.inc({ outcome: "failed" });
      log.error(error, "the policy could not be reloaded; the old one stays");
      throw error;
    }
  };
  const reload = (): Promise<void> => {
    reloading ??= load().finally(() => (reloading = undefined));
    return reloading;
  };

  const listener = createHttp({
    token,
    draining: () => draining,
    clients: () => connections.size,
    waiting: () => scheduler.waiting(),
    startedAt: Date.now(),
    metrics,
    recent,
    reload,
  });
  // Who connects and says nothing is cut off.
  const patience = { headersTimeout: 10_000, requestTimeout: 20_000, connectionsCheckingInterval: 5_000 };
  const http: Server = tls
    ? createHttpsServer({ ...tls, ...patience }, listener)
    : createHttpServer(patience, listener);
  http.maxConnections = 2 * limits.maxClients + 16;
  const sockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: limits.maxMessageBytes,
  });

  const accept = (socket: WebSocket): void => {
    metrics.connections.inc({ outcome: "accepted" });
    const parts = { socket, metadata: slot.metadata ?? {}, scheduler, metrics, recent, limits, log };
    const connection = serveConnection(parts);
    connections.add(connection);
    const stopBeating = heartbeat(socket, limits.heartbeatMs);
    socket.once("close", () => {
      stopBeating();
      connections.delete(connection);
    });
  };
  http.on("upgrade", (request: IncomingMessage, stream: Duplex, head: Buffer) => {
    stream.on("error", (error) => log.debug(error, "a connection failed"));
    const refusal = refuse(request, { token, draining, full: connections.size >= limits.maxClients });
    if (refusal) {
      metrics.connections.inc({ outcome: refusal });
      stream.end(`HTTP/1.1 ${refusal}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
      return;
    }
    sockets.handleUpgrade(request, stream, head, accept);
  });

  await listen(http, host, port).catch(async (error: unknown) => {
    await slot.retire();
    throw error;
  });
  const bound = (http.address() as AddressInfo).port;
  const url = `${tls ? "wss" : "ws"}://${host.includes(":") ? `[${host}]` : host}:${bound}`;
  log.info({ url, maxBatch: slot.policy.maxBatch, token: token !== undefined }, "serving");

  const shut = async (): Promise<void> => {
    draining = true;
    log.info({ clients: connections.size }, "draining");
    const closed = new Promise<void>((resolve) => http.close(() => resolve()));
    const timer = setTimeout(() => {
      for (const { socket } of connections) socket.terminate();
    }, limits.drainMs);
    await Promise.all([...connections].map((connection) => connection.drain()));
    clearTimeout(timer);
    http.closeAllConnections();
    await closed;
    await reloading?.catch(() => {});
    await slot.retire();
    log.info("closed");
  };
  let closing: Promise<void> | undefined;
  return {
    url,
    port: bound,
    reload,
    close: () => (closing ??= shut()),
  };
}

/** The status line with which an upgrade is refused, if it is. */
function refuse(
  request: IncomingMessage,
  state: { token: string | undefined; draining: boolean; full: boolean },
): string | undefined {
  if (isForeignPage(request)) return "403 Forbidden";
  if (!isAuthorized(request, state.token)) return "401 Unauthorized";
  return state.draining || state.full ? "503 Service Unavailable" : undefined;
}

/** Ping; cut off who has not answered by the next one. Returns how to stop. */
function heartbeat(socket: WebSocket, everyMs: number): () => void {
  let alive = true;
  socket.on("pong", () => (alive = true));
  socket.on("message", () => (alive = true));
  const timer = setInterval(() => {
    if (!alive && !socket.isPaused) socket.terminate();
    alive = false;
    if (socket.readyState === socket.OPEN) socket.ping();
  }, everyMs);
  return () => clearInterval(timer);
}

function listen(http: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    http.once("error", (cause: NodeJS.ErrnoException) => {
      const why = cause.code === "EADDRINUSE" ? "the port is in use" : cause.message;
      reject(new InsulaError("server/listen", `cannot listen on ${host}:${port}: ${why}`, { cause }));
    });
    http.listen(port, host, () => resolve());
  });
}
