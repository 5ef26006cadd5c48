/**
 * @file Meshes of convex planar faces, in local coordinates, built once and drawn many times.
 */
import { type Rigid, transformPoint, type Vec3 } from "./rigid.js";

/** Faces as corner indices, counter-clockwise seen from outside. */
export interface Mesh {
  /** `[numVertices, 3]`, metres. */
  readonly vertices: Float64Array;
  /** Outward unit normals, `[numFaces, 3]`. */
  readonly normals: Float64Array;
  /** Corners of face f: `corners[offsets[f]] … corners[offsets[f + 1] - 1]`. */
  readonly corners: Uint32Array;
  readonly offsets: Uint32Array;
  /** Radius of a sphere about the local origin that holds every vertex. */
  readonly radius: number;
}

/** Assemble a mesh; degenerate faces (repeated corners) must have been left out. */
function makeMesh(points: readonly Vec3[], faces: readonly (readonly number[])[]): Mesh {
  const offsets = new Uint32Array(faces.length + 1);
  const normals = new Float64Array(3 * faces.length);
  faces.forEach((face, f) => {
    offsets[f + 1] = offsets[f]! + face.length;
    let normal = [0, 0, 0]; // Newell's method
    face.forEach((corner, i) => {
      const [ax, ay, az] = points[corner]!;
      const [bx, by, bz] = points[face[(i + 1) % face.length]!]!;
      normal = [
        normal[0]! + (ay - by) * (az + bz),
        normal[1]! + (az - bz) * (ax + bx),
        normal[2]! + (ax - bx) * (ay + by),
      ];
    });
    const length = Math.hypot(...normal);
    normals.set(
      normal.map((v) => v / length),
      3 * f,
    );
  });
  return {
    vertices: Float64Array.from(points.flat()),
    normals,
    corners: Uint32Array.from(faces.flat()),
    offsets,
    radius: Math.max(...points.map((p) => Math.hypot(...p))),
  };
}

/** The same mesh with its vertices moved by `pose`. */
export function movedMesh(mesh: Mesh, pose: Rigid): Mesh {
  const points: Vec3[] = [];
  for (let i = 0; i < mesh.vertices.length; i += 3)
    points.push(transformPoint(pose, [mesh.vertices[i]!, mesh.vertices[i + 1]!, mesh.vertices[i + 2]!]));
  const faces: number[][] = [];
  for (let f = 0; f + 1 < mesh.offsets.length; f++)
    faces.push([...mesh.corners.subarray(mesh.offsets[f]!, mesh.offsets[f + 1]!)]);
  return makeMesh(points, faces);
}

/** Loose polygons, each counter-clockwise seen from outside. */
export function polygonsMesh(polygons: readonly (readonly Vec3[])[]): Mesh {
  let next = 0;
  return makeMesh(
    polygons.flat(),
    polygons.map((polygon) => polygon.map(() => next++)),
  );
}

/** An axis-aligned box between two opposite corners. */
export function boxMesh(low: Vec3, high: Vec3): Mesh {
  const points: Vec3[] = [];
  for (const z of [low[2], high[2]])
    for (const y of [low[1], high[1]]) for (const x of [low[0], high[0]]) points.push([x, y, z]);
  return makeMesh(points, [
    [0, 2, 3, 1], // -z
    [4, 5, 7, 6], // +z
    [0, 1, 5, 4], // -y
    [2, 6, 7, 3], // +y
    [0, 4, 6, 2], // -x
    [1, 3, 7, 5], // +x
  ]);
}

/**
 * A surface of revolution about z: `profile` holds (radius, z) from bottom to top. Where the first or last
 * radius is positive the end is closed with a flat cap; radius 0 is a pole.
 */
export function revolvedMesh(profile: readonly (readonly [number, number])[], sides: number): Mesh {
  const points: Vec3[] = [];
  const rings: number[][] = profile.map(([radius, z]) => {
    const ring: number[] = [];
    for (let s = 0; s < (radius > 0 ? sides : 1); s++) {
      const angle = (2 * Math.PI * s) / sides;
      ring.push(points.length);
      points.push([radius * Math.cos(angle), radius * Math.sin(angle), z]);
    }
    return ring;
  });
  const faces: number[][] = [];
  for (let r = 0; r + 1 < rings.length; r++) {
    const [below, above] = [rings[r]!, rings[r + 1]!];
    for (let s = 0; s < sides; s++) {
      const t = (s + 1) % sides;
      const face = [below[s % below.length]!, below[t % below.length]!];
      face.push(above[t % above.length]!, above[s % above.length]!);
      faces.push(face.filter((corner, i) => corner !== face[(i + 1) % 4]));
    }
  }
  const [first, last] = [rings[0]!, rings.at(-1)!];
  if (first.length > 1) faces.push([...first].reverse());
  if (last.length > 1) faces.push(last);
  return makeMesh(points, faces);
}

export function cylinderMesh(radius: number, low: number, high: number, sides: number): Mesh {
  return revolvedMesh(
    [
      [radius, low],
      [radius, high],
    ],
    sides,
  );
}

/** A cylinder along z with half spheres at both ends; `low` = `high` makes a sphere. */
export function capsuleMesh(radius: number, low: number, high: number, sides: number, rings = 3): Mesh {
  const profile: [number, number][] = [[0, low - radius]];
  for (let k = 1; k <= rings; k++) {
    const angle = ((k / rings) * Math.PI) / 2;
    profile.push([radius * Math.sin(angle), low - radius * Math.cos(angle)]);
  }
  for (let k = low === high ? rings - 1 : rings; k >= 1; k--) {
    const angle = ((k / rings) * Math.PI) / 2;
    profile.push([radius * Math.sin(angle), high + radius * Math.cos(angle)]);
  }
  profile.push([0, high + radius]);
  return revolvedMesh(profile, sides);
}
