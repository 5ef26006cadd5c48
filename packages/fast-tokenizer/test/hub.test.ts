/** Tokenizers by the name of a repository, against a server that plays the hub. */
import {
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { InsulaError } from "@insula/model-types";
import { describeShared, sharedPath } from "@insula/test-kit";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { fitFastTokenizer, makeByteTokenizer, sentencePieceTokenizer } from "../src/index.js";
import { type HubOptions, loadFastTokenizer, loadTextTokenizer } from "../src/node.js";
import { type HubServer, REPO, startHub } from "./hub-server.js";
import { random, smoothChunk } from "./shared-fast.js";

const next = random(7);
const chunks = Array.from({ length: 60 }, () => smoothChunk(16, 4, next));
const fitted = fitFastTokenizer(chunks, { vocabSize: 400 });

let hub: HubServer;
let cacheDir = "";
beforeEach(async () => {
  cacheDir = mkdtempSync(join(tmpdir(), "insula-hub-"));
  hub = await startHub({
    "tokenizer.json": JSON.stringify(fitted.tokenizer),
    "processor_config.json": JSON.stringify(fitted.config),
    "text/byte.json": JSON.stringify(makeByteTokenizer({ pieces: ["cup"] })),
  });
  for (const name of ["HF_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"]) {
    vi.stubEnv(name, undefined);
  }
  vi.stubEnv("HF_HOME", join(cacheDir, "home"));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await hub.close();
  rmSync(cacheDir, { recursive: true });
});

const options = (more: HubOptions = {}): { hub: HubOptions } => ({
  hub: { endpoint: hub.url, cacheDir, ...more },
});
const failure = (run: Promise<unknown>): Promise<InsulaError> =>
  run.then(
    () => expect.unreachable("it loaded"),
    (error: InsulaError) => error,
  );
const repoDir = (...path: string[]): string => join(cacheDir, "models--robots--fast", ...path);
/** The blob that a file of the snapshot links to. */
const blobNames = (): string[] => readdirSync(repoDir("blobs")).sort();

describe("a FAST tokenizer by its repository", () => {
  test("is downloaded once, into the hub's own layout", async () => {
    const loaded = await loadFastTokenizer(REPO, options());
    expect(loaded.files).toEqual(fitted);
    expect(readFileSync(repoDir("refs", "main"), "utf8")).toBe(hub.commit);
    const file = repoDir("snapshots", hub.commit, "tokenizer.json");
    expect(lstatSync(file).isSymbolicLink()).toBe(true);
    expect(blobNames()).toHaveLength(2);
    expect(blobNames().every((name) => /^[0-9a-f]{40}$/.test(name))).toBe(true);

    hub.log.length = 0;
    await loadFastTokenizer(`hf://${REPO}`, options());
    expect(hub.log.filter((line) => line.includes("/resolve/"))).toEqual([]);
    await loadFastTokenizer(`${REPO}@${hub.commit}`, options({ offline: true }));
  });

  test("where things are can be said by the environment", async () => {
    vi.stubEnv("HF_ENDPOINT", `${hub.url}/`);
    vi.stubEnv("HF_HOME", join(cacheDir, "elsewhere"));
    await loadFastTokenizer(REPO);
    expect(existsSync(join(cacheDir, "elsewhere/hub/models--robots--fast/refs/main"))).toBe(true);
    vi.stubEnv("HF_HUB_CACHE", join(cacheDir, "third"));
    await loadFastTokenizer(REPO);
    expect(existsSync(join(cacheDir, "third/models--robots--fast/refs/main"))).toBe(true);
    await hub.close();
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    expect((await loadFastTokenizer(REPO)).files).toEqual(fitted);
  });

  test("offline asks nobody", async () => {
    const missing = await failure(loadFastTokenizer(REPO, options({ offline: true })));
    expect(missing.code).toBe("hub/offline");
    expect(missing.message).toContain("robots/fast at main: not in ");
    expect(missing.message).toContain("processor_config.json");
    await loadFastTokenizer(REPO, options());
    hub.log.length = 0;
    expect((await loadFastTokenizer(REPO, options({ offline: true }))).files).toEqual(fitted);
    expect(hub.log).toEqual([]);
    expect((await failure(loadFastTokenizer(`${REPO}@v1`, options({ offline: true })))).code).toBe(
      "hub/offline",
    );
  });

  test("without a network, what was there last time", async () => {
    await loadFastTokenizer(REPO, options());
    await hub.close();
    expect((await loadFastTokenizer(REPO, options())).files).toEqual(fitted);
    const never = await failure(loadFastTokenizer("robots/other", options()));
    expect(never.code).toBe("hub/network");
    expect(never.message).toContain("robots/other at main: cannot reach http://127.0.0.1");
  });

  test("a new commit is noticed, an old one stays", async () => {
    await loadFastTokenizer(REPO, options());
    const first = hub.commit;
    hub.commit = "b".repeat(40);
    hub.files.set("processor_config.json", Buffer.from(JSON.stringify({ ...fitted.config, scale: 20 })));
    expect((await loadFastTokenizer(REPO, options())).scale).toBe(20);
    expect((await loadFastTokenizer(REPO, options({ revision: first, offline: true }))).scale).toBe(10);
    // tokenizer.json is the same blob.
    expect(blobNames()).toHaveLength(3);
  });

  test("large files by their SHA-256, behind a redirection", async () => {
    hub.large.add("tokenizer.json");
    expect((await loadFastTokenizer(REPO, options())).files).toEqual(fitted);
    expect(blobNames().map((name) => name.length)).toEqual(expect.arrayContaining([40, 64]));
  });

  test("newer layouts keep the BPE in a folder", async () => {
    hub.files.set("bpe_tokenizer/tokenizer.json", hub.files.get("tokenizer.json")!);
    hub.files.delete("tokenizer.json");
    expect((await loadFastTokenizer(REPO, options())).files).toEqual(fitted);
  });
});

describe("downloads", () => {
  const resolved = (): string[] =>
    hub.log.filter(
      (line) => line.includes("/resolve/") && line.includes("tokenizer.json") && !line.endsWith("bytes=0-0"),
    );

  test("a broken connection goes on where it broke", async () => {
    hub.files.delete("processor_config.json");
    hub.cuts.push(1000, 500);
    const error = await failure(loadFastTokenizer(REPO, options()));
    expect(error.code).toBe("hub/missing-file"); // tokenizer.json came, after two more attempts
    const { length } = hub.files.get("tokenizer.json")!;
    expect(resolved().map((line) => line.split(" ")[2])).toEqual([
      undefined,
      `bytes=1000-${length - 1}`,
      `bytes=1500-${length - 1}`,
    ]);
    expect(readFileSync(repoDir("snapshots", hub.commit, "tokenizer.json"))).toEqual(
      hub.files.get("tokenizer.json"),
    );
  });

  test("after three breaks it says so, and the next call goes on", async () => {
    hub.files.delete("processor_config.json");
    hub.cuts.push(100, 100, 100);
    const error = await failure(loadFastTokenizer(REPO, options()));
    expect(error.code).toBe("hub/network");
    expect(error.message).toMatch(
      /robots\/fast at main: tokenizer\.json: the connection broke after 300 of \d+ bytes/,
    );
    expect(existsSync(repoDir("refs", "main"))).toBe(false);
    hub.log.length = 0;
    await failure(loadFastTokenizer(REPO, options()));
    expect(resolved()[0]).toMatch(/bytes=300-\d+$/);
    expect(readFileSync(repoDir("snapshots", hub.commit, "tokenizer.json"))).toEqual(
      hub.files.get("tokenizer.json"),
    );
  });

  test("the wrong beginning of an earlier attempt is thrown away", async () => {
    await loadFastTokenizer(REPO, options());
    const blob = blobNames().find((name) => readFileSync(repoDir("blobs", name)).includes("ByteLevel"))!;
    const partial = repoDir("blobs", `${blob}.incomplete`);
    for (const ignoreRanges of [false, true]) {
      hub.ignoreRanges = ignoreRanges;
      rmSync(repoDir("blobs", blob));
      rmSync(repoDir("snapshots"), { recursive: true });
      writeFileSync(partial, "no part of it");
      expect((await loadFastTokenizer(REPO, options())).files).toEqual(fitted);
      expect(existsSync(partial)).toBe(false);
    }
  });

  test("content that is not what was announced never gets in", async () => {
    hub.corrupt = (bytes) => Buffer.from(bytes).fill("x", 10, 20);
    const error = await failure(loadFastTokenizer(REPO, options()));
    expect(error.code).toBe("hub/corrupt");
    expect(error.message).toContain("robots/fast at main: ");
    hub.corrupt = (bytes) => Buffer.concat([bytes, bytes]);
    expect((await failure(loadFastTokenizer(REPO, options()))).code).toBe("hub/corrupt");
    expect(readdirSync(repoDir("blobs"))).toEqual([]);
  });

  test("a damaged cache is an error, not a tokenizer", async () => {
    await loadFastTokenizer(REPO, options());
    truncateSync(repoDir("blobs", blobNames()[0]!), 5);
    expect((await failure(loadFastTokenizer(REPO, options()))).code).toMatch(/^fast\/(json|config)$/);
  });
});

describe("what is refused says repository, revision and file", () => {
  test("no such repository, revision, file", async () => {
    for (const source of ["robots/none", `${REPO}@none`]) {
      const { code, message } = await failure(loadFastTokenizer(source, options()));
      expect(code).toBe("hub/not-found");
      expect(message).toContain(source.includes("@") ? "robots/fast at none: " : "robots/none at main: ");
      expect(message).toContain("nor is there such a path here");
    }
    hub.files.delete("processor_config.json");
    const { code, message } = await failure(loadFastTokenizer(REPO, options()));
    expect(code).toBe("hub/missing-file");
    expect(message).toBe(
      "robots/fast at main: no processor_config.json in the repository; nor is there such a path here",
    );
  });

  test("gated repositories want a token", async () => {
    hub.token = "hf_secret";
    const { code, message } = await failure(loadFastTokenizer(REPO, options()));
    expect(code).toBe("hub/denied");
    expect(message).toContain("set HF_TOKEN");
    expect((await loadFastTokenizer(REPO, options({ token: "hf_secret" }))).files).toEqual(fitted);
    vi.stubEnv("HF_TOKEN", "secret");
    const odd = await failure(loadFastTokenizer(REPO, options()));
    expect(odd.code).toBe("hub/token");
    expect(odd.message).not.toContain("secret");
  });

  test("revisions that would leave the cache", async () => {
    for (const revision of ["../../etc", "/etc", "a/../b", "", "refs/../.."]) {
      expect((await failure(loadFastTokenizer(REPO, options({ revision })))).code).toBe("hub/revision");
    }
    expect(hub.log).toEqual([]);
  });
});

describe("a text tokenizer by its repository", () => {
  test("tokenizer.json with the special tokens of tokenizer_config.json", async () => {
    const vocab = Object.fromEntries(["<start>", "<end>", "a", "b", "ab"].map((piece, id) => [piece, id]));
    const plain = {
      normalizer: null,
      pre_tokenizer: null,
      post_processor: null,
      decoder: null,
      added_tokens: [],
    };
    const model = { type: "BPE", vocab, merges: ["a b"] };
    hub.files.set("tokenizer.json", Buffer.from(JSON.stringify({ ...plain, model })));
    hub.files.set(
      "tokenizer_config.json",
      Buffer.from(JSON.stringify({ bos_token: "<start>", eos_token: "<end>" })),
    );
    const text = await loadTextTokenizer(REPO, options());
    expect([text.bosId, text.eosId]).toEqual([0, 1]);
    expect(text.encode("abab", { addBos: true })).toEqual([0, 4, 4]);
    await hub.close();
    expect((await loadTextTokenizer(REPO, options({ offline: true }))).bosId).toBe(0);
  });

  test("a file of another name", async () => {
    const text = await loadTextTokenizer(REPO, { hub: { ...options().hub, file: "text/byte.json" } });
    expect(text.encode("cup")).toEqual(makeByteTokenizer({ pieces: ["cup"] }).encode("cup"));
  });

  test("none at all", async () => {
    hub.files.delete("tokenizer.json");
    const { code, message } = await failure(loadTextTokenizer(REPO, options()));
    expect(code).toBe("hub/missing-file");
    expect(message).toContain("no tokenizer.json or tokenizer.model");
  });
});

describeShared("a text tokenizer by its repository: SentencePiece", () => {
  test("tokenizer.model, where there is no tokenizer.json", async () => {
    const bytes = readFileSync(sharedPath("golden/common/transforms/standin_sentencepiece.model"));
    hub.files.delete("tokenizer.json");
    hub.files.set("tokenizer.model", bytes);
    hub.large.add("tokenizer.model");
    const text = await loadTextTokenizer(REPO, options());
    const prompt = "Task: pick up the cup, State: 1 2 3;\n";
    expect(text.encode(prompt)).toEqual(sentencePieceTokenizer(bytes).encode(prompt));
  });
});
