/**
 * @file The simple repository API (PEP 503 and PEP 691): the wheels of a project, with their digests.
 */
import { InsulaError } from "@insula/model-types";
import { type Wheel, wheelMachine } from "./wheels.js";

/** A file that the index lists. */
export interface IndexedFile {
  filename: string;
  url: string;
  sha256: string;
  /** Bytes; indexes that answer in HTML do not say. */
  size?: number;
  /** Sent along when it is fetched; an index that asks for a name and a password asks for them again. */
  headers?: Record<string, string>;
}

const JSON_TYPE = "application/vnd.pypi.simple.v1+json";

/**
 * Find a wheel for this machine on the index. Any Python's will do: what is taken out of it does not depend on it.
 * @param has whether a file of this name need not be downloaded; such a one is preferred.
 * @throws InsulaError `cuda/offline` when the index cannot be reached, `cuda/index` when it has no such wheel or
 *   no digest of it.
 */
export async function findWheel(
  index: string,
  { project, version }: Wheel,
  has: (filename: string) => boolean = () => false,
  machine: string = wheelMachine(),
): Promise<IndexedFile> {
  const files = await listProject(index, project);
  const start = `${project.replaceAll("-", "_")}-${version}-`;
  const tag = new RegExp(`-(many)?linux[\\w.]*_${machine}\\.whl$`);
  const fitting = files.filter(({ filename }) => normalise(filename).startsWith(start) && tag.test(filename));
  const wheel = fitting.find(({ filename }) => has(filename)) ?? fitting.at(-1);
  if (!wheel) {
    throw new InsulaError(
      "cuda/index",
      `${index}/${project}/: expected a wheel ${start}…_${machine}.whl, found none among ${files.length} files`,
    );
  }
  if (!/^[0-9a-f]{64}$/.test(wheel.sha256)) {
    throw new InsulaError(
      "cuda/index",
      `${index}/${project}/: ${wheel.filename} has no sha256, and is not installed without one`,
    );
  }
  return wheel;
}

/** Names may be written with dots or dashes. */
const normalise = (filename: string): string => {
  const [name = "", ...rest] = filename.split("-");
  return [name.toLowerCase().replaceAll(/[-_.]+/g, "_"), ...rest].join("-");
};

async function listProject(index: string, project: string): Promise<IndexedFile[]> {
  const address = `${index}/${project}/`;
  const response = await request(address, { accept: `${JSON_TYPE}, text/html;q=0.1` });
  const type = response.headers.get("content-type") ?? "";
  const text = await response.text();
  const files = type.includes("json") ? fromJson(text, response.url) : fromHtml(text, response.url);
  const { headers } = withoutCredentials(address);
  const { origin } = new URL(address);
  // Not to other hosts, to which an index may lead.
  return files.map((file) => (new URL(file.url).origin === origin ? { ...file, headers } : file));
}

function fromJson(text: string, base: string): IndexedFile[] {
  interface Listed {
    filename: string;
    url: string;
    hashes?: { sha256?: string };
    size?: number;
    yanked?: boolean | string;
  }
  let files: Listed[] | undefined;
  try {
    files = (JSON.parse(text) as { files?: Listed[] }).files;
  } catch {
    // Reported below.
  }
  if (!Array.isArray(files))
    throw new InsulaError("cuda/index", `${base}: expected a list of files, found none`);
  return files
    .filter(({ yanked }) => !yanked)
    .map(({ filename, url, hashes, size }) => ({
      filename,
      url: new URL(url, base).href,
      sha256: hashes?.sha256 ?? "",
      ...(size === undefined ? {} : { size }),
    }));
}

function fromHtml(text: string, base: string): IndexedFile[] {
  const links = text.matchAll(/<a\b([^>]*)>([^<]*)<\/a>/gi);
  return [...links].flatMap(([, attributes = "", filename = ""]) => {
    const href = /\bhref\s*=\s*["']([^"']*)["']/i.exec(attributes)?.[1];
    if (!href || /\bdata-yanked\b/i.test(attributes)) return [];
    const url = new URL(href.replaceAll("&amp;", "&"), base);
    const sha256 = /sha256=([0-9a-f]{64})/.exec(url.hash)?.[1] ?? "";
    url.hash = "";
    return [{ filename: filename.trim(), url: url.href, sha256 }];
  });
}

/** GET. @throws InsulaError `cuda/offline` naming the address when there is no answer, or not a good one. */
export async function request(
  address: string,
  headers: Record<string, string>,
  signal?: AbortSignal,
): Promise<Response> {
  const { url, headers: authorization } = withoutCredentials(address);
  let response: Response;
  try {
    response = await fetch(url, { headers: { ...authorization, ...headers }, ...(signal ? { signal } : {}) });
  } catch (cause) {
    if (signal?.aborted) throw cause;
    const { message, cause: inner } = cause as Error;
    throw new InsulaError(
      "cuda/offline",
      `${url} does not answer: ${(inner as Error | undefined)?.message ?? message}. ${OFFLINE}`,
      { cause },
    );
  }
  if (response.ok) return response;
  await response.body?.cancel();
  throw new InsulaError(
    "cuda/offline",
    `${url} answers ${response.status} ${response.statusText}. ${OFFLINE}`,
  );
}

/** What to do without a connection. */
const OFFLINE =
  "PIP_INDEX_URL names another index; PIP_FIND_LINKS a folder of wheels that need not be downloaded again";

/** fetch refuses addresses with a name and password in them. */
function withoutCredentials(address: string): { url: string; headers: Record<string, string> } {
  const url = new URL(address);
  const { username, password } = url;
  if (!username && !password) return { url: url.href, headers: {} };
  url.username = url.password = "";
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { url: url.href, headers: { authorization: `Basic ${Buffer.from(pair).toString("base64")}` } };
}
