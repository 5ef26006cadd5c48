import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ACTION_DIM, type Episode, FPS, sampleEpisode } from "../src/episode.js";
import { GENERATOR_VERSION } from "../src/generate.js";
import { minimumJerk, PEAK_TO_MEAN } from "../src/minimum-jerk.js";
import { forwardKinematics, NUM_JOINTS, PANDA_LIMITS, withinLimits } from "../src/panda.js";
import { CAMERAS, makeRenderer } from "../src/render.js";
import { originOf, type Vec3 } from "../src/rigid.js";
import { MOVE_DISTANCE, SHAPE_SIZES } from "../src/scene.js";
import { DEFAULT_EPISODES } from "../src/splits.js";

const defaults: Episode[] = Array.from({ length: DEFAULT_EPISODES }, (_, i) => sampleEpisode(0, i));

const jointsAt = (e: Episode, t: number) => e.jointPosition.subarray(t * NUM_JOINTS, (t + 1) * NUM_JOINTS);
const actionAt = (e: Episode, t: number) => e.actions.subarray(t * ACTION_DIM, (t + 1) * ACTION_DIM);
const toolAt = (e: Episode, t: number) => originOf(forwardKinematics(jointsAt(e, t)).tcp);
const targetOf = (e: Episode) => e.scene.objects.findIndex((o) => e.task.includes(`${o.color} ${o.shape}`));
const objectAt = (e: Episode, t: number, i: number): Vec3 => originOf(e.objectPoses[t]![i]!);

/** Everything that must hold of any episode. */
function checkEpisode(e: Episode): void {
  for (let t = 0; t < e.frames; t++) {
    expect(withinLimits(jointsAt(e, t))).toBe(true);
    const action = actionAt(e, t);
    for (let k = 0; k < NUM_JOINTS; k++) {
      expect(Math.abs(action[k]!)).toBeLessThan(1);
      expect(Math.abs(action[k]!)).toBeLessThan(PANDA_LIMITS.velocity[k]!);
      if (t + 1 === e.frames) continue;
      const next = jointsAt(e, t)[k]! + action[k]! / FPS;
      expect(Math.abs(jointsAt(e, t + 1)[k]! - next)).toBeLessThan(1e-6);
    }
    expect(action[NUM_JOINTS]).toBeGreaterThanOrEqual(0);
    expect(action[NUM_JOINTS]).toBeLessThanOrEqual(1);
    expect(e.gripperPosition[t]).toBeGreaterThanOrEqual(0);
    expect(e.gripperPosition[t]).toBeLessThan(0.5); // stopped by the object
  }
  expect(actionAt(e, e.frames - 1).subarray(0, NUM_JOINTS)).toBeAllclose(new Float32Array(NUM_JOINTS), {
    atol: 1e-6,
  });
}

/** The instruction was carried out, and nothing else was. */
function checkOutcome(e: Episode): void {
  const target = targetOf(e);
  const [before, after] = [objectAt(e, 0, target), objectAt(e, e.frames - 1, target)];
  const moved = after.map((v, k) => v - before[k]!);
  e.scene.objects.forEach((_, i) => {
    if (i !== target) expect(objectAt(e, e.frames - 1, i)).toEqual(objectAt(e, 0, i));
  });
  const tool = toolAt(e, e.frames - 1);
  const offset = Math.hypot(tool[0] - after[0], tool[1] - after[1]);
  expect(offset).toBeLessThan(2e-3);
  if (e.task.startsWith("reach")) {
    expect(moved).toEqual([0, 0, 0]);
    const { height } = SHAPE_SIZES[e.scene.objects[target]!.shape];
    expect(tool[2] - height).toBeCloseTo(0.035, 3);
  } else if (e.task.startsWith("pick up")) {
    expect(moved).toBeAllclose([0, 0, 0.14], { atol: 2e-3 });
  } else {
    const dy = e.task.endsWith("left") ? MOVE_DISTANCE : -MOVE_DISTANCE;
    expect(moved).toBeAllclose([0, dy, 0], { atol: 2e-3 });
  }
}

describe("episodes", () => {
  test("the default ones are sound and do what they say", () => {
    for (const e of defaults) {
      checkEpisode(e);
      checkOutcome(e);
      const verb = e.task.split(" ")[0]!;
      // Paced by the clock, but for an object that is too far away for it.
      expect(e.frames).toBeGreaterThanOrEqual({ reach: 43, pick: 64, move: 89 }[verb]!);
      expect(e.frames).toBeLessThanOrEqual({ reach: 45, pick: 66, move: 91 }[verb]!);
    }
  });

  test("property: so are those of any seed", () => {
    fc.assert(
      fc.property(fc.integer(), fc.nat(1000), (seed, index) => {
        const e = sampleEpisode(seed, index);
        checkEpisode(e);
        checkOutcome(e);
      }),
      { numRuns: 60 },
    );
  });

  test("same scene, other sentence, other motion", () => {
    for (let k = 0; k < DEFAULT_EPISODES; k += 2) {
      const [a, b] = [defaults[k]!, defaults[k + 1]!];
      expect(a.scene).toEqual(b.scene);
      expect(a.task).not.toBe(b.task);
      const [endA, endB] = [toolAt(a, a.frames - 1), toolAt(b, b.frames - 1)];
      expect(Math.hypot(endA[0] - endB[0], endA[1] - endB[1], endA[2] - endB[2])).toBeGreaterThan(0.02);
      // At the first frame, apart from a few degrees, the two cannot be told apart.
      expect(jointsAt(a, 0)).toBeAllclose(jointsAt(b, 0), { atol: 0.11 });
    }
  });

  test("all verbs, colours and shapes occur, and most sentences more than once", () => {
    const text = defaults.map((e) => e.task).join("\n");
    for (const word of [
      "reach",
      "pick up",
      "left",
      "right",
      "red",
      "green",
      "blue",
      "on the left",
      "in the middle",
      "on the right",
    ])
      expect(text).toContain(word);
    for (const shape of ["cube", "ball", "cylinder"]) expect(text).toContain(shape);
  });

  test("a change of the generator must raise GENERATOR_VERSION", () => {
    const hash = createHash("sha256");
    const renderer = makeRenderer();
    for (const e of defaults.slice(0, 4)) {
      hash.update(e.task).update(e.jointPosition).update(e.gripperPosition).update(e.actions);
      for (const camera of CAMERAS) hash.update(renderer.rgb(e, e.frames >> 1, camera).data);
    }
    expect([GENERATOR_VERSION, hash.digest("hex").slice(0, 16)]).toEqual([3, "bf3a7f16f6f09812"]);
  });
});

test("minimum jerk: at rest at both ends, monotone, peak velocity 1.875 times the mean", () => {
  expect([minimumJerk(-1), minimumJerk(0), minimumJerk(0.5), minimumJerk(1), minimumJerk(2)]).toEqual([
    0, 0, 0.5, 1, 1,
  ]);
  const h = 1e-5;
  const velocity = (tau: number) => (minimumJerk(tau + h) - minimumJerk(tau - h)) / (2 * h);
  expect(velocity(h)).toBeLessThan(1e-6);
  expect(velocity(0.5)).toBeCloseTo(PEAK_TO_MEAN, 6);
  for (let i = 1; i < 100; i++) expect(velocity(i / 100)).toBeLessThanOrEqual(PEAK_TO_MEAN + 1e-9);
});
