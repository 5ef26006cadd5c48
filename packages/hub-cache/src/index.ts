/** Files of Hugging Face repositories, in the hub's own cache: resumed, verified, offline. Node only. */
export {
  checkRevision,
  type HubRepo,
  hubCacheDir,
  hubHome,
  isFile,
  isOffline,
  parseRepo,
  type RepoCache,
  type RepoType,
  repoCache,
} from "./cache.js";
export { type HubCommit, type HubFile, type HubOptions, hubCommit } from "./commit.js";
