/**
 * @file Scenes and instructions: three objects of different colours on a table in front of the arm, and the
 * sentences that say what to do with them. A scene alone never determines the motion; the sentence does.
 */
import type { Random } from "./random.js";

/** Colours of objects. No two objects of a scene share one, so the colour alone says which is meant. */
export const COLORS = ["red", "green", "blue"] as const;
/** One of {@link COLORS}, as instructions spell it. */
export type Color = (typeof COLORS)[number];

/** Shapes of objects, all narrower than the open hand. Several objects of a scene may share one. */
export const SHAPES = ["cube", "ball", "cylinder"] as const;
/** One of {@link SHAPES}, as instructions spell it. */
export type Shape = (typeof SHAPES)[number];

/** Metres. `width` is what the fingers close on, `grasp` the height of the grasp above the object's base. */
export const SHAPE_SIZES: Record<Shape, { width: number; height: number; grasp: number }> = {
  cube: { width: 0.06, height: 0.06, grasp: 0.03 },
  ball: { width: 0.068, height: 0.068, grasp: 0.034 },
  cylinder: { width: 0.056, height: 0.1, grasp: 0.075 },
};

/** An object standing on the table (z = 0); x forward from the arm's base, y to its left, metres. */
export interface SceneObject {
  readonly color: Color;
  readonly shape: Shape;
  readonly x: number;
  readonly y: number;
  /** Rotation about the vertical, rad. */
  readonly yaw: number;
}

/** What stands on the table at the beginning of an episode: three objects where {@link sampleScene} drew it. */
export interface Scene {
  readonly objects: readonly SceneObject[];
}

/** Part of the table where objects are put, metres. */
export const WORKSPACE = { x: [0.36, 0.68], y: [-0.3, 0.3] } as const;

/** Where on the table an object stands as the robot sees it, and what sentences say of it: one object in each. */
const PLACES = [
  { y: [0.12, 0.3], text: "on the left" },
  { y: [-0.09, 0.09], text: "in the middle" },
  { y: [-0.3, -0.12], text: "on the right" },
] as const;
/** Least distance of two objects' centres: the open hand (0.2 m wide) fits between them. */
const CLEARANCE = 0.15;
/** How far objects are turned, rad: a cube's grasp follows, and a few pixels have to tell by how much. */
const MAX_YAW = 0.2;
/** How far "to the left" and "to the right" carry an object, metres. */
export const MOVE_DISTANCE = 0.12;

/** Draw a scene: three objects with three colours, at least 0.15 m apart, from left to right. */
export function sampleScene(random: Random): Scene {
  for (;;) {
    const colors = random.shuffle(COLORS);
    const objects = PLACES.map(
      ({ y }, i): SceneObject => ({
        color: colors[i]!,
        shape: random.choice(SHAPES),
        x: random.uniform(...WORKSPACE.x),
        y: random.uniform(y[0], y[1]),
        yaw: random.uniform(-MAX_YAW, MAX_YAW),
      }),
    );
    const far = objects.every((a, i) => objects.slice(i + 1).every((b) => distance(a, b) >= CLEARANCE));
    if (far) return { objects };
  }
}

function distance(a: { x: number; y: number }, b: { x: number; y: number }): number {
  return Math.hypot(a.x - b.x, a.y - b.y);
}

/** What to do with which object; `text` is the task string of the dataset. */
export interface Instruction {
  readonly verb: "reach" | "pick up" | "move left" | "move right";
  /** Index into `scene.objects`. */
  readonly target: number;
  readonly text: string;
}

/** Every instruction that makes sense in `scene`: objects are moved only to free places on the table. */
export function instructionsFor(scene: Scene): Instruction[] {
  return scene.objects.flatMap((object, target) => {
    const name = `the ${object.color} ${object.shape} ${PLACES[target]!.text}`;
    const out: Instruction[] = [
      { verb: "reach", target, text: `reach ${name}` },
      { verb: "pick up", target, text: `pick up ${name}` },
    ];
    for (const side of ["left", "right"] as const) {
      const place = { x: object.x, y: object.y + (side === "left" ? MOVE_DISTANCE : -MOVE_DISTANCE) };
      const inside = place.y >= WORKSPACE.y[0] && place.y <= WORKSPACE.y[1];
      const free = scene.objects.every((o, i) => i === target || distance(o, place) >= CLEARANCE);
      if (inside && free) out.push({ verb: `move ${side}`, target, text: `move ${name} to the ${side}` });
    }
    return out;
  });
}

/** Two instructions for one scene with different target objects, verbs drawn evenly. */
export function sampleInstructions(scene: Scene, random: Random): [Instruction, Instruction] {
  const all = instructionsFor(scene);
  const [first, second] = random.shuffle(scene.objects.map((_, i) => i));
  const draw = (target: number) => {
    const options = all.filter((o) => o.target === target);
    const family = random.choice(["reach", "pick up", "move"]);
    const wanted = options.filter((o) => o.verb.startsWith(family));
    return random.choice(wanted.length > 0 ? wanted : options);
  };
  return [draw(first!), draw(second!)];
}
