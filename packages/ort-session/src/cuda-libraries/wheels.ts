/**
 * @file Which Python wheels hold CUDA's provider and its libraries, and which files of them are needed. onnxruntime-node
 * ships no CUDA provider for Linux; the wheel onnxruntime-gpu of the same version does (built for CUDA 13), and
 * NVIDIA publishes CUDA's user-space libraries as wheels.
 */
import { InsulaError } from "@insula/model-types";

/** A wheel and what is taken out of it. */
export interface Wheel {
  /** Project on the package index. */
  project: string;
  version: string;
  /** Whole names of the files, without their folders. */
  files: readonly string[];
  /** Bytes of those files, Linux x64. */
  unpackedBytes: number;
  /** `provider`: beside ONNX Runtime's own library; `lib`: CUDA's libraries. */
  into: "provider" | "lib";
}

export const CUDA_PROVIDER = "libonnxruntime_providers_cuda.so";
export const SHARED_PROVIDER = "libonnxruntime_providers_shared.so";

/** ONNX Runtime's CUDA provider. */
export function providerWheel(onnxRuntimeVersion: string): Wheel {
  return {
    project: "onnxruntime-gpu",
    version: onnxRuntimeVersion,
    files: [SHARED_PROVIDER, CUDA_PROVIDER],
    unpackedBytes: 272_064_536,
    into: "provider",
  };
}

/**
 * CUDA 13.2 Update 2 and cuDNN 9.26, the set that PyTorch 2.15 is released with; every driver since 580 runs it. The
 * provider names cublasLt, cublas, curand and cudart as needed; it opens cuDNN, and cuDNN opens nvrtc, when they
 * first want them. cuFFT, which it would open for Fourier transforms, is left out: no graph here has one.
 */
export const CUDA_WHEELS: readonly Wheel[] = [
  {
    project: "nvidia-cuda-runtime",
    version: "13.2.86",
    files: ["libcudart.so.13"],
    unpackedBytes: 773_920,
    into: "lib",
  },
  {
    project: "nvidia-cublas",
    version: "13.4.1.3",
    files: ["libcublas.so.13", "libcublasLt.so.13"],
    unpackedBytes: 562_459_840,
    into: "lib",
  },
  {
    project: "nvidia-curand",
    version: "10.4.2.66",
    files: ["libcurand.so.10"],
    unpackedBytes: 133_931_224,
    into: "lib",
  },
  {
    project: "nvidia-cuda-nvrtc",
    version: "13.2.86",
    files: ["libnvrtc.so.13", "libnvrtc-builtins.so.13.2"],
    unpackedBytes: 119_775_392,
    into: "lib",
  },
  {
    project: "nvidia-cudnn-cu13",
    version: "9.26.0.51",
    files: [
      "libcudnn.so.9",
      "libcudnn_adv.so.9",
      "libcudnn_cnn.so.9",
      "libcudnn_engines_precompiled.so.9",
      "libcudnn_engines_runtime_compiled.so.9",
      "libcudnn_engines_tensor_ir.so.9",
      "libcudnn_ext.so.9",
      "libcudnn_graph.so.9",
      "libcudnn_heuristic.so.9",
      "libcudnn_ops.so.9",
    ],
    unpackedBytes: 887_676_824,
    into: "lib",
  },
];

/**
 * The machine name at the end of a wheel's platform tag.
 * @throws InsulaError `cuda/platform` where there is no CUDA provider.
 */
export function wheelMachine(platform: string = process.platform, arch: string = process.arch): string {
  const machine = platform === "linux" ? { x64: "x86_64", arm64: "aarch64" }[arch] : undefined;
  if (machine) return machine;
  throw new InsulaError(
    "cuda/platform",
    `CUDA: expected Linux on x64 or arm64, found ${platform} on ${arch}; there is no CUDA provider for it`,
  );
}
