/**
 * @file One library in one process: `worker.mjs LIBRARY OPTIONS`, with OPTIONS as JSON. Says when it is ready, then
 * answers its parent's messages in order: `{ steps }` with their times in milliseconds, `{ gradients }` with those of
 * the last step.
 */
import { load } from "./install.mjs";
import { drawValues } from "./layer.mjs";

const [library, options] = process.argv.slice(2);

async function main() {
  const { prepare } = await import(`./${library}.mjs`);
  const layer = await prepare({ values: drawValues(), load, ...JSON.parse(options) });
  let loss;
  let queue = Promise.resolve();
  const answer = async ({ steps, gradients }) => {
    if (gradients) return { loss, gradients: await layer.gradients() };
    const ms = [];
    for (let i = 0; i < steps; i++) {
      const t0 = performance.now();
      loss = await layer.step();
      ms.push(performance.now() - t0);
    }
    return { ms };
  };
  process.on("message", (message) => {
    queue = queue
      .then(() => answer(message))
      .then((result) => process.send(result))
      .catch(fail);
  });
  process.send({ ready: true });
  process.on("disconnect", () => layer.release().then(() => process.exit()));
}

function fail(error) {
  process.send({ error: `${library}: ${error.stack}` }, () => process.exit(1));
}

main().catch(fail);
