/** @file Hostile messages: valid ones bent by a seeded generator, and plain noise. */
import { bytesOf, READ, WRITTEN } from "./golden.js";

const SEEDS = [
  ...Object.values(WRITTEN).map(([, hex]) => hex),
  ...Object.values(READ).map(([hex]) => hex),
].map(bytesOf);
/** Heads whose content can be lied about: lengths, types, floats, extensions. */
const HEADS = [
  0x80, 0x90, 0xc1, 0xc4, 0xc6, 0xc7, 0xca, 0xcf, 0xd3, 0xd6, 0xd9, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xff,
];
const DTYPES = ["|O", ">f4", "<c8", "|V9", "<U9", "<f8", "<f2", "|S4", "<M8[s]", "<f4"];

/** How often: 1000, or what INSULA_FUZZ_RUNS says. */
export const FUZZ_RUNS: number = Number(process.env["INSULA_FUZZ_RUNS"] ?? 1000);

/** A generator of messages, the same ones for the same seed. */
export function hostileMessages(seed: number): () => Uint8Array<ArrayBuffer> {
  let state = seed | 0 || 1;
  const random = (below: number): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
  const pick = <T>(from: readonly T[]): T => from[random(from.length)]!;
  const noise = (n: number) => Uint8Array.from({ length: n }, () => random(256));
  const kinds: readonly ((base: Uint8Array) => Uint8Array)[] = [
    () => noise(random(200)),
    () => Uint8Array.from([pick(HEADS), ...noise(random(40))]),
    (base) => base.map((b) => (random(12) === 0 ? random(256) : b)),
    (base) => base.map((b, i) => (i > 0 && random(20) === 0 ? pick(HEADS) : b)),
    (base) => base.slice(0, random(base.length + 1)),
    (base) => Uint8Array.from([...base, ...noise(1 + random(9))]),
    (base) => {
      const [at, from] = [random(base.length), random(base.length)];
      return Uint8Array.from([...base.slice(0, at), ...pick(SEEDS).slice(from)]);
    },
    () => new Uint8Array(1 + random(3000)).fill(pick([0x91, 0x81, 0x92, 0xdc, 0xc0])),
    (base) => {
      const text = Buffer.from(base).toString("latin1");
      return Buffer.from(
        text.replace(/[<|][fiuU]\d|\|b1/, () => pick(DTYPES)),
        "latin1",
      );
    },
  ];
  return () => Uint8Array.from(pick(kinds)(pick(SEEDS)));
}
