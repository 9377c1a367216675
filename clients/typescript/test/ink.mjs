/** Pictures of pen strokes, as PNG, without a library. */
import { crc32, deflateSync } from "node:zlib";

const WIDTH = 320;
const HEIGHT = 120;

/** A signature of one hand; `seed` changes it a little. */
export function signature(seed) {
  const pixels = new Uint8Array(WIDTH * HEIGHT).fill(255);
  for (let step = 0; step < 4000; step += 1) {
    const t = step / 4000;
    const x = 20 + 280 * t + 6 * Math.sin(9 * t + seed);
    const y = 60 + 38 * Math.sin(23 * t + 0.2 * seed) * Math.cos(5 * t);
    for (let dx = 0; dx < 3; dx += 1) {
      for (let dy = 0; dy < 3; dy += 1) pixels[Math.round(y + dy) * WIDTH + Math.round(x + dx)] = 20;
    }
  }
  return png(pixels);
}

function png(pixels) {
  const rows = new Uint8Array(HEIGHT * (WIDTH + 1));
  for (let y = 0; y < HEIGHT; y += 1)
    rows.set(pixels.subarray(y * WIDTH, (y + 1) * WIDTH), y * (WIDTH + 1) + 1);
  const head = Buffer.alloc(13);
  head.writeUInt32BE(WIDTH, 0);
  head.writeUInt32BE(HEIGHT, 4);
  // Eight bits of grey.
  head.set([8, 0, 0, 0, 0], 8);
  const magic = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const parts = [
    magic,
    chunk("IHDR", head),
    chunk("IDAT", deflateSync(rows)),
    chunk("IEND", Buffer.alloc(0)),
  ];
  return new Uint8Array(Buffer.concat(parts));
}

function chunk(kind, data) {
  const body = Buffer.concat([Buffer.from(kind), data]);
  const size = Buffer.alloc(4);
  size.writeUInt32BE(data.length);
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(body));
  return Buffer.concat([size, body, sum]);
}
