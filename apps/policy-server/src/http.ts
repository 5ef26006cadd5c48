/**
 * @file What is answered over plain HTTP: `/healthz` as openpi, `/metrics`, `POST /reload`, and the status page with
 * its data. Nothing here reads a file or takes a path from a client.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { isAuthorized } from "./auth.js";
import type { Metrics } from "./metrics.js";
import type { Recent } from "./recent.js";
import { STATUS_PAGE, STATUS_PAGE_POLICY } from "./status/page.js";

export interface HttpParts {
  token: string | undefined;
  draining(): boolean;
  clients(): number;
  waiting(): number;
  startedAt: number;
  metrics: Metrics;
  recent: Recent;
  reload(): Promise<void>;
}

type Answer = [status: number, body: string | Uint8Array, headers?: Record<string, string>];

const TEXT = { "content-type": "text/plain; charset=utf-8" };
const JSON_TYPE = { "content-type": "application/json" };
const SAFE = { "cache-control": "no-store", "x-content-type-options": "nosniff" };

/** A request listener. */
export function createHttp(parts: HttpParts): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    request.resume(); // bodies are not looked at
    const failed = (error: Error): Answer => [500, `${error.message}\n`];
    void answer(parts, request)
      .catch(failed)
      .then(([status, body, headers = TEXT]) => {
        response.writeHead(status, { ...SAFE, ...headers, "content-length": Buffer.byteLength(body) });
        response.end(request.method === "HEAD" ? undefined : body);
      });
  };
}

async function answer(parts: HttpParts, request: IncomingMessage): Promise<Answer> {
  const [path = "/", query] = (request.url ?? "/").split("?", 2);
  if (path === "/healthz") return parts.draining() ? [503, "draining\n"] : [200, "OK\n"];
  if (path === "/" && isRead(request)) {
    return [200, STATUS_PAGE, { ...STATUS_PAGE_POLICY, "content-type": "text/html; charset=utf-8" }];
  }
  if (!["/status.json", "/camera", "/metrics", "/reload"].includes(path)) return [404, "not found\n"];
  if (!isAuthorized(request, parts.token)) {
    return [401, "the token is missing or wrong\n", { ...TEXT, "www-authenticate": "Bearer" }];
  }
  if (path === "/reload") return reload(parts, request);
  if (!isRead(request)) return [405, "GET only\n", { ...TEXT, allow: "GET, HEAD" }];
  if (path === "/status.json") return [200, JSON.stringify(status(parts)), JSON_TYPE];
  if (path === "/metrics") {
    return [200, await parts.metrics.text(), { "content-type": parts.metrics.contentType }];
  }
  return camera(parts, new URLSearchParams(query).get("name") ?? "");
}

const isRead = ({ method }: IncomingMessage): boolean => method === "GET" || method === "HEAD";

async function reload({ token, ...parts }: HttpParts, { method }: IncomingMessage): Promise<Answer> {
  if (token === undefined) return [403, "reload over HTTP needs a server with a token; or send SIGHUP\n"];
  if (method !== "POST") return [405, "POST only\n", { ...TEXT, allow: "POST" }];
  try {
    await parts.reload();
    return [200, "reloaded\n"];
  } catch (error) {
    return [500, `not reloaded, the old policy stays: ${(error as Error).message}\n`];
  }
}

function status({ recent, ...parts }: HttpParts): object {
  return {
    uptimeSeconds: (Date.now() - parts.startedAt) / 1000,
    clients: parts.clients(),
    waiting: parts.waiting(),
    answered: recent.answered(),
    latencies: recent.latencies(),
    cameras: recent.cameras(),
    actions: recent.actions(),
  };
}

/** Raw pixels, `[h, w, 3]`: the page paints them on a canvas. */
function camera({ recent }: HttpParts, name: string): Answer {
  const image = recent.camera(name);
  if (!image) return [404, "no such camera\n"];
  const [height, width] = image.shape;
  return [
    200,
    image.data as Uint8Array,
    { "content-type": "application/octet-stream", "x-height": String(height), "x-width": String(width) },
  ];
}
