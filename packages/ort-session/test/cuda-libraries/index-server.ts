/** @file A package index on this machine: the simple API in JSON or HTML, files with ranges, and connections that break. */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface ServedWheel {
  project: string;
  filename: string;
  bytes: Buffer;
  /** Digest on the index, instead of the true one. */
  sha256?: string;
  yanked?: boolean;
}

export interface IndexServer {
  /** Address of the index. */
  index: string;
  /** Requests so far: `GET /simple/x/`, `GET /files/x.whl bytes=10-`. */
  requests: string[];
  /** The next answers with files stop after so many bytes, one entry per answer. */
  breakAfter: number[];
  close(): Promise<void>;
}

export interface ServerOptions {
  html?: boolean;
  ranges?: boolean;
  /** `name:password` that is asked for. */
  credentials?: string;
}

const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");

export async function serveIndex(
  wheels: readonly ServedWheel[],
  { html = false, ranges = true, credentials }: ServerOptions = {},
): Promise<IndexServer> {
  const requests: string[] = [];
  const breakAfter: number[] = [];
  const answer = (request: IncomingMessage, response: ServerResponse) => {
    const { url = "/", headers } = request;
    requests.push(`GET ${url}${headers.range ? ` ${headers.range}` : ""}`);
    if (credentials && headers.authorization !== `Basic ${Buffer.from(credentials).toString("base64")}`) {
      response.writeHead(401).end();
      return;
    }
    const project = /^\/simple\/([^/]+)\/$/.exec(url)?.[1];
    const listed = wheels.filter((w) => w.project === project);
    if (project !== undefined && listed.length > 0) sendProject(response, listed, html);
    else {
      const wheel = wheels.find((w) => url === `/files/${w.filename}`);
      if (wheel) sendFile(response, wheel.bytes, ranges ? headers.range : undefined, breakAfter.shift());
      else response.writeHead(404).end();
    }
  };
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    index: `http://${credentials ? `${credentials}@` : ""}127.0.0.1:${port}/simple`,
    requests,
    breakAfter,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

function sendProject(response: ServerResponse, wheels: readonly ServedWheel[], html: boolean): void {
  const digest = (w: ServedWheel) => w.sha256 ?? sha256(w.bytes);
  if (html) {
    const links = wheels.map(
      (w) =>
        `<a href="../../files/${w.filename}#sha256=${digest(w)}"${w.yanked ? ' data-yanked=""' : ""}>${w.filename}</a><br/>`,
    );
    response.writeHead(200, { "content-type": "text/html" });
    response.end(`<!DOCTYPE html><html><body>${links.join("\n")}</body></html>`);
    return;
  }
  const files = wheels.map((w) => ({
    filename: w.filename,
    url: `../../files/${w.filename}`,
    hashes: { sha256: digest(w) },
    size: w.bytes.length,
    yanked: w.yanked ?? false,
  }));
  response.writeHead(200, { "content-type": "application/vnd.pypi.simple.v1+json" });
  response.end(JSON.stringify({ meta: { "api-version": "1.1" }, files }));
}

function sendFile(
  response: ServerResponse,
  bytes: Buffer,
  range: string | undefined,
  stopAfter: number | undefined,
): void {
  const start = Number(/^bytes=(\d+)-$/.exec(range ?? "")?.[1] ?? 0);
  const body = bytes.subarray(start);
  response.writeHead(range ? 206 : 200, { "content-length": body.length });
  if (stopAfter === undefined) response.end(body);
  else response.write(body.subarray(0, stopAfter), () => setTimeout(() => response.destroy(), 50));
}
