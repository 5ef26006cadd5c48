/**
 * @file Rigid transforms of three-dimensional space: 12 numbers, the rows of the 3×4 matrix [R | t].
 */

/** `[r00, r01, r02, tx, r10, …, tz]`: maps a point p of the child frame to R·p + t in the parent frame. */
export type Rigid = readonly number[];
/** `[x, y, z]`, metres unless said otherwise. */
export type Vec3 = readonly [number, number, number];

export const IDENTITY: Rigid = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0];

/** a·b: first b, then a. */
export function compose(a: Rigid, b: Rigid): Rigid {
  const out: number[] = new Array(12);
  for (let r = 0; r < 12; r += 4) {
    const [x, y, z] = [a[r]!, a[r + 1]!, a[r + 2]!];
    for (let c = 0; c < 4; c++) out[r + c] = x * b[c]! + y * b[4 + c]! + z * b[8 + c]!;
    out[r + 3]! += a[r + 3]!;
  }
  return out;
}

/** The inverse transform: [Rᵀ | −Rᵀt]. */
export function invert(a: Rigid): Rigid {
  const out: number[] = new Array(12);
  for (let r = 0; r < 3; r++) {
    for (let c = 0; c < 3; c++) out[4 * r + c] = a[4 * c + r]!;
    out[4 * r + 3] = -(a[r]! * a[3]! + a[4 + r]! * a[7]! + a[8 + r]! * a[11]!);
  }
  return out;
}

/** R·p + t. */
export function transformPoint(a: Rigid, p: Vec3): Vec3 {
  const [x, y, z] = p;
  return [
    a[0]! * x + a[1]! * y + a[2]! * z + a[3]!,
    a[4]! * x + a[5]! * y + a[6]! * z + a[7]!,
    a[8]! * x + a[9]! * y + a[10]! * z + a[11]!,
  ];
}

/** The translation t. */
export function originOf(a: Rigid): Vec3 {
  return [a[3]!, a[7]!, a[11]!];
}

/** The column of R that is the child frame's axis 0 (x), 1 (y) or 2 (z). */
export function axisOf(a: Rigid, axis: 0 | 1 | 2): Vec3 {
  return [a[axis]!, a[4 + axis]!, a[8 + axis]!];
}

export function translation(x: number, y: number, z: number): Rigid {
  return [1, 0, 0, x, 0, 1, 0, y, 0, 0, 1, z];
}

/** Rotation about z by `angle` radians. */
export function rotationZ(angle: number): Rigid {
  const [c, s] = [Math.cos(angle), Math.sin(angle)];
  return [c, -s, 0, 0, s, c, 0, 0, 0, 0, 1, 0];
}

export function subtract(a: Vec3, b: Vec3): Vec3 {
  return [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
}

export function cross(a: Vec3, b: Vec3): Vec3 {
  return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
}

export function dot(a: Vec3, b: Vec3): number {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

export function normalize(a: Vec3): Vec3 {
  const length = Math.hypot(...a);
  return [a[0] / length, a[1] / length, a[2] / length];
}

/** The frame at `origin` whose z axis points along `forward` and whose x axis is `right`-most of `up`. */
export function lookAlong(origin: Vec3, forward: Vec3, up: Vec3): Rigid {
  const z = normalize(forward);
  const x = normalize(cross(z, up));
  const y = cross(z, x); // image rows grow downwards
  return [x[0], y[0], z[0], origin[0], x[1], y[1], z[1], origin[1], x[2], y[2], z[2], origin[2]];
}

/**
 * The rotation vector (axis · angle, radians, angle ≤ π) of the rotation that carries `from` to `to`, in
 * parent coordinates: the logarithm of R_to·R_fromᵀ.
 */
export function rotationVector(from: Rigid, to: Rigid): Vec3 {
  const r = compose([...to.slice(0, 3), 0, ...to.slice(4, 7), 0, ...to.slice(8, 11), 0], invert(from));
  const axis: Vec3 = [r[9]! - r[6]!, r[2]! - r[8]!, r[4]! - r[1]!]; // 2·sin(angle)·axis
  const sine = Math.hypot(...axis) / 2;
  const cosine = (r[0]! + r[5]! + r[10]! - 1) / 2;
  const angle = Math.atan2(sine, cosine);
  if (sine > 1e-9) {
    const k = angle / (2 * sine);
    return [axis[0] * k, axis[1] * k, axis[2] * k];
  }
  if (cosine > 0) return [axis[0] / 2, axis[1] / 2, axis[2] / 2];
  // Half a turn: R = 2·u·uᵀ − I; take the column of u·uᵀ with the largest diagonal.
  const diagonal = [r[0]!, r[5]!, r[10]!];
  const k = diagonal.indexOf(Math.max(...diagonal));
  const column = [0, 1, 2].map((i) => (r[4 * i + k]! + (i === k ? 1 : 0)) / 2) as unknown as Vec3;
  const u = normalize(column);
  return [u[0] * Math.PI, u[1] * Math.PI, u[2] * Math.PI];
}
