import { describe, expect, test } from "vitest";
import { sampleEpisode } from "../src/episode.js";
import { IMAGE_SIZE, makeFrame } from "../src/fill-polygon.js";
import { boxMesh, capsuleMesh, cylinderMesh, type Mesh } from "../src/mesh.js";
import { materialIndex, SHADES } from "../src/palette.js";
import { drawInstance, type Instance, makeCamera } from "../src/raster.js";
import { makeRenderer, projectExterior } from "../src/render.js";
import { IDENTITY, lookAlong, transformPoint, translation, type Vec3 } from "../src/rigid.js";
import { SHAPE_SIZES } from "../src/scene.js";

const materialOf = (index: number) => Math.floor(index / SHADES);

/** Number of pixels of `material` in `picture`, and their bounding box [left, top, right, bottom] in pixel edges. */
function regionOf(picture: Uint8Array, material: number): { count: number; box: number[] } {
  let count = 0;
  const box = [IMAGE_SIZE, IMAGE_SIZE, 0, 0];
  picture.forEach((index, i) => {
    if (materialOf(index) !== material) return;
    count++;
    const [x, y] = [i % IMAGE_SIZE, Math.floor(i / IMAGE_SIZE)];
    box[0] = Math.min(box[0]!, x);
    box[1] = Math.min(box[1]!, y);
    box[2] = Math.max(box[2]!, x + 1);
    box[3] = Math.max(box[3]!, y + 1);
  });
  return { count, box };
}

describe("rasteriser", () => {
  const camera = makeCamera(lookAlong([0, 0, 0], [1, 0, 0], [0, 0, 1]), Math.PI / 2); // focal length 112
  const draw = (...instances: Instance[]) => {
    const frame = makeFrame();
    frame.index.fill(255);
    for (const instance of instances) drawInstance(frame, camera, instance);
    return frame.index;
  };
  const wall = (x: number, half: number, material: number): Instance => ({
    mesh: boxMesh([0, -half, -half], [1e-3, half, half]),
    pose: translation(x, 0, 0),
    material,
  });

  test("a square is as large as perspective says, in the middle", () => {
    const { count, box } = regionOf(draw(wall(2, 0.5, 3)), 3);
    expect(box).toEqual([84, 84, 140, 140]); // 112 ± 112 · 0.5 / 2
    expect(count).toBe(56 * 56);
  });

  test("left is left and up is up", () => {
    const { box } = regionOf(draw({ ...wall(2, 0.25, 3), pose: translation(2, 0.5, 0.5) }), 3);
    expect(box).toEqual([70, 70, 98, 98]); // y = 0.5 is to the left of a camera looking along x
  });

  test("the nearer surface wins, in either order of drawing", () => {
    const [near, far] = [wall(1, 0.1, 1), wall(2, 0.5, 2)];
    for (const picture of [draw(near, far), draw(far, near)]) {
      expect(materialOf(picture[112 * IMAGE_SIZE + 112]!)).toBe(1);
      expect(materialOf(picture[88 * IMAGE_SIZE + 88]!)).toBe(2);
    }
  });

  test("surfaces through the camera's plane are clipped, those behind it not drawn", () => {
    const floor = { mesh: boxMesh([-5, -5, -1.1], [5, 5, -1]), pose: IDENTITY, material: 4 };
    const { box } = regionOf(draw(floor), 4);
    expect(box).toEqual([0, 134, IMAGE_SIZE, IMAGE_SIZE]); // its far edge: 112 + 112 · 1 / 5 = 134.4
    expect(regionOf(draw(wall(-3, 0.5, 3)), 3).count).toBe(0);
  });

  test("meshes are closed and face outwards: the volume is the solid's", () => {
    const volume = ({ vertices: v, corners, offsets }: Mesh) => {
      let six = 0;
      for (let f = 0; f + 1 < offsets.length; f++) {
        const at = (i: number) => {
          const c = 3 * corners[offsets[f]! + i]!;
          return [v[c]!, v[c + 1]!, v[c + 2]!] as const;
        };
        const [a, count] = [at(0), offsets[f + 1]! - offsets[f]!];
        for (let i = 1; i + 1 < count; i++) {
          const [b, c] = [at(i), at(i + 1)];
          six += a[0] * (b[1] * c[2] - b[2] * c[1]);
          six += a[1] * (b[2] * c[0] - b[0] * c[2]);
          six += a[2] * (b[0] * c[1] - b[1] * c[0]);
        }
      }
      return six / 6;
    };
    expect(volume(boxMesh([-1, -1, 0], [1, 2, 3]))).toBeCloseTo(18, 12);
    expect(volume(cylinderMesh(1, 0, 2, 400))).toBeCloseTo(2 * Math.PI, 3);
    expect(volume(capsuleMesh(1, 0, 0, 200, 100))).toBeCloseTo((4 / 3) * Math.PI, 2);
    expect(volume(capsuleMesh(1, 0, 3, 200, 100))).toBeCloseTo((4 / 3 + 3) * Math.PI, 2);
  });
});

describe("cameras", () => {
  const renderer = makeRenderer();

  test("exterior: every object is in view before the arm moves, where the camera's geometry puts it", () => {
    for (let k = 0; k < 64; k += 2) {
      const episode = sampleEpisode(0, k);
      const picture = renderer.draw(episode, 0, "exterior_image_1_left");
      episode.scene.objects.forEach((object, i) => {
        const { count, box } = regionOf(picture, materialIndex(object.color));
        expect(count).toBeGreaterThan(100);
        const { width, height } = SHAPE_SIZES[object.shape];
        const center = transformPoint(episode.objectPoses[0]![i]!, [0, 0, height / 2]);
        const [x, y] = projectExterior(center);
        expect(Math.abs((box[0]! + box[2]!) / 2 - x)).toBeLessThan(4);
        expect(Math.abs((box[1]! + box[3]!) / 2 - y)).toBeLessThan(4);
        const above = projectExterior([center[0], center[1], height]);
        expect(box[1]).toBeLessThan(above[1] + 1);
        expect(width).toBeGreaterThan(0);
      });
    }
  });

  test("wrist: at the end the target is between the fingers", () => {
    for (let k = 0; k < 64; k++) {
      const episode = sampleEpisode(0, k);
      const picture = renderer.draw(episode, episode.frames - 1, "wrist_image_left");
      const regions = episode.scene.objects.map((o) => regionOf(picture, materialIndex(o.color)));
      const target = episode.scene.objects.findIndex((o) => episode.task.includes(o.color));
      const { count, box } = regions[target]!;
      expect(count).toBeGreaterThan(500);
      expect(box[0]).toBeLessThan(IMAGE_SIZE / 2);
      expect(box[2]).toBeGreaterThan(IMAGE_SIZE / 2);
    }
  });

  test("the arm casts a shadow on the table and the picture moves with the hand", () => {
    const episode = sampleEpisode(0, 0);
    const at = (t: number) => renderer.draw(episode, t, "wrist_image_left").slice();
    const [a, b] = [at(0), at(episode.frames >> 1)];
    expect(a.some((index) => index < 2 * SHADES && index % SHADES === 8)).toBe(true);
    expect(a.filter((index, i) => index !== b[i]).length).toBeGreaterThan(2000);
  });

  test("rgb is the picture in colours", () => {
    const episode = sampleEpisode(0, 0);
    const { data, shape } = renderer.rgb(episode, 0, "exterior_image_1_left");
    expect(shape).toEqual([224, 224, 3]);
    expect(episode.task).toBe("reach the green cube on the left");
    const cube = episode.scene.objects.find((o) => o.color === "green")!;
    const center: Vec3 = [cube.x, cube.y, 0.03];
    const [x, y] = projectExterior(center).map(Math.floor) as [number, number];
    const [r, g, b] = data.subarray(3 * (y * 224 + x), 3 * (y * 224 + x) + 3);
    expect(g!).toBeGreaterThan(2 * Math.max(r!, b!)); // green
  });
});
