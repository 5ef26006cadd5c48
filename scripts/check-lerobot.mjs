#!/usr/bin/env node
/**
 * node scripts/check-lerobot.mjs --python PYTHON   (or: pnpm check:lerobot --python PYTHON)
 *
 * Datasets of ours in the hands of LeRobot's own library: images, videos, appended, left by a stopped writer, converted,
 * cut out, merged. It opens each, iterates every frame, and everything must be what was written: numbers, texts and
 * pixels of images exactly; pixels of videos as our reader decodes them. PYTHON has `lerobot` 0.4 (pip install lerobot)
 * with a video backend, torchcodec or PyAV. Datasets that need the shared data are left out where there are none. Two
 * minutes.
 */
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { build, root, run, shared } from "./lib/workspace.mjs";

const { values: options } = parseArgs({
  options: {
    python: { type: "string" },
    /** A folder for the datasets, which stay there. */
    keep: { type: "string" },
    /** The package is built already. */
    built: { type: "boolean" },
  },
});
if (!options.python) {
  console.error("name a Python that has lerobot: --python PYTHON");
  process.exit(2);
}
const packageDir = join(root, "packages/lerobot-dataset");
if (!options.built) build([packageDir]);
const ours = await import(join(packageDir, "dist/index.js"));
const { emptyDataset } = await import(join(packageDir, "dist/write/begin.js"));
const { startWriter } = await import(join(packageDir, "dist/write/writer.js"));
const dir = options.keep ?? mkdtempSync(join(tmpdir(), "insula-check-lerobot-"));
mkdirSync(dir, { recursive: true });

const [HEIGHT, WIDTH, FPS] = [96, 128, 10];
const camera = (dtype) => ({ dtype, shape: [HEIGHT, WIDTH, 3], names: ["height", "width", "channels"] });
const features = (dtype) => ({
  "observation.images.wrist": camera(dtype),
  exterior: camera(dtype),
  "observation.state": { dtype: "float32", shape: [7], names: [..."abcdefg"] },
  gripper: { dtype: "float32", shape: [1] },
  pose: { dtype: "float64", shape: [2, 3] },
  success: { dtype: "bool", shape: [1] },
  step: { dtype: "int64", shape: [1] },
  note: { dtype: "string", shape: [1] },
  actions: { dtype: "float32", shape: [4] },
});
const TASKS = ["put the cup on the plate", "", "öffne die Schublade"];

/** Episode `e`, of values that say where they stand. */
function episode(e, frames) {
  const floats = (Type, ...dims) => {
    const dim = dims.reduce((a, b) => a * b, 1);
    const value = (i) => Math.sin(1 + e + Math.floor(i / dim) / 7 + (i % dim) * 3);
    return { data: Type.from({ length: frames * dim }, (_, i) => value(i)), shape: [frames, ...dims] };
  };
  const picture = (frame, phase) => {
    const data = new Uint8Array(HEIGHT * WIDTH * 3);
    for (let i = 0; i < HEIGHT * WIDTH; i++) {
      const [x, y] = [i % WIDTH, Math.floor(i / WIDTH)];
      data.set([(x + 5 * frame) & 255, 40 + y + phase, 128 + 60 * Math.sin((x * y) / 900 + e)], 3 * i);
    }
    return { data, shape: [HEIGHT, WIDTH, 3] };
  };
  const pictures = (phase) => Array.from({ length: frames }, (_, frame) => picture(frame, phase));
  return {
    task: TASKS[e % 3],
    frames,
    columns: {
      "observation.state": floats(Float32Array, 7),
      gripper: floats(Float32Array, 1),
      pose: floats(Float64Array, 2, 3),
      success: { data: Uint8Array.from({ length: frames }, (_, i) => +(i === frames - 1)), shape: [frames] },
      step: { data: BigInt64Array.from({ length: frames }, (_, i) => BigInt(i * i)), shape: [frames] },
      note: Array.from({ length: frames }, (_, i) => (i % 3 ? `n${i}` : "")),
      actions: floats(Float32Array, 4),
    },
    images: { "observation.images.wrist": pictures(0), exterior: pictures(90) },
  };
}

/** What each dataset must hold, frame by frame, for the Python side: numbers and pixels as raw files. */
const cases = [];

/** Note a dataset whose episodes are known: `written`, as they were handed to the writer. */
async function expectWritten(name, path, written) {
  const dataset = await ours.openLeRobotDataset(path);
  const columns = Object.fromEntries(
    Object.keys(written[0].columns).map((key) => [key, written.flatMap((e) => flat(e.columns[key]))]),
  );
  const tasks = written.flatMap((e) => new Array(e.frames).fill(e.task));
  const isVideo = dataset.features[dataset.cameras[0]].dtype === "video";
  await note(name, dataset, {
    columns,
    tasks,
    pixels: isVideo ? undefined : (i, key) => pictureOf(written, i, key),
    near: isVideo ? (i, key) => pictureOf(written, i, key) : undefined,
  });
}

function pictureOf(written, index, key) {
  for (const { frames, images } of written) {
    if (index < frames) return images[key][index].data;
    index -= frames;
  }
}

function flat(column) {
  if (Array.isArray(column)) return column;
  return Array.from(column.data, Number);
}

/** Note a dataset that must be `parts`: [dataset, episode] of others, read by our reader. */
async function expectCopied(name, path, parts) {
  const columns = {};
  const tasks = [];
  const frames = [];
  const [[first]] = parts;
  const own = Object.keys(first.features).filter(
    (key) => !["index", "episode_index", "frame_index", "task_index"].includes(key),
  );
  for (const [source, e] of parts) {
    const { from, to, length } = source.episodes[e];
    for (const key of own) {
      if (source.cameras.includes(key)) continue;
      const { data, shape } = await source.column(key);
      const dim = shape.slice(1).reduce((a, b) => a * b, 1);
      const values = Array.from(data.subarray(from * dim, (from + length) * dim), Number);
      columns[key] = (columns[key] ?? []).concat(values);
    }
    for (let i = from; i < to; i++) {
      frames.push([source, i]);
      tasks.push((await source.sample(i, { cameras: [] })).task);
    }
  }
  const pixels = async (i, key) => {
    const [source, index] = frames[i];
    return (await source.sample(index, { cameras: [key] }))[key].data;
  };
  await note(name, await ours.openLeRobotDataset(path), { columns, tasks, pixels });
}

/** Write the expectation: every `stride`-th frame's pixels. */
async function note(name, dataset, { columns, tasks, pixels, near }) {
  const out = join(dir, `${name}.expected`);
  mkdirSync(out);
  const total = dataset.totalFrames;
  if (tasks.length !== total) throw new Error(`${name}: ${total} frames, expected ${tasks.length}`);
  const stride = Math.max(1, Math.floor(total / 40));
  for (const key of dataset.cameras) {
    const chunks = [];
    let worst = 0;
    for (let i = 0; i < total; i += stride) {
      const read = (await dataset.sample(i, { cameras: [key] }))[key].data;
      const data = pixels ? await pixels(i, key) : read;
      if (Buffer.compare(data, read) !== 0) throw new Error(`${name}: our reader: ${key}, frame ${i}`);
      if (near) worst = Math.max(worst, difference(read, near(i, key)));
      chunks.push(data);
    }
    if (worst > 3) throw new Error(`${name}: ${key}: ${worst} grey levels off the pictures`);
    writeFileSync(join(out, `${key}.rgb`), Buffer.concat(chunks));
  }
  const starts = dataset.episodes.map((e) => [e.from, e.to]);
  const meta = { columns, tasks, stride, starts, cameras: dataset.cameras, fps: dataset.fps, total };
  writeFileSync(join(out, "expected.json"), JSON.stringify(meta));
  await dataset.close();
  cases.push({ name, path: dataset.root });
}

function difference(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += Math.abs(a[i] - b[i]);
  return sum / a.length;
}

async function write(path, dtype, episodes, more = {}) {
  const fresh = { fps: FPS, robotType: "panda", features: features(dtype), ...more };
  const writer = await ours.createLeRobotDataset(path, fresh);
  for (const e of episodes) await writer.addEpisode(e);
  await writer.finalize();
}

const at = (name) => join(dir, name);
try {
  const five = [12, 7, 1, 20, 9].map((frames, e) => episode(e, frames));
  await write(at("images"), "image", five);
  await expectWritten("images", at("images"), five);
  await write(at("whole"), "image", five, { commit: "finalize" });
  await expectWritten("whole", at("whole"), five);
  await write(at("av1"), "video", five.slice(0, 3));
  await expectWritten("av1", at("av1"), five.slice(0, 3));
  await write(at("h264"), "video", five, { video: { codec: "h264" }, commit: "finalize" });
  await expectWritten("h264", at("h264"), five);

  // LeRobot 0.4 cannot add up its own statistics of matrices.
  const resumed = five.slice(0, 3).map((e) => ({ ...e, columns: without(e.columns, "pose") }));
  await write(at("to-resume"), "image", resumed, { features: without(features("image"), "pose") });
  await expectWritten("to-resume", at("to-resume"), resumed);

  await write(at("appended"), "video", five.slice(0, 2), { video: { codec: "h264" } });
  for (const e of five.slice(2)) {
    const writer = await ours.appendToLeRobotDataset(at("appended"));
    await writer.addEpisode(e);
    await writer.finalize();
  }
  await expectWritten("appended", at("appended"), five);

  await ours.convertLeRobotDataset(at("images"), at("to-video"), { storage: "video", video: { crf: 10 } });
  await expectWritten("to-video", at("to-video"), five);
  const video = await ours.openLeRobotDataset(at("h264"));
  await ours.convertLeRobotDataset(at("h264"), at("to-images"), { storage: "image" });
  await expectPixelsOf("to-images", at("to-images"), video, five);
  await video.close();

  // Stopped after each rename but the last, of info.json: LeRobot counts by the files there are.
  for (let stop = 1; stop <= 6; stop++) {
    const path = at(`stopped-${stop}`);
    await stopped(path, stop, five.slice(0, 3));
    const { length } = (await ours.openLeRobotDataset(path)).episodes;
    if (length !== 2) throw new Error(`${path}: ${length} episodes`);
    cases.push({ name: `stopped-${stop}`, path, atLeast: 19 });
  }

  const data = join(shared, "data/lerobot");
  if (existsSync(data)) await withRealData(data);
  else console.log(`no ${data}: without real data`);

  writeFileSync(at("cases.json"), JSON.stringify(cases));
  const script = join(root, "scripts/lib/check_lerobot.py");
  const env = {
    ...process.env,
    HF_HUB_OFFLINE: "1",
    HF_HOME: at("hf"),
    HF_DATASETS_DISABLE_PROGRESS_BARS: "1",
  };
  const told = run([options.python, script, dir], { env });
  process.stdout.write(told);
  if (!told.trimEnd().endsWith("ok")) process.exitCode = 1;
  await checkResumed(at("to-resume"), resumed);
} finally {
  if (!options.keep) rmSync(dir, { recursive: true });
}

function without(record, key) {
  const { [key]: _, ...rest } = record;
  return rest;
}

/** LeRobot has recorded an episode more, of three frames of its own, in our dataset. */
async function checkResumed(path, written) {
  const dataset = await ours.openLeRobotDataset(path);
  const before = written.reduce((sum, { frames }) => sum + frames, 0);
  const sample = await dataset.sample(before + 2);
  const { data } = sample.exterior;
  const right =
    dataset.episodes.length === written.length + 1 &&
    dataset.totalFrames === before + 3 &&
    sample.task === "recorded by LeRobot" &&
    sample.actions.data.every((x) => x === 2.5) &&
    data.every((x) => x === 102);
  await dataset.close();
  console.log(`${right ? "ok    " : "FAILED"}  resumed      an episode that LeRobot appended to ours`);
  if (!right) process.exitCode = 1;
}

/** A converted dataset whose images are the frames of `video`. */
async function expectPixelsOf(name, path, video, written) {
  const columns = Object.fromEntries(
    Object.keys(written[0].columns).map((key) => [key, written.flatMap((e) => flat(e.columns[key]))]),
  );
  await note(name, await ours.openLeRobotDataset(path), {
    columns,
    tasks: written.flatMap((e) => new Array(e.frames).fill(e.task)),
    pixels: async (i, key) => (await video.sample(i, { cameras: [key] }))[key].data,
  });
}

async function stopped(path, stop, episodes) {
  let [armed, renames] = [false, 0];
  const begin = emptyDataset({ fps: FPS, robotType: "panda", features: features("video") });
  const place = {
    root: `${path}.building`,
    destination: path,
    onRename() {
      if (armed && ++renames === stop) throw new Error("stopped");
    },
  };
  const writer = await startWriter(async () => begin, place, { video: { codec: "h264" } });
  for (const [e, input] of episodes.entries()) {
    armed = e === episodes.length - 1;
    await writer.addEpisode(input).catch(() => {});
  }
}

async function withRealData(data) {
  const v21 = await ours.openLeRobotDataset(join(data, "droid_subset_v21"));
  const v30 = await ours.openLeRobotDataset(join(data, "droid_subset_v30"));
  const multi = await ours.openLeRobotDataset(join(data, "droid_subset_v30_multifile"));
  const all = (dataset) => dataset.episodes.map((_, e) => [dataset, e]);
  await ours.convertLeRobotDataset(v21.root, at("converted"));
  await expectCopied("converted", at("converted"), all(v21));
  const parts = ours.byFraction({ train: 0.6, val: 0.4 }, 1);
  await ours.splitLeRobotDataset(v30.root, at("split"), parts);
  const chosen = parts(v30);
  for (const part of ["train", "val"])
    await expectCopied(
      `split-${part}`,
      at(`split/${part}`),
      chosen[part].map((e) => [v30, e]),
    );
  await ours.extractEpisodes(multi.root, at("cut"), [6, 1]);
  await expectCopied(
    "cut",
    at("cut"),
    [6, 1].map((e) => [multi, e]),
  );
  await ours.mergeLeRobotDatasets([at("split/val"), v30.root, at("converted")], at("merged"));
  const val = chosen.val.map((e) => [v30, e]);
  await expectCopied("merged", at("merged"), [...val, ...all(v30), ...all(v21)]);

  // Written on in a dataset of LeRobot's own.
  cpSync(multi.root, at("continued"), { recursive: true });
  rmSync(join(at("continued"), "expected.json"), { force: true });
  const writer = await ours.appendToLeRobotDataset(at("continued"));
  const { from, to, length: frames, tasks, videos } = multi.episodes[3];
  const rows = async (key) => {
    const { data: values, shape } = await multi.column(key);
    const dim = shape[1];
    return { data: values.subarray(from * dim, to * dim), shape: [frames, dim] };
  };
  await writer.addEpisode({
    task: tasks[0],
    frames,
    columns: {
      joint_position: await rows("joint_position"),
      gripper_position: await rows("gripper_position"),
      actions: await rows("actions"),
    },
    videos: Object.fromEntries(
      Object.entries(videos).map(([key, { path, fromTimestamp }]) => [
        key,
        { path: join(multi.root, path), fromTimestamp },
      ]),
    ),
  });
  await writer.finalize();
  await expectCopied("continued", at("continued"), [...all(multi), [multi, 3]]);
  for (const dataset of [v21, v30, multi]) await dataset.close();
}
