/** CUDA's provider and libraries for ONNX Runtime: getting them, loading them, and saying what is missing. */
export { explainCudaFailure, missingPart } from "./explain.js";
export { type InstallOptions, type InstallResult, installCudaLibraries } from "./install.js";
export {
  type CudaInstallation,
  type CudaManifest,
  cudaInstallation,
  type InstalledFile,
} from "./manifest.js";
export { type PackageSources, packageSources } from "./pip-config.js";
export { preloadCudaLibraries } from "./preload.js";
