/** @file ALOHA datasets in LeRobot format (openpi `training/config.py` `LeRobotAlohaDataConfig`). */
import { repackTransform, type Transform } from "@insula/transforms";
import type { AlohaCamera } from "./inputs.js";

/**
 * Repack a LeRobot-format ALOHA sample to the keys of `alohaInputs`: `observation.state`, `action`, the cameras
 * named, and the prompt and padding flags where there are any.
 * @param cameras ALOHA's camera → dataset column. Default: upstream's, the single camera of ALOHA's simulator.
 * @throws InsulaError `transforms/missing-key` naming the key.
 */
export function alohaRepack(
  cameras: Readonly<Partial<Record<AlohaCamera, string>>> = { cam_high: "observation.images.top" },
): Transform {
  return repackTransform(
    {
      images: { ...cameras } as Record<string, string>,
      state: "observation.state",
      actions: "action",
      actions_is_pad: "action_is_pad",
      prompt: "prompt",
    },
    { optional: ["action_is_pad", "prompt"] },
  );
}
