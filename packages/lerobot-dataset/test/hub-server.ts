/**
 * @file A server that plays the Hugging Face hub for one dataset repository: revisions, trees, path information,
 * files with ranges.
 */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface HubServer {
  readonly url: string;
  /** Path → contents, at the head of `main`. */
  readonly files: Map<string, Uint8Array>;
  /** Paths that are stored as large files: named by SHA-256, and redirected to another address. */
  readonly large: Set<string>;
  /** Names that its trees list besides. */
  readonly extra: string[];
  /** Commit of `main`. */
  commit: string;
  /** `METHOD path range` of every request. */
  readonly log: string[];
  /** With a token, requests without it are denied. */
  token?: string;
  /** Send only so many bytes of a file, then break the connection; once per entry. */
  readonly cuts: number[];
  /** Close the connection instead of answering: the numbers of such requests, from 0, `log`'s indices. */
  readonly drops: Set<number>;
  /** Send these bytes in place of a file's. */
  corrupt?: (bytes: Uint8Array) => Uint8Array;
  /** Answer ranges with the whole file. */
  ignoreRanges: boolean;
  close(): Promise<void>;
}

export const REPO = "robots/cups";

export async function startHub(files: Record<string, Uint8Array | string>): Promise<HubServer> {
  const server: Server = createServer((request, response) => {
    const chunks: Uint8Array[] = [];
    request.on("data", (chunk: Uint8Array) => chunks.push(chunk));
    request.on("end", () => answer(request, response, Buffer.concat(chunks).toString()));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const hub: HubServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    files: new Map(Object.entries(files).map(([path, content]) => [path, Buffer.from(content)])),
    large: new Set(),
    extra: [],
    commit: "a".repeat(40),
    log: [],
    cuts: [],
    drops: new Set(),
    ignoreRanges: false,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };

  function answer(request: IncomingMessage, response: ServerResponse, body: string): void {
    const path = decodeURIComponent(new URL(request.url!, hub.url).pathname);
    hub.log.push(`${request.method} ${path} ${request.headers.range ?? ""}`.trim());
    if (hub.drops.has(hub.log.length - 1)) {
      request.socket.destroy();
      return;
    }
    if (hub.token !== undefined && request.headers.authorization !== `Bearer ${hub.token}`) {
      json(response, 401, { error: "Invalid username or password." });
      return;
    }
    const dataset = `/api/datasets/${REPO}`;
    if (path.startsWith(`${dataset}/revision/`) && known(path.slice(`${dataset}/revision/`.length))) {
      json(response, 200, { _id: "1", id: REPO, sha: hub.commit });
      return;
    }
    if (path === `${dataset}/paths-info/${hub.commit}`) {
      const { paths } = JSON.parse(body) as { paths: string[] };
      json(response, 200, paths.filter((name) => hub.files.has(name)).map(pathInfo));
      return;
    }
    const tree = `${dataset}/tree/${hub.commit}/`;
    if (path.startsWith(tree)) {
      const names = [...hub.files.keys()].filter((name) => name.startsWith(`${path.slice(tree.length)}/`));
      json(response, 200, [...names, ...hub.extra].map(pathInfo));
      return;
    }
    const resolved = `/datasets/${REPO}/resolve/${hub.commit}/`;
    const cdn = "/cdn/";
    const name = path.startsWith(resolved) ? path.slice(resolved.length) : path.slice(cdn.length);
    const bytes = hub.files.get(name);
    if ((path.startsWith(resolved) || path.startsWith(cdn)) && bytes) {
      if (hub.large.has(name) && path.startsWith(resolved)) {
        response.writeHead(302, { Location: `${cdn}${name}` });
        response.end();
        return;
      }
      sendFile(request, response, bytes);
      return;
    }
    json(response, 404, { error: "Repository or revision not found" });
  }

  const known = (revision: string): boolean => ["main", "v1", hub.commit].includes(revision);

  function pathInfo(path: string): object {
    const bytes = hub.files.get(path) ?? Buffer.from("x");
    const oid = createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
    const lfs = {
      oid: createHash("sha256").update(bytes).digest("hex"),
      size: bytes.length,
      pointerSize: 134,
    };
    return { type: "file", path, size: bytes.length, oid, ...(hub.large.has(path) ? { lfs } : {}) };
  }

  function sendFile(request: IncomingMessage, response: ServerResponse, content: Uint8Array): void {
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
    const sent = hub.corrupt?.(content) ?? content;
    const probe = range?.[2] === "0";
    const ranged = range && (probe || !hub.ignoreRanges);
    const part = ranged ? sent.subarray(Number(range[1]), Number(range[2]) + 1) : sent;
    response.writeHead(ranged ? 206 : 200, {
      ETag: '"e"',
      "Content-Length": part.length,
      ...(ranged ? { "Content-Range": `bytes ${range[1]}-${range[2]}/${content.length}` } : {}),
    });
    const cut = probe ? undefined : hub.cuts.shift();
    if (cut === undefined) response.end(part);
    else response.write(part.subarray(0, cut), () => setTimeout(() => response.destroy(), 20));
  }
  return hub;
}

function json(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(value));
}
