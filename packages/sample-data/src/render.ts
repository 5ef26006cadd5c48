/**
 * @file The two cameras of the sample data: `exterior_image_1_left`, fixed beside the table, and
 * `wrist_image_left`, mounted on the hand. 224×224 RGB.
 */
import { type NdArray, ndarray } from "@insula/model-types";
import type { Episode } from "./episode.js";
import { type Frame, IMAGE_SIZE, makeFrame } from "./fill-polygon.js";
import { boxMesh, capsuleMesh, cylinderMesh, type Mesh, polygonsMesh } from "./mesh.js";
import { materialIndex, PALETTE, SHADES, TABLE_LIT } from "./palette.js";
import { forwardKinematics, NUM_JOINTS } from "./panda.js";
import { pandaInstances } from "./panda-mesh.js";
import { type Camera, drawInstance, drawShadow, type Instance, makeCamera } from "./raster.js";
import { compose, IDENTITY, lookAlong, subtract, transformPoint, type Vec3 } from "./rigid.js";
import { SHAPE_SIZES, type Shape } from "./scene.js";

/** Camera names, as openpi's DROID configuration calls them. */
export const CAMERAS = ["exterior_image_1_left", "wrist_image_left"] as const;
/** One of {@link CAMERAS}; also the name of that camera's feature in the dataset. */
export type CameraName = (typeof CAMERAS)[number];

const EXTERIOR_EYE: Vec3 = [1.15, 0.55, 0.6];
const EXTERIOR_TARGET: Vec3 = [0.46, 0.02, 0.1];
const EXTERIOR: Camera = makeCamera(
  lookAlong(EXTERIOR_EYE, subtract(EXTERIOR_TARGET, EXTERIOR_EYE), [0, 0, 1]),
  (40 * Math.PI) / 180,
);
/** In the hand's frame: in front of the hand, looking past the fingertips. */
const WRIST_EYE: Vec3 = [0.085, 0, 0.02];
const WRIST_TARGET: Vec3 = [0.055, 0, 0.16];
const WRIST_MOUNT = lookAlong(WRIST_EYE, subtract(WRIST_TARGET, WRIST_EYE), [1, 0, 0]);
const WRIST_FOV = (80 * Math.PI) / 180;

const OBJECT_MESHES: Record<Shape, Mesh> = (() => {
  const { cube, ball, cylinder } = SHAPE_SIZES;
  const [h, r] = [cube.width / 2, ball.width / 2];
  return {
    cube: boxMesh([-h, -h, 0], [h, h, cube.height]),
    ball: capsuleMesh(r, r, r, 16, 5),
    cylinder: cylinderMesh(cylinder.width / 2, 0, cylinder.height, 20),
  };
})();

const TABLE = { x: [-0.3, 0.9], y: [-0.6, 0.6], thickness: 0.04, tiles: 5, floor: -0.75 } as const;

/** The tabletop's two kinds of tiles and its edges. */
function table(): Instance[] {
  const [x0, x1] = TABLE.x;
  const [y0, y1] = TABLE.y;
  const tile = (x1 - x0) / TABLE.tiles;
  const out: Instance[] = [];
  const put = (mesh: Mesh, material: number) => out.push({ mesh, pose: IDENTITY, material });
  for (const [odd, material] of (["tableStripe", "table"] as const).entries()) {
    const tiles: Vec3[][] = [];
    for (let i = 0; i < TABLE.tiles; i++)
      for (let j = (i + odd) % 2; j < TABLE.tiles; j += 2) {
        const [x, y] = [x0 + i * tile, y0 + j * tile];
        tiles.push([
          [x, y, 0],
          [x + tile, y, 0],
          [x + tile, y + tile, 0],
          [x, y + tile, 0],
        ]);
      }
    put(polygonsMesh(tiles), materialIndex(material));
  }
  const rim: Vec3[] = [
    [x0, y0, 0],
    [x1, y0, 0],
    [x1, y1, 0],
    [x0, y1, 0],
  ];
  const sides = rim.map(([ax, ay], i): Vec3[] => {
    const [bx, by] = rim[(i + 1) % 4]!;
    return [
      [ax, ay, -TABLE.thickness],
      [bx, by, -TABLE.thickness],
      [bx, by, 0],
      [ax, ay, 0],
    ];
  });
  put(polygonsMesh(sides), materialIndex("joint"));
  return out;
}

const ROOM = 3; // m from the arm's base to the walls
const FLOOR: Instance = {
  mesh: polygonsMesh([
    [
      [-ROOM, -ROOM, TABLE.floor],
      [ROOM, -ROOM, TABLE.floor],
      [ROOM, ROOM, TABLE.floor],
      [-ROOM, ROOM, TABLE.floor],
    ],
  ]),
  pose: IDENTITY,
  material: materialIndex("floor"),
};
const TABLE_PARTS: readonly Instance[] = table();
const WALL = SHADES * materialIndex("wall") + TABLE_LIT;

/** Draws frames of episodes; keeps the exterior camera's empty room between frames. */
export interface Renderer {
  /** Palette indices `[224, 224]` of frame `t`; valid until the next call. */
  draw(episode: Episode, t: number, camera: CameraName): Uint8Array;
  /** The same picture as RGB bytes `[224, 224, 3]`. */
  rgb(episode: Episode, t: number, camera: CameraName): NdArray<Uint8Array>;
}

/** A renderer. It draws into a frame of its own, so one renderer draws one picture at a time. */
export function makeRenderer(): Renderer {
  const frame = makeFrame();
  const room = makeFrame();
  drawRoom(room, EXTERIOR);
  const draw: Renderer["draw"] = (episode, t, camera) => {
    const q = episode.jointPosition.subarray(t * NUM_JOINTS, (t + 1) * NUM_JOINTS);
    const frames = forwardKinematics(q);
    const view: Camera =
      camera === "wrist_image_left" ? makeCamera(compose(frames.hand, WRIST_MOUNT), WRIST_FOV) : EXTERIOR;
    if (view === EXTERIOR) {
      frame.index.set(room.index);
      frame.depth.set(room.depth);
    } else {
      drawRoom(frame, view);
    }
    const solids = [
      ...pandaInstances(frames, episode.gripperPosition[t]!),
      ...episode.scene.objects.map((object, i) => ({
        mesh: OBJECT_MESHES[object.shape],
        pose: episode.objectPoses[t]![i]!,
        material: materialIndex(object.color),
      })),
    ];
    for (const solid of solids) drawShadow(frame, view, solid);
    for (const solid of solids) drawInstance(frame, view, solid);
    return frame.index;
  };
  return { draw, rgb: (episode, t, camera) => toRgb(draw(episode, t, camera)) };
}

function drawRoom(frame: Frame, camera: Camera): void {
  frame.index.fill(WALL);
  frame.depth.fill(0);
  for (const instance of TABLE_PARTS) drawInstance(frame, camera, instance);
  if (frame.depth.includes(0)) drawInstance(frame, camera, FLOOR); // seen from the hand, the table mostly fills the picture
}

/** Palette indices `[224, 224]` → RGB bytes `[224, 224, 3]`. */
function toRgb(index: Uint8Array): NdArray<Uint8Array> {
  const rgb = new Uint8Array(3 * index.length);
  for (let i = 0; i < index.length; i++) rgb.set(PALETTE.subarray(3 * index[i]!, 3 * index[i]! + 3), 3 * i);
  return ndarray(rgb, [IMAGE_SIZE, IMAGE_SIZE, 3]);
}

/** Where the exterior camera sees `point` (base coordinates, metres): column and row, pixels. */
export function projectExterior(point: Vec3): [number, number] {
  const [x, y, z] = transformPoint(EXTERIOR.view, point);
  return [IMAGE_SIZE / 2 + (EXTERIOR.focal * x) / z, IMAGE_SIZE / 2 + (EXTERIOR.focal * y) / z];
}
