/**
 * @file A small software rasteriser: solids of convex faces in perspective, one flat shade per face, hard shadows on
 * the plane z = 0. Pixels are filled by fill-polygon.ts.
 */
import { type Frame, fillPolygon, fillShadow, gatherFace, IMAGE_SIZE } from "./fill-polygon.js";
import type { Mesh } from "./mesh.js";
import { SHADES } from "./palette.js";
import { compose, invert, normalize, type Rigid, type Vec3 } from "./rigid.js";

/** A pinhole camera: x right, y down, z forward. */
export interface Camera {
  /** World → camera coordinates. */
  readonly view: Rigid;
  /** Focal length, pixels. */
  readonly focal: number;
}

/** The camera at `pose` with the full angle of view `fov`, rad. */
export function makeCamera(pose: Rigid, fov: number): Camera {
  return { view: invert(pose), focal: IMAGE_SIZE / 2 / Math.tan(fov / 2) };
}

/** A mesh put into the world. */
export interface Instance {
  readonly mesh: Mesh;
  readonly pose: Rigid;
  readonly material: number;
}

/** Unit vector towards the light. */
export const LIGHT: Vec3 = normalize([0.25, 0.35, 0.9]);
const AMBIENT = 0.3;

// Vertices in world and in camera coordinates: drawing is synchronous, so one set serves all.
let local = new Float64Array(3 * 512);
let seen = new Float64Array(3 * 512);

/** Draw `instance`, nearer faces over farther ones. */
export function drawInstance(frame: Frame, camera: Camera, instance: Instance): void {
  const view = compose(camera.view, instance.pose);
  if (outside(view, instance.mesh.radius, camera.focal)) return;
  const { mesh, pose, material } = instance;
  seen = transformVertices(mesh, view, seen);
  const n = mesh.normals;
  for (let f = 0; f + 1 < mesh.offsets.length; f++) {
    const [nx, ny, nz] = [n[3 * f]!, n[3 * f + 1]!, n[3 * f + 2]!];
    // The face's plane in camera coordinates: m · p = offset. Facing away when the camera is behind it.
    const mx = view[0]! * nx + view[1]! * ny + view[2]! * nz;
    const my = view[4]! * nx + view[5]! * ny + view[6]! * nz;
    const mz = view[8]! * nx + view[9]! * ny + view[10]! * nz;
    const corner = 3 * mesh.corners[mesh.offsets[f]!]!;
    const offset = mx * seen[corner]! + my * seen[corner + 1]! + mz * seen[corner + 2]!;
    if (offset >= 0) continue;
    const lit = facesLight(pose, nx, ny, nz);
    const shade = Math.round((SHADES - 1) * (AMBIENT + (1 - AMBIENT) * Math.max(0, lit)));
    const count = gatherFace(mesh, f, seen);
    const plane = [mx / offset, my / offset, mz / offset] as const;
    fillPolygon(frame, count, camera.focal, plane, SHADES * material + shade);
  }
}

/** Darken the tabletop where `instance` keeps the light from it (its faces projected along the light to z = 0). */
export function drawShadow(frame: Frame, camera: Camera, instance: Instance): void {
  const { mesh, pose } = instance;
  local = transformVertices(mesh, pose, local);
  const toCamera = camera.view;
  const size = mesh.vertices.length;
  if (seen.length < size) seen = new Float64Array(2 * size);
  for (let i = 0; i < size; i += 3) {
    const drop = local[i + 2]! / LIGHT[2];
    const x = local[i]! - drop * LIGHT[0];
    const y = local[i + 1]! - drop * LIGHT[1];
    for (let r = 0; r < 3; r++)
      seen[i + r] = toCamera[4 * r]! * x + toCamera[4 * r + 1]! * y + toCamera[4 * r + 3]!;
  }
  const n = mesh.normals;
  for (let f = 0; f + 1 < mesh.offsets.length; f++) {
    const [nx, ny, nz] = [n[3 * f]!, n[3 * f + 1]!, n[3 * f + 2]!];
    if (facesLight(pose, nx, ny, nz) <= 0) continue; // the lit half alone casts the whole shadow
    fillShadow(frame, gatherFace(mesh, f, seen), camera.focal);
  }
}

/** Cosine of the angle between a face's normal, in its mesh's coordinates, and the light. */
function facesLight(pose: Rigid, nx: number, ny: number, nz: number): number {
  return (
    (pose[0]! * nx + pose[1]! * ny + pose[2]! * nz) * LIGHT[0] +
    (pose[4]! * nx + pose[5]! * ny + pose[6]! * nz) * LIGHT[1] +
    (pose[8]! * nx + pose[9]! * ny + pose[10]! * nz) * LIGHT[2]
  );
}

/** Whether a sphere about the origin of `view` lies wholly outside the field of view. */
function outside(view: Rigid, radius: number, focal: number): boolean {
  const [x, y, z] = [view[3]!, view[7]!, view[11]!];
  if (z < -radius) return true;
  const t = IMAGE_SIZE / 2 / focal;
  const slack = radius * Math.hypot(1, t);
  return Math.abs(x) - t * z > slack || Math.abs(y) - t * z > slack;
}

/** Vertices of `mesh` through `pose`, into `out` or a larger array. */
function transformVertices(
  mesh: Mesh,
  pose: Rigid,
  out: Float64Array<ArrayBuffer>,
): Float64Array<ArrayBuffer> {
  const v = mesh.vertices;
  const into = out.length < v.length ? new Float64Array(2 * v.length) : out;
  for (let n = 0; n < v.length; n += 3) {
    const [x, y, z] = [v[n]!, v[n + 1]!, v[n + 2]!];
    for (let r = 0; r < 3; r++)
      into[n + r] = pose[4 * r]! * x + pose[4 * r + 1]! * y + pose[4 * r + 2]! * z + pose[4 * r + 3]!;
  }
  return into;
}
