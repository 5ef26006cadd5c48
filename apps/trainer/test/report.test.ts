/** The report of a real run, and of what may become of one. */
import {
  appendFileSync,
  cpSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureSampleData } from "@insula/sample-data";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readMetrics } from "../src/metrics/jsonl.js";
import { runCli } from "../src/program.js";
import { chart } from "../src/report/chart.js";
import { runState } from "../src/report/headline.js";
import { html } from "../src/report/html.js";

const base = mkdtempSync(join(tmpdir(), "insula-report-"));
afterAll(() => rmSync(base, { recursive: true }));

const run = join(base, "run");
let dataset = "";
beforeAll(async () => {
  ({ datasetDir: dataset } = await ensureSampleData(join(base, "data"), undefined, { episodes: 4 }));
  const { code, text } = await insula(
    ...[
      "train",
      "debug_pi05_ki",
      "--dataset",
      dataset,
      "--log-dir",
      run,
      "--threads",
      "1",
      "--num-steps",
      "3",
    ],
    ...["vlm", "expert", "siglip"].flatMap((stack) => ["--set", `model.${stack}.depth=1`]),
    ...["--set", "model.imageSize=28", "--set", "model.maxTokenLen=120", "--set", "validation.interval=1"],
    ...["--set", "validation.sampledChunks=2", "--set", "validation.batches=1"],
    ...["--set", "validation.denoiseSteps=1"],
  );
  expect(code, text).toBe(0);
}, 60_000);

async function insula(...args: string[]) {
  const lines: string[] = [];
  const io = { out: (line: string) => lines.push(line), err: (line: string) => lines.push(line) };
  return { code: await runCli(args, io), text: lines.join("\n") };
}

/** A copy of the run, changed, and its report. */
async function reportOf(name: string, change: (dir: string) => void, ...more: string[]) {
  const dir = join(base, name);
  cpSync(run, dir, { recursive: true });
  change(dir);
  const { code, text } = await insula("report", dir, ...more);
  expect(code, text).toBe(0);
  const page = readFileSync(join(dir, "report.html"), "utf8");
  checkPage(page);
  return page;
}

/** Tags that nest, nothing loaded from elsewhere, no slip of the pen. */
function checkPage(page: string): void {
  const open: string[] = [];
  const text = page.replace(/data:image\/png;base64,[\w+/=]+/g, "data:");
  const body = text.replace(/<style>.*?<\/style>/s, "").replace("<!doctype html>", "");
  for (const [, close, name, attributes, empty] of body.matchAll(
    /<(\/?)([a-z][a-z0-9]*)((?:\s+[\w:-]+(?:="[^"]*")?)*)\s*(\/?)>/g,
  )) {
    for (const [, attribute, value] of attributes!.matchAll(/\s([\w:-]+)(?:="([^"]*)")?/g)) {
      expect(attribute).not.toMatch(/^on/);
      if (attribute === "src" || attribute === "href") expect(value).toMatch(/^(data:|#)/);
    }
    if (close) expect(open.pop()).toBe(name);
    else if (!empty && !["meta", "img"].includes(name!)) open.push(name!);
  }
  expect(open).toEqual([]);
  // Every "<" begins one of the tags above.
  expect(body.match(/</g)!.length).toBe(
    body.match(/<\/?[a-z][a-z0-9]*(?:\s+[\w:-]+(?:="[^"]*")?)*\s*\/?>/g)!.length,
  );
  expect(text).not.toMatch(/undefined|NaN|Infinity|\[object/);
  expect(text).not.toMatch(/<script|@import|url\(|https?:\/\//);
  expect(page).toContain("default-src 'none'");
}

/** The text of a section, without tags. */
const section = (page: string, id: string) =>
  new RegExp(`<section id="${id}">.*?</section>`, "s")
    .exec(page)?.[0]
    .replace(/<[^>]*>/g, " ")
    .replace(/\s+/g, " ") ?? "";

test("a finished run: every section says what the run's files say", async () => {
  const page = await reportOf("finished", () => {});
  expect(page).toContain('<p class="state finished">finished</p>');
  expect(page).toContain("<b>3 / 3</b>");
  for (const title of ["FAST token loss", "Action loss", "Gradient norm", "Learning rate"]) {
    expect(page).toContain(title);
  }
  expect(section(page, "errors")).toContain("joint 7 (rad/s)");
  expect(section(page, "data")).toMatch(/3 to train on, 1 held out/);
  expect(section(page, "data")).toContain("actions gripper (0 open, 1 closed)");
  expect(section(page, "tokens")).toMatch(/training frames looked at/);
  expect(section(page, "config")).toMatch(/model\.imageSize 56 28|model\.imageSize \d+ 28/);
  expect(section(page, "config")).toMatch(/numTrainSteps 10 3/);
  expect(section(page, "about")).toMatch(/Started once .*ONNX Runtime/);
  expect(section(page, "about")).not.toContain("Not found");
  expect(page.match(/<img alt="[^"]+" src="data:image\/png;base64,iVBOR/g)).toHaveLength(4);
  // Two chunks of eight dims, recorded and sampled.
  expect(section(page, "predictions")).toContain("episode 3, frame");
  expect(page.match(/<figure class="panel">/g)).toHaveLength(16);
});

test("a run that goes on, and one that was left; a row that was not finite; a row cut short", async () => {
  const longer = (dir: string) => {
    const config = JSON.parse(readFileSync(join(dir, "config.json"), "utf8"));
    writeFileSync(join(dir, "config.json"), JSON.stringify({ ...config, numTrainSteps: 1000 }));
    const last = readMetrics(join(dir, "metrics.jsonl")).at(-1)!;
    const bad = { ...last, step: 4, total: null, fast_loss: null, grad_norm: null, skipped: 1 };
    appendFileSync(join(dir, "metrics.jsonl"), `${JSON.stringify(bad)}\n{"step": 5, "to`);
  };
  expect(await reportOf("running", longer)).toMatch(/class="state running".*<b>4 \/ 1,000<\/b>.*to go/s);
  const config = { numTrainSteps: 10 } as never;
  const rows = [{ step: 4, time: 1000, step_ms: 30_000 }] as never;
  expect([1100, 1599, 1601].map((now) => runState({ rows, config }, now))).toEqual([
    "running",
    "running",
    "stopped",
  ]);
});

test("what is missing is told: dataset, validation, statistics, artifact, the first step", async () => {
  renameSync(dataset, `${dataset}-moved`);
  const page = await reportOf("gone", (dir) => {
    for (const name of ["validation", "assets", "artifact", "sessions.jsonl", "checkpoints"]) {
      rmSync(join(dir, name), { recursive: true });
    }
    const rows = readMetrics(join(dir, "metrics.jsonl"));
    writeFileSync(join(dir, "metrics.jsonl"), rows.map((row) => JSON.stringify(row)).join("\n"));
  });
  expect(section(page, "data")).toContain("The dataset could not be opened");
  expect(section(page, "about")).toMatch(/Not found .*statistics.*artifact.*validation.*dataset/);
  expect(page).not.toContain('id="predictions"');
  const moved = await reportOf("moved", () => {}, "--dataset", `${dataset}-moved`);
  expect(section(moved, "data")).toMatch(/3 to train on/);
  renameSync(`${dataset}-moved`, dataset);
  const empty = await reportOf("empty", (dir) => rmSync(join(dir, "metrics.jsonl")));
  expect(empty).toContain("no step taken yet");
});

test("what a dataset says is text, never markup", async () => {
  const evil = `<img src=x onerror="alert(1)"></style><script>alert('2')</script>`;
  const page = await reportOf("evil", (dir) => {
    const path = join(dir, "validation", "predictions.json");
    const predictions = JSON.parse(readFileSync(path, "utf8"));
    predictions.chunks[0].prompt = evil;
    predictions.chunks[0].cameras[0].name = evil;
    predictions.chunks[1].cameras[0].file = "../config.json";
    predictions.dims[0] = evil;
    writeFileSync(path, JSON.stringify(predictions));
  });
  expect(page).toContain("&lt;img src=x onerror=&quot;alert(1)&quot;&gt;");
  expect(page).not.toContain("<img src=x");
});

test("without sampled actions they can be had from the checkpoint", async () => {
  const without = (dir: string) => rmSync(join(dir, "validation"), { recursive: true });
  const page = await reportOf("unsampled", without);
  expect(section(page, "about")).toContain("no validation has sampled actions; --sample does");
  const sampled = await reportOf("sampled", without, "--sample");
  expect(section(sampled, "predictions")).toMatch(/Held-out frames at step 3: .*episode 3, frame \d+/);
  expect(sampled.match(/<figure class="panel">/g)!.length % 8).toBe(0);
  expect(section(sampled, "about")).not.toContain("predictions:");
});

test("a folder without a run is an error that says so", async () => {
  const { code, text } = await insula("report", base);
  expect(code).toBe(1);
  expect(text).toMatch(/config\.json: not there; expected the folder of a run \[report\/no-run\]/);
});

test("markup: values are escaped, numbers that are none are a dash, long charts keep their spikes", () => {
  expect(html`<b title="${'"<'}">${["a&b", 1, Number.NaN, undefined, false]}</b>`.markup).toBe(
    '<b title="&quot;&lt;">a&amp;b1–</b>',
  );
  expect(
    chart({ title: "none", series: [{ label: "x", color: "fast", points: [[1, Number.NaN]] }] }).markup,
  ).toBe("");
  const points = Array.from({ length: 20_000 }, (_, i) => [i, i === 12_345 ? 9 : 1] as const);
  const { markup } = chart({ title: "spike", series: [{ label: "x", color: "fast", points }] });
  expect(markup.length).toBeLessThan(12_000);
  const path = / d="([^"]+)"/.exec(markup)![1]!;
  expect(new Set(path.match(/ (\d+\.\d)/g)).size).toBe(2);
});
