import { runReadmeExample } from "@insula/test-kit";
import { expect, test } from "vitest";

test("the README's example runs and prints what it says", async () => {
  expect(await runReadmeExample(new URL("../", import.meta.url))).toEqual([
    "2 episodes, 20 frames, 10 fps",
    "push the button 8 15,8",
    "0,0,1,1,1,1,1,1,1,1,1,1,1,1,1",
    "4 samples wrist_image_left,joint_position,actions,actions_is_pad,task,task_index,episode_index,frame_index,timestamp,index",
    '{"sampler":{"seed":7,"length":20,"shuffle":true,"epoch":0,"position":4},"batchSize":4}',
  ]);
});
