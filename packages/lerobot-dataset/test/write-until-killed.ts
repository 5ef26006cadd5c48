/** @file Adds tiny episodes to a dataset without end, saying which is done: somebody kills the process. */
import { appendToLeRobotDataset, createLeRobotDataset } from "../src/index.js";
import { TINY_FEATURES, tinyEpisode } from "./tiny.js";

export async function writeUntilKilled(dir: string, append: boolean): Promise<never> {
  const options = { fps: 10, robotType: "panda", features: TINY_FEATURES };
  const writer = append ? await appendToLeRobotDataset(dir) : await createLeRobotDataset(dir, options);
  for (;;) {
    const episode = writer.episodes;
    await writer.addEpisode(await tinyEpisode(episode, 1 + (episode % 5)));
    process.stdout.write(`${episode}\n`);
  }
}
