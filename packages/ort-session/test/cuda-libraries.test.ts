/** @file Installing from an index on this machine: what arrives, what is continued, what is refused. */
import { createHash, randomBytes } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { bundledLibraryDir, onnxRuntimeVersion } from "../src/capi/library.js";
import { cudaInstallation, type InstallOptions, installCudaLibraries } from "../src/cuda-libraries/index.js";
import type { Wheel } from "../src/cuda-libraries/wheels.js";
import {
  type IndexServer,
  type ServedWheel,
  type ServerOptions,
  serveIndex,
} from "./cuda-libraries/index-server.js";
import { type Member, zip } from "./cuda-libraries/zip-writer.js";

const base = mkdtempSync(join(tmpdir(), "insula-cuda-"));
afterAll(() => rmSync(base, { recursive: true }));
const servers: IndexServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

const machine = process.arch === "arm64" ? "aarch64" : "x86_64";
const provider = randomBytes(300_000);
const cudart = randomBytes(50_000);

const PROVIDER: Wheel = {
  project: "onnxruntime-gpu",
  version: "1.2.3",
  files: ["libonnxruntime_providers_shared.so", "libonnxruntime_providers_cuda.so"],
  unpackedBytes: 300_010,
  into: "provider",
};
const CUDART: Wheel = {
  project: "nvidia-cuda-runtime",
  version: "13.0",
  files: ["libcudart.so.13"],
  unpackedBytes: 50_000,
  into: "lib",
};
const WHEELS = [PROVIDER, CUDART];

const providerMembers: Member[] = [
  { name: "onnxruntime/__init__.py", bytes: Buffer.from("raise SystemExit") },
  { name: "onnxruntime/capi/libonnxruntime_providers_cuda.so", bytes: provider },
  { name: "onnxruntime/capi/libonnxruntime_providers_shared.so", bytes: Buffer.from("shared"), stored: true },
];
const providerWheel = (members: readonly Member[] = providerMembers): ServedWheel => ({
  project: "onnxruntime-gpu",
  filename: `onnxruntime_gpu-1.2.3-cp312-cp312-manylinux_2_28_${machine}.whl`,
  bytes: zip(members),
});
const cudartWheel: ServedWheel = {
  project: "nvidia-cuda-runtime",
  filename: `nvidia_cuda_runtime-13.0-py3-none-manylinux2014_${machine}.manylinux_2_17_${machine}.whl`,
  bytes: zip([{ name: "nvidia/cu13/lib/libcudart.so.13", bytes: cudart }], { comment: "a comment" }),
};

let count = 0;
/** An index, a folder to install to, and the installation. */
async function setUp(
  wheels: readonly ServedWheel[] = [providerWheel(), cudartWheel],
  options?: ServerOptions,
) {
  const server = await serveIndex(wheels, options);
  servers.push(server);
  const dir = join(base, `dir-${count++}`, "cuda");
  const install = (more: InstallOptions = {}) =>
    installCudaLibraries({ dir, wheels: WHEELS, sources: { index: server.index, folders: [] }, ...more });
  return { server, dir, install };
}

const digest = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

test.each([
  ["JSON", {}],
  ["HTML", { html: true }],
  ["HTML, a name and a password", { html: true, credentials: "me:s3cret" }],
])("everything arrives whole from an index in %s", async (_, options) => {
  const { dir, install } = await setUp(undefined, options);
  const lines: string[] = [];
  const { changed, downloaded, manifest } = await install({ log: (line) => lines.push(line) });
  expect(changed).toBe(true);
  expect(downloaded).toBeGreaterThan(0);
  expect(readdirSync(dir, { recursive: true }).sort()).toEqual([
    "lib",
    "lib/libcudart.so.13",
    "libonnxruntime.so.1",
    "libonnxruntime_providers_cuda.so",
    "libonnxruntime_providers_shared.so",
    "manifest.json",
  ]);
  expect(readFileSync(join(dir, "libonnxruntime_providers_cuda.so")).equals(provider)).toBe(true);
  expect(readFileSync(join(dir, "lib/libcudart.so.13")).equals(cudart)).toBe(true);
  expect(statSync(join(dir, "libonnxruntime.so.1")).size).toBe(
    statSync(join(bundledLibraryDir(), "libonnxruntime.so.1")).size,
  );
  expect(existsSync(`${dir}.partial`)).toBe(false);
  expect(JSON.parse(readFileSync(join(dir, "manifest.json"), "utf8"))).toEqual(manifest);
  expect(JSON.stringify(manifest)).not.toContain("s3cret");
  expect(manifest.onnxRuntime).toBe(onnxRuntimeVersion());
  expect(manifest.files.find((f) => f.path === "lib/libcudart.so.13")).toEqual({
    path: "lib/libcudart.so.13",
    size: cudart.length,
    sha256: digest(cudart),
    wheel: cudartWheel.filename,
  });
  expect(manifest.wheels.map((w) => w.sha256)).toEqual([
    digest(providerWheel().bytes),
    digest(cudartWheel.bytes),
  ]);
  expect(cudaInstallation(dir).state).toBe("complete");
  expect(lines).toHaveLength(2);
});

test("a second time nothing is asked for; a file that went is put back, from what is kept", async () => {
  const { server, dir, install } = await setUp();
  await install();
  server.requests.length = 0;
  expect(await install()).toMatchObject({ changed: false, downloaded: 0 });
  expect(server.requests).toEqual([]);
  rmSync(join(dir, "lib/libcudart.so.13"));
  expect(cudaInstallation(dir)).toMatchObject({ state: "incomplete", missing: ["lib/libcudart.so.13"] });
  expect(await install()).toMatchObject({ changed: true });
  expect(server.requests.filter((r) => r.includes("onnxruntime"))).toEqual([]);
  expect(cudaInstallation(dir).state).toBe("complete");
});

test("the provider alone, and CUDA's libraries added later", async () => {
  const { server, dir, install } = await setUp();
  await install({ providerOnly: true });
  expect(cudaInstallation(dir).state).toBe("provider");
  expect(readdirSync(join(dir, "lib"))).toEqual([]);
  expect(server.requests.some((r) => r.includes("nvidia"))).toBe(false);
  server.requests.length = 0;
  await install();
  expect(cudaInstallation(dir).state).toBe("complete");
  expect(server.requests.some((r) => r.includes("onnxruntime"))).toBe(false);
});

test("a connection that breaks is taken up again where it broke", async () => {
  const { server, dir, install } = await setUp();
  server.breakAfter.push(100_000, 50_000);
  await install();
  const wheel = providerWheel().filename;
  expect(server.requests.filter((r) => r.includes(wheel))).toEqual([
    `GET /files/${wheel}`,
    expect.stringMatching(/ bytes=\d+-$/),
    expect.stringMatching(/ bytes=\d+-$/),
  ]);
  expect(cudaInstallation(dir).state).toBe("complete");
});

test("stopped in the middle, the next run continues; a server without ranges sends all again", async () => {
  for (const ranges of [true, false]) {
    const { server, dir, install } = await setUp(undefined, { ranges });
    const controller = new AbortController();
    server.breakAfter.push(150_000);
    const stop = (_: string, received: number) => received > 50_000 && controller.abort(new Error("stopped"));
    await expect(install({ signal: controller.signal, onProgress: stop })).rejects.toThrow();
    expect(existsSync(dir)).toBe(false);
    server.requests.length = 0;
    server.breakAfter.length = 0;
    await install();
    expect(server.requests.some((r) => / bytes=[1-9]/.test(r))).toBe(true);
    expect(cudaInstallation(dir).state).toBe("complete");
  }
});

test("a wheel that is on disk already is used when it is the very one", async () => {
  const { server, install } = await setUp();
  const folder = join(base, "wheels");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, providerWheel().filename), providerWheel().bytes);
  writeFileSync(join(folder, cudartWheel.filename), "another file");
  const lines: string[] = [];
  await install({ sources: { index: server.index, folders: [folder] }, log: (line) => lines.push(line) });
  expect(server.requests.filter((r) => r.includes("/files/"))).toEqual([
    `GET /files/${cudartWheel.filename}`,
  ]);
  expect(lines.join()).toContain("is not the file that the index lists");
});

test("a digest that does not agree: nothing is installed, nothing is kept", async () => {
  const { dir, install } = await setUp([{ ...providerWheel(), sha256: "0".repeat(64) }, cudartWheel]);
  await expect(install()).rejects.toMatchObject({ code: "cuda/corrupt" });
  expect(existsSync(dir)).toBe(false);
  expect(readdirSync(`${dir}.partial`).filter((name) => name.includes(".whl"))).toEqual([]);
});

test("an installation stays as it is when a new one fails", async () => {
  const { server, dir, install } = await setUp();
  await install();
  const before = readFileSync(join(dir, "manifest.json"), "utf8");
  await server.close();
  await expect(install({ wheels: [{ ...PROVIDER, version: "1.2.4" }] })).rejects.toMatchObject({
    code: "cuda/offline",
  });
  expect(readFileSync(join(dir, "manifest.json"), "utf8")).toBe(before);
  expect(cudaInstallation(dir).state).toBe("complete");
});

describe("refused with a code and a remedy", () => {
  test.each<[string, readonly ServedWheel[], string, RegExp]>([
    ["a project that is not there", [cudartWheel], "cuda/offline", /answers 404.*PIP_INDEX_URL/],
    [
      "a yanked wheel",
      [{ ...providerWheel(), yanked: true }],
      "cuda/index",
      /expected a wheel onnxruntime_gpu-1\.2\.3-/,
    ],
    [
      "only wheels of another machine",
      [{ ...providerWheel(), filename: "onnxruntime_gpu-1.2.3-cp312-cp312-win_amd64.whl" }],
      "cuda/index",
      /found none among 1 files/,
    ],
    ["no digest", [{ ...providerWheel(), sha256: "" }], "cuda/index", /has no sha256/],
    [
      "no zip",
      [{ ...providerWheel(), bytes: Buffer.from("<html>login</html>".repeat(9)) }],
      "cuda/wheel",
      /no end record/,
    ],
    [
      "a wheel without the library",
      [providerWheel(providerMembers.slice(0, 2))],
      "cuda/wheel",
      /expected one libonnxruntime_providers_shared\.so in it, found 0/,
    ],
    [
      "two libraries of a name",
      [providerWheel([...providerMembers, { name: "b/libonnxruntime_providers_shared.so", bytes: cudart }])],
      "cuda/wheel",
      /found 2/,
    ],
    [
      "a name that leads out of the archive",
      [
        providerWheel([
          ...providerMembers.slice(0, 2),
          { name: "../../libonnxruntime_providers_shared.so", bytes: cudart },
        ]),
      ],
      "cuda/wheel",
      /found 0/,
    ],
    [
      "a member that unpacks to more than it says",
      [providerWheel(lie({ size: 10 }))],
      "cuda/wheel",
      /more than its 10 bytes/,
    ],
    [
      "a member that unpacks to less",
      [providerWheel(lie({ size: 300_001 }))],
      "cuda/wheel",
      /expected 300001 bytes/,
    ],
    ["another checksum", [providerWheel(lie({ crc: 1 }))], "cuda/wheel", /another checksum/],
    ["an unknown compression", [providerWheel(lie({ method: 14 }))], "cuda/wheel", /method 14/],
    [
      "what is called deflated and is not",
      [providerWheel(lie({ method: 8 }, true))],
      "cuda/wheel",
      /providers_cuda\.so: /,
    ],
    ["encryption", [providerWheel(lie({ flags: 1 }))], "cuda/wheel", /encrypted/],
    [
      "a member outside of the file",
      [providerWheel(lie({ offset: 0x7fffffff }))],
      "cuda/wheel",
      /lies outside/,
    ],
    ["a member that begins elsewhere", [providerWheel(lie({ offset: 7 }))], "cuda/wheel", /no local header/],
    [
      "a file that is cut off",
      [{ ...providerWheel(), bytes: providerWheel().bytes.subarray(0, 200_000) }],
      "cuda/wheel",
      /cut off/,
    ],
  ])("%s", async (_, wheels, code, message) => {
    const { dir, install } = await setUp(wheels);
    const error = await install().catch((e: Error) => e);
    expect(error).toMatchObject({ code });
    expect((error as Error).message).toMatch(message);
    expect(existsSync(dir)).toBe(false);
    const left = existsSync(`${dir}.partial`) ? readdirSync(`${dir}.partial`, { recursive: true }) : [];
    expect(left.filter((name) => `${name}`.endsWith("providers_cuda.so"))).toEqual([]);
  });

  test("a disk that is too full", async () => {
    const { install } = await setUp();
    await expect(install({ wheels: [{ ...PROVIDER, unpackedBytes: 2 ** 60 }] })).rejects.toMatchObject({
      code: "cuda/disk",
      message: expect.stringMatching(/GB are needed, .* GB are free; --dir/),
    });
  });

  test("another process that installs there; not one that is gone", async () => {
    const { dir, install } = await setUp();
    mkdirSync(`${dir}.partial`, { recursive: true });
    writeFileSync(join(`${dir}.partial`, ".lock"), `${process.pid}`);
    await expect(install()).rejects.toMatchObject({ code: "cuda/busy" });
    writeFileSync(join(`${dir}.partial`, ".lock"), "999999999");
    expect(await install()).toMatchObject({ changed: true });
  });

  test("a folder that cannot be made", async () => {
    const { install } = await setUp();
    const file = join(base, "a-file");
    writeFileSync(file, "");
    await expect(install({ dir: join(file, "cuda") })).rejects.toMatchObject({ code: "cuda/dir" });
  });
});

/** The provider's wheel with a lie about its first library. */
function lie(lies: NonNullable<Member["lies"]>, stored = false): Member[] {
  const [init, cuda, shared] = providerMembers as [Member, Member, Member];
  // The shared library comes first in what is unpacked, and is honest.
  return [init, { ...cuda, lies, stored }, shared];
}
