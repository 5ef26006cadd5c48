/** @file The size of an encoded image, from its header: nothing is decoded. */

/** What the header of a PNG or JPEG file says. */
export interface ImageHeader {
  format: "png" | "jpeg";
  width: number;
  height: number;
}

const PNG_SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const IHDR = 0x49484452;

/** The header of a PNG or JPEG file; undefined when `bytes` are neither, or end before it. */
export function imageHeader(bytes: Uint8Array): ImageHeader | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (PNG_SIGNATURE.every((byte, i) => bytes[i] === byte)) return pngHeader(view);
  return bytes[0] === 0xff && bytes[1] === 0xd8 ? jpegHeader(view) : undefined;
}

/** IHDR is the first chunk: its length, its name, width, height. */
function pngHeader(view: DataView): ImageHeader | undefined {
  if (view.byteLength < 33 || view.getUint32(12) !== IHDR) return undefined;
  return sized("png", view.getUint32(16), view.getUint32(20));
}

/** The frame header (SOF0 to SOF15) behind any number of other segments. */
function jpegHeader(view: DataView): ImageHeader | undefined {
  for (let at = 2; at + 9 <= view.byteLength; ) {
    if (view.getUint8(at) !== 0xff) return undefined;
    const marker = view.getUint8(at + 1);
    if (marker === 0xff)
      at++; // Fill bytes may precede a marker.
    else if (isFrameHeader(marker)) return sized("jpeg", view.getUint16(at + 7), view.getUint16(at + 5));
    else at += isStandalone(marker) ? 2 : 2 + view.getUint16(at + 2);
  }
  return undefined;
}

/** SOF markers are C0 to CF without the tables DHT (C4), JPG (C8) and DAC (CC). */
function isFrameHeader(marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
}

/** TEM and RST0 to RST7 have no length. */
function isStandalone(marker: number): boolean {
  return marker === 0x01 || (marker >= 0xd0 && marker <= 0xd7);
}

function sized(format: ImageHeader["format"], width: number, height: number): ImageHeader | undefined {
  return width > 0 && height > 0 ? { format, width, height } : undefined;
}
