import type { NdArray } from "@insula/model-types";
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  ALOHA_JOINT_FLIP,
  alohaActionsFromModel,
  alohaActionsToModel,
  alohaDeltaMask,
  alohaStateToModel,
  gripperAngularToCommand,
  gripperAngularToLinear,
  gripperCommandToAngular,
  gripperLinearToAngular,
} from "../src/index.js";

test("a state's gripper, against numpy on the reference's formula", () => {
  // At 1 the crank is stretched, r + l = 0.058 m; beyond, the sine is clipped.
  const reference: readonly [number, number][] = [
    [0, -1.0798655475132917],
    [0.25, -0.5130776068814178],
    [0.5, -0.1400559217021429],
    [0.75, 0.22332757987422025],
    [1, 0.945652797407483],
    [1.2, 0.945652797407483],
  ];
  for (const [v, angular] of reference) expect(gripperLinearToAngular(v)).toBeCloseTo(angular, 13);
});

test("linear and angular are inverse over the way of the fingers, and monotonic", () => {
  const way = fc.double({ min: 0, max: 0.999, noNaN: true });
  fc.assert(
    fc.property(way, (v) => {
      expect(gripperAngularToLinear(gripperLinearToAngular(v))).toBeCloseTo(v, 8);
    }),
  );
  fc.assert(
    fc.property(way, way, (a, b) => {
      fc.pre(Math.abs(a - b) > 1e-9);
      expect(Math.sign(gripperLinearToAngular(a) - gripperLinearToAngular(b))).toBe(Math.sign(a - b));
    }),
  );
});

test("commands and angles are inverse; the ends are the formula's", () => {
  expect(gripperCommandToAngular(0)).toBeCloseTo(-0.6213 - 0.5476, 15);
  expect(gripperCommandToAngular(1)).toBeCloseTo(1.491 - 0.5476, 15);
  expect(gripperAngularToCommand(0)).toBeCloseTo((0.5476 + 0.6213) / (1.491 + 0.6213), 15);
  fc.assert(
    fc.property(fc.double({ min: -10, max: 10, noNaN: true }), (v) => {
      expect(gripperAngularToCommand(gripperCommandToAngular(v))).toBeCloseTo(v, 12);
    }),
  );
});

const row = Float64Array.from({ length: 14 }, (_, i) => (i + 1) / 16);
const chunk = (data: Float64Array): NdArray => ({ data, shape: [data.length / 14, 14] });

test("joints are flipped, grippers converted, nothing else", () => {
  const flip = [1, -1, -1, 1, 1, 1, 1, 1, -1, -1, 1, 1, 1, 1];
  expect(ALOHA_JOINT_FLIP).toEqual(flip);
  const expected = (gripper: (v: number) => number) =>
    Float64Array.from(row, (v, i) => (i === 6 || i === 13 ? gripper(v) : v * flip[i]!));
  expect(alohaStateToModel({ data: row, shape: [14] }).data).toEqual(expected(gripperLinearToAngular));
  expect(alohaActionsToModel(chunk(row)).data).toEqual(expected(gripperCommandToAngular));
  expect(alohaActionsFromModel(chunk(row)).data).toEqual(expected(gripperAngularToCommand));
});

test("actions to the model and back are the same actions", () => {
  const number = fc.double({ min: -4, max: 4, noNaN: true });
  fc.assert(
    fc.property(fc.array(number, { minLength: 28, maxLength: 28 }), (values) => {
      const actions = chunk(Float64Array.from(values));
      expect(alohaActionsFromModel(alohaActionsToModel(actions)).data).toBeAllclose(actions.data, {
        atol: 1e-12,
      });
    }),
  );
});

test("joints are relative, grippers absolute", () => {
  const mask = alohaDeltaMask();
  expect(mask).toHaveLength(14);
  expect([...mask.keys()].filter((i) => !mask[i])).toEqual([6, 13]);
});

test("other widths are refused", () => {
  expect(() => alohaStateToModel(chunk(row))).toThrow("state: expected [14], found [1, 14]");
  expect(() => alohaStateToModel({ data: row.subarray(7), shape: [7] })).toThrow(
    "state: expected [14], found [7]",
  );
  expect(() => alohaActionsToModel({ data: row, shape: [2, 7] })).toThrow(
    "actions: expected [..., 14], found [2, 7]",
  );
});
