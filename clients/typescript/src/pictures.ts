/** Pictures as browsers and node have them, made what requests take. */

/** The bytes of a picture file, a file or blob of the browser or node, or a `data:` URL. */
export type Picture = Uint8Array | ArrayBuffer | Blob | string;

/** Bytes after which an upload is full, whatever its pictures. */
export const BATCH_BYTES = 32 * 1024 * 1024;
/** Pictures of one upload. */
export const BATCH = 32;

/** The picture as a blob. */
export async function blobOf(picture: Picture): Promise<Blob> {
  if (picture instanceof Blob) return picture;
  if (typeof picture === "string") {
    if (!picture.startsWith("data:")) {
      throw new TypeError("expected a data: URL; addresses of pictures are not fetched");
    }
    return (await fetch(picture)).blob();
  }
  return new Blob([picture as BlobPart]);
}

/** The picture as base64, as JSON takes it. */
export async function encoded(picture: Picture): Promise<string> {
  const bytes = new Uint8Array(await (await blobOf(picture)).arrayBuffer());
  let text = "";
  // Arguments of a call are bounded, so a slice at a time.
  for (let at = 0; at < bytes.length; at += 0x8000) {
    text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  }
  return btoa(text);
}

/** The file's name, where there is one. */
export function nameOf(picture: Picture): string | undefined {
  const name = (picture as { name?: unknown }).name;
  return typeof name === "string" ? name : undefined;
}

/** The id that the server and the command line give to a picture's bytes: UUID version 5. */
export async function contentId(bytes: Uint8Array): Promise<string> {
  // The namespace for object identifiers of RFC 9562.
  const namespace = [
    0x6b, 0xa7, 0xb8, 0x12, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8,
  ];
  const joined = new Uint8Array(16 + bytes.length);
  joined.set(namespace);
  joined.set(bytes, 16);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-1", joined)).subarray(0, 16);
  digest[6] = ((digest[6] ?? 0) & 0x0f) | 0x50;
  digest[8] = ((digest[8] ?? 0) & 0x3f) | 0x80;
  const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
