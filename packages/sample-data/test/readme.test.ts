import { readFileSync } from "node:fs";
import { runReadmeExample } from "@insula/test-kit";
import { expect, test } from "vitest";

test("the README's example runs and prints what it says", async () => {
  const lines = await runReadmeExample(new URL("../", import.meta.url));
  const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
  expect(readme).toContain(`\`\`\`\n${lines.slice(0, 2).join("\n")}\n\`\`\``);
  const features = [
    "exterior_image_1_left",
    "wrist_image_left",
    "joint_position",
    "gripper_position",
    "actions",
  ];
  expect(lines[2]!.split(" ")).toEqual(expect.arrayContaining([...features, "actions_is_pad", "task"]));
});
