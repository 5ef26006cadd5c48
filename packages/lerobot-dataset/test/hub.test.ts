/** @file Datasets by the name of a repository, against a server that plays the hub. */
import { execFileSync } from "node:child_process";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { InsulaError } from "@insula/model-types";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type DownloadOptions, downloadLeRobotDataset, openLeRobotDataset } from "../src/index.js";
import { tempFolder } from "./fixtures.js";
import { type HubServer, REPO, startHub } from "./hub-server.js";
import { rawDataset, writeRaw } from "./raw-dataset.js";

const local = join(tempFolder(), "cups");
writeRaw(local, rawDataset([5, 4, 6], "v2.1", true));
/** Path → contents. */
const filesIn = (dir: string): Record<string, Buffer> =>
  Object.fromEntries(
    readdirSync(dir, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .map((path) => [path.slice(dir.length + 1), readFileSync(path)]),
  );
const files = filesIn(local);

let hub: HubServer;
let cacheDir = "";
beforeEach(async () => {
  cacheDir = mkdtempSync(join(tmpdir(), "insula-hub-"));
  hub = await startHub(files);
  for (const path of Object.keys(files)) if (path.endsWith(".mp4")) hub.large.add(path);
  const names = ["HF_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"];
  for (const name of [...names, "HF_LEROBOT_HOME", "INSULA_FOLLOW_LINKS"]) vi.stubEnv(name, undefined);
  vi.stubEnv("HF_HOME", join(cacheDir, "home"));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await hub.close();
  rmSync(cacheDir, { recursive: true });
});

const options = (more: DownloadOptions = {}): DownloadOptions => ({ endpoint: hub.url, cacheDir, ...more });
const failure = (run: Promise<unknown>): Promise<InsulaError> =>
  run.then(
    () => expect.unreachable("it came"),
    (error: InsulaError) => error,
  );
const repoDir = (...path: string[]): string => join(cacheDir, "datasets--robots--cups", ...path);
/** Paths of the files whose contents were asked for. */
const fetched = (): string[] => {
  const lines = hub.log.filter((line) => line.includes("/resolve/") || line.includes("/cdn/"));
  const paths = lines.map((line) => line.split(" ")[1]!.replace(/^.*\/resolve\/\w+\/|^\/cdn\//, ""));
  return [...new Set(paths)];
};

describe("a dataset by its repository", () => {
  test("opens: metadata first, then what they name, in the hub's own layout", async () => {
    const dataset = await openLeRobotDataset(REPO, { hub: options() });
    expect([dataset.episodes.length, dataset.totalFrames, dataset.cameras]).toEqual([3, 15, ["cam"]]);
    const here = await openLeRobotDataset(local);
    for (const index of [0, 7, 14]) expect(await dataset.sample(index)).toEqual(await here.sample(index));
    expect(await dataset.missingFiles()).toEqual([]);
    await Promise.all([dataset.close(), here.close()]);

    const order = fetched().map((path) => path.split("/")[0]);
    expect(order.lastIndexOf("meta")).toBeLessThan(order.indexOf("data"));
    expect(readFileSync(repoDir("refs", "main"), "utf8")).toBe(hub.commit);
    const video = repoDir("snapshots", hub.commit, "videos/chunk-000/cam/episode_000000.mp4");
    expect(lstatSync(video).isSymbolicLink()).toBe(true);
    expect(readdirSync(repoDir("blobs")).some((name) => name.length === 64)).toBe(true);

    hub.log.length = 0;
    await (await openLeRobotDataset(`hf://${REPO}`, { hub: options() })).close();
    expect(fetched()).toEqual([]);
  });

  test("v3.0: episode tables, several episodes per file", async () => {
    const dir = join(cacheDir, "v3");
    writeRaw(dir, rawDataset([5, 4], "v3.0", true));
    hub.files.clear();
    for (const [path, bytes] of Object.entries(filesIn(dir))) hub.files.set(path, bytes);
    const dataset = await openLeRobotDataset(REPO, { hub: options() });
    const here = await openLeRobotDataset(dir);
    expect(await dataset.sample(7)).toEqual(await here.sample(7));
    expect(fetched()).toHaveLength(hub.files.size);
    await Promise.all([dataset.close(), here.close()]);
  });

  test("only the videos that are wanted, and later the others", async () => {
    const seen: string[] = [];
    const { folder, missing } = await downloadLeRobotDataset(
      REPO,
      options({ cameras: ["cam"], episodes: [1], onProgress: ({ file }) => seen.push(file) }),
    );
    expect(missing).toEqual([]);
    expect(fetched().filter((path) => path.endsWith(".mp4"))).toEqual([
      "videos/chunk-000/cam/episode_000001.mp4",
    ]);
    expect(seen).toHaveLength(3 + 3 + 1);
    const dataset = await openLeRobotDataset(folder);
    expect((await dataset.sample(6))["cam"]).toMatchObject({ shape: [48, 64, 3] });
    expect(await dataset.missingFiles()).toHaveLength(2);
    await dataset.close();
    hub.log.length = 0;
    await downloadLeRobotDataset(REPO, options());
    expect(fetched().sort()).toEqual([0, 2].map((e) => `videos/chunk-000/cam/episode_00000${e}.mp4`));
    rmSync(cacheDir, { recursive: true });
    mkdirSync(cacheDir);
    hub.log.length = 0;
    await (await openLeRobotDataset(REPO, { cameras: [], hub: options() })).close();
    expect(fetched().some((path) => path.endsWith(".mp4"))).toBe(false);
  });

  test("progress ends at the whole", async () => {
    let last = { files: 0, totalFiles: -1, bytes: 0, totalBytes: -1 };
    await downloadLeRobotDataset(REPO, options({ onProgress: (progress) => (last = progress) }));
    expect([last.files, last.bytes]).toEqual([last.totalFiles, last.totalBytes]);
  });

  test("files that the repository lacks are named, not an error", async () => {
    hub.files.delete("videos/chunk-000/cam/episode_000002.mp4");
    const { missing } = await downloadLeRobotDataset(REPO, options());
    expect(missing).toEqual(["videos/chunk-000/cam/episode_000002.mp4"]);
  });

  test("where things are can be said by the environment; LeRobot's own copy comes first", async () => {
    vi.stubEnv("HF_ENDPOINT", `${hub.url}/`);
    await (await openLeRobotDataset(REPO)).close();
    expect(existsSync(join(cacheDir, "home/hub/datasets--robots--cups/refs/main"))).toBe(true);
    vi.stubEnv("HF_HUB_CACHE", join(cacheDir, "third"));
    await (await openLeRobotDataset(REPO)).close();
    expect(existsSync(join(cacheDir, "third/datasets--robots--cups/refs/main"))).toBe(true);
    vi.stubEnv("HF_LEROBOT_HOME", join(cacheDir, "lerobot"));
    writeRaw(join(cacheDir, "lerobot", REPO), rawDataset([2]));
    const dataset = await openLeRobotDataset(REPO);
    expect(dataset.root).toBe(join(cacheDir, "lerobot", REPO));
    await dataset.close();
  });

  test("offline asks nobody; without a network, what was there last time", async () => {
    const never = await failure(openLeRobotDataset(REPO, { hub: options({ offline: true }) }));
    expect(never.code).toBe("hub/offline");
    expect(never.message).toContain("robots/cups at main: not in ");
    expect(never.message).toContain("nor is there such a path here");
    await downloadLeRobotDataset(REPO, options({ episodes: [0] }));
    hub.log.length = 0;
    const some = await failure(downloadLeRobotDataset(REPO, options({ offline: true })));
    expect(some.message).toContain("2 of its files are not in ");
    await downloadLeRobotDataset(REPO, options({ offline: true, episodes: [0] }));
    expect(hub.log).toEqual([]);
    await hub.close();
    await downloadLeRobotDataset(REPO, options({ episodes: [0] }));
    expect((await failure(downloadLeRobotDataset(REPO, options()))).code).toBe("hub/network");
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    await downloadLeRobotDataset(REPO, options({ cameras: [] }));
  });

  test("a new commit is noticed, an old one stays", async () => {
    await downloadLeRobotDataset(REPO, options());
    const first = hub.commit;
    hub.commit = "b".repeat(40);
    hub.files.set(
      "meta/tasks.jsonl",
      Buffer.from('{"task_index": 0, "task": "new"}\n{"task_index": 1, "task": ""}\n'),
    );
    const dataset = await openLeRobotDataset(REPO, { hub: options() });
    expect(dataset.tasks.get(0)).toBe("new");
    const old = await openLeRobotDataset(`${REPO}@${first}`, { hub: options({ offline: true }) });
    expect(old.tasks.get(0)).toBe("pick up the cup");
    await Promise.all([dataset.close(), old.close()]);
  });

  test("folders that differ from the template are found on the hub too", async () => {
    const info = { ...JSON.parse(String(hub.files.get("meta/info.json"))) };
    info.data_path = "data/chunk-{episode_index:03d}/episode_{episode_index:06d}.parquet";
    hub.files.set("meta/info.json", Buffer.from(JSON.stringify(info)));
    const dataset = await openLeRobotDataset(REPO, { hub: options() });
    expect((await dataset.column("state")).shape).toEqual([15, 2]);
    await dataset.close();
  });
});

describe("downloads", () => {
  test("a broken connection goes on where it broke", async () => {
    hub.cuts.push(100, 100, 100, 50);
    await downloadLeRobotDataset(REPO, options());
    for (const [path, bytes] of Object.entries(files)) {
      expect(readFileSync(repoDir("snapshots", hub.commit, path))).toEqual(bytes);
    }
    expect(hub.log.some((line) => /bytes=100-\d+$/.test(line))).toBe(true);
  });

  test("a connection that closes without an answer is tried again, whichever it is, three times", async () => {
    await downloadLeRobotDataset(REPO, options());
    const asked = hub.log.length;
    expect(asked).toBeGreaterThan(10);
    const blobs = filesIn(repoDir("blobs"));
    for (let dropped = 0; dropped < asked; dropped += 3) {
      rmSync(repoDir(), { recursive: true });
      hub.log.length = 0;
      hub.drops.clear();
      hub.drops.add(dropped);
      const { missing } = await downloadLeRobotDataset(REPO, options());
      expect(missing).toEqual([]);
      expect(filesIn(repoDir("blobs"))).toEqual(blobs);
      expect(hub.log.length).toBeGreaterThan(asked);
    }
    rmSync(repoDir(), { recursive: true });
    hub.log.length = 0;
    for (const request of [0, 1, 2]) hub.drops.add(request);
    const { code, message } = await failure(downloadLeRobotDataset(REPO, options()));
    expect([code, hub.log.length]).toEqual(["hub/network", 3]);
    expect(message).toContain(`${REPO} at main: cannot reach ${hub.url}`);
  });

  test("content that is not what was announced never gets in", async () => {
    hub.corrupt = (bytes) => Buffer.from(bytes).fill("x", 10, 20);
    expect((await failure(downloadLeRobotDataset(REPO, options()))).code).toBe("hub/corrupt");
    expect(readdirSync(repoDir("blobs"))).toEqual([]);
    expect(existsSync(repoDir("refs"))).toBe(false);
  });

  test("a hub that names paths outside the dataset writes nothing there", async () => {
    hub.extra.push("meta/../../../../escaped.json");
    hub.files.set("meta/../../../../escaped.json", Buffer.from("x"));
    const { code } = await failure(downloadLeRobotDataset(REPO, options()));
    expect(code).toMatch(/^(dataset\/path-escapes|hub\/.*)$/);
    expect(existsSync(join(cacheDir, "escaped.json"))).toBe(false);
  });

  test("a damaged cache is an error, not data", async () => {
    const { folder } = await downloadLeRobotDataset(REPO, options());
    truncateSync(join(folder, "data/chunk-000/episode_000000.parquet"), 200);
    const dataset = await openLeRobotDataset(folder);
    expect((await failure(dataset.sample(0))).code).toBe("dataset/parquet");
    await dataset.close();
  });
});

describe("what is refused says repository and revision", () => {
  test("no such repository or revision; no dataset", async () => {
    for (const source of ["robots/none", `${REPO}@none`]) {
      const { code, message } = await failure(openLeRobotDataset(source, { hub: options() }));
      expect(code).toBe("hub/not-found");
      expect(message).toContain(source.includes("@") ? "robots/cups at none: " : "robots/none at main: ");
      expect(message).toContain("nor is there such a path here");
    }
    hub.files.delete("meta/info.json");
    const { code, message } = await failure(downloadLeRobotDataset(REPO, options()));
    expect(code).toBe("hub/missing-file");
    expect(message).toContain("robots/cups at main: no meta/info.json in the repository");
  });

  test("gated repositories want a token", async () => {
    hub.token = "hf_secret";
    const { code, message } = await failure(downloadLeRobotDataset(REPO, options()));
    expect([code, message.includes("set HF_TOKEN")]).toEqual(["hub/denied", true]);
    await downloadLeRobotDataset(REPO, options({ token: "hf_secret" }));
    vi.stubEnv("HF_TOKEN", "secret");
    const odd = await failure(downloadLeRobotDataset(REPO, options()));
    expect([odd.code, odd.message.includes("secret")]).toEqual(["hub/token", false]);
  });

  test("names and revisions that would leave the cache", async () => {
    for (const revision of ["../../etc", "/etc", "a/../b", "", "refs/../.."]) {
      expect((await failure(downloadLeRobotDataset(REPO, options({ revision })))).code).toBe("hub/revision");
    }
    expect((await failure(downloadLeRobotDataset("../etc", options()))).code).toBe("hub/repo");
    expect(hub.log).toEqual([]);
  });
});

describe("links", () => {
  const make = (): string => {
    const dir = join(mkdtempSync(join(cacheDir, "links-")), "d");
    writeRaw(dir, rawDataset([3]));
    return dir;
  };
  const DATA = "data/chunk-000/episode_000000.parquet";

  test.each(["meta/info.json", "meta/episodes.jsonl", "meta/tasks.jsonl", DATA])(
    "%s that links out of the dataset is not read",
    async (path) => {
      const dir = make();
      const outside = join(cacheDir, `outside-${path.replaceAll("/", "-")}`);
      writeFileSync(outside, readFileSync(join(dir, path)));
      rmSync(join(dir, path));
      symlinkSync(outside, join(dir, path));
      const load = async (followLinks: boolean) =>
        (await openLeRobotDataset(dir, { followLinks })).column("state");
      const { code, message } = await failure(load(false));
      expect(code).toBe("dataset/path-escapes");
      expect(message).toContain(`${join(dir, path)}: is a link to `);
      expect((await load(true)).shape).toEqual([3, 2]);
      vi.stubEnv("INSULA_FOLLOW_LINKS", "1");
      expect((await load(false)).shape).toEqual([3, 2]);
    },
  );

  test("a linked folder is not a way out, links inside are followed, and so is a link to the dataset", async () => {
    const dir = make();
    const other = make();
    rmSync(join(dir, "data"), { recursive: true });
    symlinkSync(join(other, "data"), join(dir, "data"));
    expect((await failure((await openLeRobotDataset(dir)).sample(0))).code).toBe("dataset/path-escapes");
    rmSync(join(dir, "data"));
    mkdirSync(join(dir, "store"));
    writeFileSync(join(dir, "store/e"), readFileSync(join(other, DATA)));
    mkdirSync(join(dir, "data/chunk-000"), { recursive: true });
    symlinkSync("../../store/e", join(dir, DATA));
    symlinkSync(dir, join(cacheDir, "alias"));
    for (const root of [dir, join(cacheDir, "alias")]) {
      expect((await (await openLeRobotDataset(root)).column("state")).shape).toEqual([3, 2]);
    }
  });

  test("a link of the hub's cache may lead to its blobs only", async () => {
    const { folder } = await downloadLeRobotDataset(REPO, options());
    rmSync(join(folder, DATA));
    writeFileSync(repoDir("secret"), "x");
    symlinkSync(repoDir("secret"), join(folder, DATA));
    expect((await failure((await openLeRobotDataset(folder)).sample(0))).code).toBe("dataset/path-escapes");
  });

  test("a folder or a pipe in place of a file does not hang", async () => {
    const dir = make();
    rmSync(join(dir, DATA));
    mkdirSync(join(dir, DATA));
    expect((await failure((await openLeRobotDataset(dir)).sample(0))).code).toBe("dataset/not-a-file");
    rmSync(join(dir, "meta/info.json"));
    execFileSync("mkfifo", [join(dir, "meta/info.json")]);
    expect((await failure(openLeRobotDataset(dir))).code).toBe("dataset/not-a-file");
  });
});
