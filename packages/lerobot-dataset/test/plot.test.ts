/** @file Plots: well-formed SVG with every point in its place, pictures embedded, nothing from the dataset as markup. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import sharp from "sharp";
import { afterAll, describe, expect, test } from "vitest";
import { openLeRobotDataset, plotEpisode } from "../src/index.js";
import { axis, linePoints } from "../src/plot/scale.js";
import { tempFolder } from "./fixtures.js";
import { rawDataset, writeRaw } from "./raw-dataset.js";

interface Node {
  name: string;
  attributes: Record<string, string>;
  text: string;
  children: Node[];
}

/** A strict reader of the XML that a plot is made of. */
function parseXml(xml: string): Node {
  const root: Node = { name: "", attributes: {}, text: "", children: [] };
  const open = [root];
  const token = /<\/([\w:]+)>|<([\w:]+)((?: [\w:-]+="[^"<]*")*)(\/?)>|([^<]+)/gy;
  const plain = (text: string): string => {
    expect(text.replace(/&(amp|lt|gt|quot|#39);/g, "")).not.toMatch(/[&<>]/);
    const named: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', "#39": "'" };
    return text.replace(/&(amp|lt|gt|quot|#39);/g, (_, name: string) => named[name]!);
  };
  let end = 0;
  for (let match = token.exec(xml); match; match = token.exec(xml)) {
    end = token.lastIndex;
    const [, close, name, attributes, empty, text] = match;
    const top = open.at(-1)!;
    if (text !== undefined) top.text += plain(text);
    else if (close !== undefined) {
      expect(top.name).toBe(close);
      open.pop();
    } else {
      const pairs = [...attributes!.matchAll(/ ([\w:-]+)="([^"]*)"/g)].map(([, k, v]) => [k, plain(v!)]);
      const node: Node = { name: name!, attributes: Object.fromEntries(pairs), text: "", children: [] };
      expect(Object.keys(node.attributes)).toHaveLength(pairs.length);
      top.children.push(node);
      if (empty === "") open.push(node);
    }
  }
  expect([end, open.length]).toEqual([xml.length, 1]);
  expect(root.children).toHaveLength(1);
  return root.children[0]!;
}

const all = (node: Node): Node[] => [node, ...node.children.flatMap(all)];
const pointsOf = (line: Node): [number, number][] =>
  [...line.attributes["d"]!.matchAll(/[ML](-?[\d.]+) (-?[\d.]+)/g)].map(([, x, y]) => [Number(x), Number(y)]);

const folder = tempFolder();
const raw = rawDataset([20, 30], "v2.1", true);
raw.tasks[1]!.task = `stack <"cups"> & 'plates' \u0007 </svg>`;
raw.episodes[1]!.state[4]![1] = Number.NaN;
writeRaw(join(folder, "d"), raw);
const dataset = await openLeRobotDataset(join(folder, "d"));
afterAll(() => dataset.close());

describe("an episode", async () => {
  const svg = await plotEpisode(dataset, { episode: 1, thumbnails: 5, units: { state: "m" } });
  const nodes = all(parseXml(svg));
  const lines = nodes.filter((node) => node.attributes["class"] === "line");
  const texts = nodes.map((node) => node.text);

  test("has a line per number and a point per row, in the order of time and value", () => {
    expect(lines.map((line) => [line.attributes["data-feature"], line.attributes["data-dim"]])).toEqual([
      ["state", "0"],
      ["state", "1"],
      ["actions", "0"],
      ["actions", "1"],
    ]);
    const [state0, state1, action0] = lines.map(pointsOf);
    expect([state0!.length, state1!.length, action0!.length]).toEqual([30, 29, 30]);
    // A value that is no number interrupts the line.
    expect(lines[1]!.attributes["d"]!.match(/M/g)).toHaveLength(2);
    for (const points of [state0!, action0!]) {
      const steps = points.slice(1).map(([x], i) => x - points[i]![0]);
      for (const step of steps) expect(step).toBeCloseTo(steps[0]!, 1);
    }
    // y grows downwards, linearly in the value.
    const values = raw.episodes[1]!.state.map((row) => row[0]!);
    const [low, high] = [values.indexOf(Math.min(...values)), values.indexOf(Math.max(...values))];
    const scale = (state0![high]![1] - state0![low]![1]) / (values[high]! - values[low]!);
    expect(scale).toBeLessThan(0);
    for (const [i, [, y]] of state0!.entries()) {
      expect(y).toBeCloseTo(state0![low]![1] + scale * (values[i]! - values[low]!), 1);
    }
  });

  test("says what it shows: task, dataset, axes, units, names", () => {
    const [, , heading] = nodes;
    expect(nodes[0]!.attributes["viewBox"]).toMatch(/^0 0 1100 \d+$/);
    expect(heading).toBeDefined();
    expect(texts).toContain(`stack <"cups"> & 'plates'  </svg>`);
    expect(texts).toContain("d, episode 1 · panda · 30 frames · 3.0 s · 10 fps");
    for (const text of ["state [m]", "actions", "time [s]", "cam", "dx", "y", "0.0", "2.5"])
      expect(texts).toContain(text);
  });

  test("has its pictures in it, in order, and refers to nothing outside", async () => {
    const images = nodes.filter((node) => node.name === "image");
    expect(images).toHaveLength(5);
    expect(svg).not.toMatch(/(href|src|url)="?(?!data:image\/jpeg;base64,)[^"]*\.\w+"/);
    const levels = await Promise.all(
      images.map(async ({ attributes }) => {
        const jpeg = Buffer.from(attributes["href"]!.split(",")[1]!, "base64");
        const { format } = await sharp(jpeg).metadata();
        expect(format).toBe("jpeg");
        return (await sharp(jpeg).stats()).channels[0]!.mean;
      }),
    );
    // The frames grow brighter with time.
    expect(levels).toEqual([...levels].sort((a, b) => a - b));
    const picture = await sharp(Buffer.from(svg)).metadata();
    expect([picture.format, picture.width]).toEqual(["svg", 1100]);
  });
});

test("without a video: empty boxes; without such an episode: an error", async () => {
  writeRaw(join(folder, "gone"), rawDataset([6], "v2.1", true));
  rmSync(join(folder, "gone/videos"), { recursive: true });
  const gone = await openLeRobotDataset(join(folder, "gone"));
  const nodes = all(parseXml(await plotEpisode(gone, { episode: 0 })));
  expect(nodes.filter((node) => node.name === "image")).toHaveLength(0);
  expect(nodes.filter((node) => node.name === "rect").length).toBeGreaterThan(0);
  expect(nodes.filter((node) => node.attributes["class"] === "line")).toHaveLength(4);
  await expect(plotEpisode(gone, { episode: 7 })).rejects.toMatchObject({ code: "dataset/index" });
  await gone.close();
});

describe("axes", () => {
  const finite = fc.double({ min: -1e6, max: 1e6, noNaN: true });
  test("cover the values, with a few evenly spaced round ticks", () => {
    fc.assert(
      fc.property(finite, finite, (a, b) => {
        const [low, high] = [Math.min(a, b), Math.max(a, b)];
        if (high - low < 1e-7) return;
        const { ticks, ...found } = axis(low, high, 4);
        const slack = 1e-9 * Math.max(1, Math.abs(low), Math.abs(high));
        expect(found.low).toBeLessThanOrEqual(low + slack);
        expect(found.high).toBeGreaterThanOrEqual(high - slack);
        expect(ticks.length).toBeGreaterThanOrEqual(3);
        expect(ticks.length).toBeLessThanOrEqual(7);
        expect(new Set(ticks.map(found.format)).size).toBe(ticks.length);
      }),
    );
  });

  test("a constant and nothing at all still have an axis", () => {
    for (const value of [0, 3, -1e-3, 1e12]) {
      const { low, high } = axis(value, value, 4);
      expect(low).toBeLessThan(value);
      expect(high).toBeGreaterThan(value);
    }
  });

  test("long episodes keep their spikes", () => {
    const values = new Float64Array(50_000);
    values[31_417] = 9;
    values[12_345] = -4;
    const points = linePoints(
      values.map((_, i) => i),
      values,
      800,
    );
    expect(points).toHaveLength(1600);
    expect(points).toContainEqual([31_417, 9]);
    expect(points).toContainEqual([12_345, -4]);
    expect(points.every(([x], i) => i === 0 || x >= points[i - 1]![0])).toBe(true);
  });
});
