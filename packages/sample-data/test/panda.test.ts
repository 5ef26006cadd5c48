import { InsulaError } from "@insula/model-types";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { inverseKinematics } from "../src/inverse-kinematics.js";
import {
  forwardKinematics,
  jacobian,
  NUM_JOINTS,
  PANDA_LIMITS,
  PANDA_READY,
  withinLimits,
} from "../src/panda.js";
import { compose, originOf, type Rigid, rotationVector, rotationZ, translation } from "../src/rigid.js";

const { lower, upper } = PANDA_LIMITS;

/** Joint angles within the limits, a margin away from them. */
const joints = (margin = 0.05): fc.Arbitrary<number[]> =>
  fc.tuple(
    ...lower.map((low, i) =>
      fc.double({ min: low + margin, max: upper[i]! - margin, noNaN: true, noDefaultInfinity: true }),
    ),
  );

describe("forward kinematics", () => {
  test("all joints zero: the links add up along z", () => {
    const { hand, tcp } = forwardKinematics([0, 0, 0, 0, 0, 0, 0]);
    expect(originOf(hand)).toBeAllclose([0.088, 0, 0.333 + 0.316 + 0.384 - 0.107], { atol: 1e-12 });
    expect(originOf(tcp)).toBeAllclose([0.088, 0, 0.926 - 0.1034], { atol: 1e-12 });
  });

  test("Franka's ready posture: hand pointing down, fingers along y", () => {
    const { tcp } = forwardKinematics(PANDA_READY);
    expect(tcp).toBeAllclose([1, 0, 0, 0.30689, 0, -1, 0, 0, 0, 0, -1, 0.48688], { atol: 1e-5 });
  });

  test("the posture that Corke's Robotics Toolbox prints in its README (qr)", () => {
    const { tcp } = forwardKinematics([0, -0.3, 0, -2.2, 0, 2.0, Math.PI / 4]);
    expect(tcp).toBeAllclose([0.995, 0, 0.09983, 0.484, 0, -1, 0, 0, 0.09983, 0, -0.995, 0.4126], {
      atol: 5e-4,
    });
  });

  test("property: every frame is a rotation and a translation", () => {
    fc.assert(
      fc.property(joints(), (q) => {
        for (const f of [...forwardKinematics(q).joints, forwardKinematics(q).tcp]) {
          const r = [0, 4, 8].map((k) => f.slice(k, k + 3));
          const gram = r.flatMap((a) => r.map((b) => a[0]! * b[0]! + a[1]! * b[1]! + a[2]! * b[2]!));
          expect(gram).toBeAllclose([1, 0, 0, 0, 1, 0, 0, 0, 1], { atol: 1e-12 });
        }
      }),
    );
  });
});

test("property: the Jacobian is the derivative (central differences)", () => {
  fc.assert(
    fc.property(joints(), (q) => {
      const j = jacobian(forwardKinematics(q));
      const h = 1e-6;
      const expected = new Float64Array(42);
      for (let i = 0; i < NUM_JOINTS; i++) {
        const at = (delta: number) => forwardKinematics(q.map((v, k) => (k === i ? v + delta : v))).tcp;
        const [before, after] = [at(-h), at(h)];
        const moved = originOf(after).map((v, k) => v - originOf(before)[k]!);
        [...moved, ...rotationVector(before, after)].forEach((v, r) => {
          expected[r * NUM_JOINTS + i] = v / (2 * h);
        });
      }
      expect(j).toBeAllclose(expected, { atol: 1e-8 });
    }),
  );
});

describe("inverse kinematics", () => {
  const reaches = (q: Float64Array, target: Rigid) => {
    expect(withinLimits(q)).toBe(true);
    const { tcp } = forwardKinematics(q);
    expect(originOf(tcp)).toBeAllclose(originOf(target), { atol: 1e-6 });
    expect(rotationVector(tcp, target)).toBeAllclose([0, 0, 0], { atol: 1e-6 });
  };

  test("property: FK(IK(x)) is x for every pose that some posture reaches", () => {
    fc.assert(
      fc.property(joints(), (q) => {
        const target = forwardKinematics(q).tcp;
        reaches(inverseKinematics(target, { restarts: 100 }), target);
      }),
      { numRuns: 60 },
    );
  });

  test("property: over the table, hand down, the first start suffices and the posture stays near", () => {
    const pose = fc.record({
      x: fc.double({ min: 0.35, max: 0.68, noNaN: true }),
      y: fc.double({ min: -0.3, max: 0.3, noNaN: true }),
      z: fc.double({ min: 0.02, max: 0.4, noNaN: true }),
      yaw: fc.double({ min: -0.8, max: 0.8, noNaN: true }),
    });
    fc.assert(
      fc.property(pose, ({ x, y, z, yaw }) => {
        const target = compose(
          compose(translation(x, y, z), rotationZ(yaw)),
          [1, 0, 0, 0, 0, -1, 0, 0, 0, 0, -1, 0],
        );
        const q = inverseKinematics(target, { restarts: 0 });
        reaches(q, target);
        expect(Math.max(...q.map((v, i) => Math.abs(v - PANDA_READY[i]!)))).toBeLessThan(2.2);
      }),
    );
  });

  test("an unreachable target is refused with its position", () => {
    const attempt = () => inverseKinematics(translation(1.5, 0, 0.2), { restarts: 2 });
    expect(attempt).toThrow(InsulaError);
    expect(attempt).toThrow(/no joint angles within the limits put the tool at \[1\.500, 0\.000, 0\.200\]/);
  });
});
