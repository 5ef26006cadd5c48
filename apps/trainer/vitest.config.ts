export { default } from "../../packages/lerobot-dataset/vitest.config.js";
