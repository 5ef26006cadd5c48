/** @file What mends more than one thing. */

/** The oldest driver that runs CUDA 13. */
export const OLDEST_DRIVER = 580;

export const INSTALL = "insula doctor --install-cuda";

export const GET_DRIVER: string =
  `install NVIDIA's driver ${OLDEST_DRIVER} or newer (Debian: apt-get install nvidia-driver); ` +
  "in a container: docker run --gpus all";
