import { InsulaError } from "@insula/model-types";
import { expect, test } from "vitest";
import { decodeObservation, encodeMessage, type Message } from "../src/index.js";
import { FUZZ_RUNS, hostileMessages } from "./fuzz.js";

test("whatever arrives is an observation or a typed error, and costs no memory", () => {
  const next = hostileMessages(1);
  const outcomes = new Map<string, number>();
  let before = 0;
  for (let i = 0; i < FUZZ_RUNS; i++) {
    // After a while: what the first messages compile and cache is not what a leak looks like.
    if (i === Math.floor(FUZZ_RUNS / 2)) before = process.memoryUsage().arrayBuffers;
    const bytes = next();
    let outcome = "decoded";
    try {
      const sample = decodeObservation(bytes);
      expect(Object.getPrototypeOf(sample)).toBe(Object.prototype);
      encodeMessage(sample as Message);
    } catch (error) {
      if (!(error instanceof InsulaError))
        throw new Error(Buffer.from(bytes).toString("hex"), { cause: error });
      outcome = error.code;
    }
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  }
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(64 * 1024 * 1024);
  // The generator reaches everything that can be refused, and what cannot.
  const reached = [
    "decoded",
    "truncated",
    "trailing",
    "depth",
    "type",
    "utf8",
    "key",
    "ndarray",
    "dtype",
    "shape",
  ];
  for (const code of reached) {
    expect(outcomes.get(code === "decoded" ? code : `codec/${code}`), code).toBeGreaterThan(0);
  }
}, 600_000);
