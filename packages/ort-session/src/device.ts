/**
 * @file Names of devices.
 */
import { InsulaError } from "@insula/model-types";

/** Where a session computes and where its device tensors lie. `cuda` is `cuda:0`. */
export type Device = "cpu" | "cuda" | `cuda:${number}`;

/** A device name taken apart. */
export interface DeviceLocation {
  type: "cpu" | "cuda";
  /** Which one of its type, from 0. */
  index: number;
}

/**
 * Take a device name apart.
 * @throws InsulaError `session/device` unless it is `cpu`, `cuda` or `cuda:` and a number.
 */
export function parseDevice(device: string): DeviceLocation {
  if (device === "cpu") return { type: "cpu", index: 0 };
  const match = /^cuda(?::(0|[1-9]\d{0,8}))?$/.exec(device);
  if (match) return { type: "cuda", index: Number(match[1] ?? 0) };
  throw new InsulaError("session/device", `device: expected cpu, cuda or cuda:<number>, found '${device}'`);
}

/** Whether two names mean the same device. */
export function sameDevice(a: Device, b: Device): boolean {
  const [left, right] = [parseDevice(a), parseDevice(b)];
  return left.type === right.type && left.index === right.index;
}
