import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { readMetrics, runCli } from "../src/index.js";

const base = mkdtempSync(join(tmpdir(), "insula-first-step-"));
afterAll(() => rmSync(base, { recursive: true }));

test("insula train --config pi05_droid_ki --num_steps 1 --log_dir DIR logs both losses and the norms of both groups", async () => {
  const lines: string[] = [];
  const io = { out: (line: string) => void lines.push(line), err: (line: string) => void lines.push(line) };
  const code = await runCli(
    ["train", "--config", "pi05_droid_ki", "--num_steps", "1", "--log_dir", base],
    io,
  );
  expect(code, lines.join("\n")).toBe(0);
  const [row] = readMetrics(join(base, "metrics.jsonl"));
  expect(row).toMatchObject({ step: 1, fast_loss: expect.any(Number), action_loss: expect.any(Number) });
  expect(row!.total).toBeCloseTo(row!.action_loss! + row!.fast_loss!, 4); // λ = 1
  expect(row!.grad_norm_vlm).toBeGreaterThan(0);
  expect(row!.grad_norm_expert).toBeGreaterThan(0);
  expect(lines.join("\n")).toMatch(/step 1\/1 .*fast_loss \d.*action_loss \d.*vlm \d.*expert \d/);
}, 180_000);
