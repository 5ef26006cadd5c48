/** @file Wheels for tests: a zip archive from names and bytes, with the lies about itself that a test wants. */
import { crc32, deflateRawSync } from "node:zlib";

export interface Member {
  name: string;
  bytes: Uint8Array;
  stored?: boolean;
  /** Written instead of the truth. */
  lies?: { size?: number; crc?: number; method?: number; flags?: number; offset?: number };
}

/** An archive with these members. */
export function zip(members: readonly Member[], { comment = "" }: { comment?: string } = {}): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, bytes, stored = false, lies = {} } of members) {
    const data = stored ? Buffer.from(bytes) : deflateRawSync(bytes);
    const file = Buffer.from(name);
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(lies.flags ?? 0, 2);
    common.writeUInt16LE(lies.method ?? (stored ? 0 : 8), 4);
    common.writeUInt32LE(lies.crc ?? crc32(bytes), 10);
    common.writeUInt32LE(data.length, 14);
    common.writeUInt32LE(lies.size ?? bytes.length, 18);
    common.writeUInt16LE(file.length, 22);
    const extra = Buffer.from([1, 2, 2, 0, 7, 7]); // readers have to skip it
    common.writeUInt16LE(extra.length, 24);
    parts.push(Buffer.from("PK\x03\x04", "latin1"), common, file, extra, data);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE(lies.offset ?? offset, 10);
    const central = Buffer.concat([Buffer.from("PK\x01\x02\x14\x00", "latin1"), common, tail, file, extra]);
    directory.push(central);
    offset += 4 + common.length + file.length + extra.length + data.length;
  }
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", 0, "latin1");
  end.writeUInt16LE(members.length, 8);
  end.writeUInt16LE(members.length, 10);
  end.writeUInt32LE(Buffer.concat(directory).length, 12);
  end.writeUInt32LE(offset, 16);
  end.writeUInt16LE(Buffer.byteLength(comment), 20);
  return Buffer.concat([...parts, ...directory, end, Buffer.from(comment)]);
}
