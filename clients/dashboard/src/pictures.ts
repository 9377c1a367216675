// Thumbnails by point, fetched with the key and shown as blobs: at most so many at once, and so many kept.
import { ApiError, at, send, type Id } from "./api";

const AT_ONCE = 6;
const KEPT = 600;

const known = new Map<string, Promise<string | null>>();
const waiting: (() => void)[] = [];
let running = 0;

async function turn<T>(work: () => Promise<T>): Promise<T> {
  if (running >= AT_ONCE) await new Promise<void>((resolve) => waiting.push(resolve));
  running += 1;
  try {
    return await work();
  } finally {
    running -= 1;
    waiting.shift()?.();
  }
}

/** The address of a point's thumbnail; null where none is kept. */
export function thumbnail(collection: string, id: Id): Promise<string | null> {
  const key = `${collection}/${id}`;
  const there = known.get(key);
  if (there) {
    known.delete(key); // the newest stand last
    known.set(key, there);
    return there;
  }
  const made = turn(async () => {
    try {
      const response = await send("GET", at(collection, `/points/${encodeURIComponent(String(id))}/thumbnail`));
      return URL.createObjectURL(await response.blob());
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 404)) known.delete(key);
      return null;
    }
  });
  known.set(key, made);
  if (known.size > KEPT) {
    const [oldest, url] = known.entries().next().value!;
    known.delete(oldest);
    void url.then((url) => url && URL.revokeObjectURL(url));
  }
  return made;
}

/** Forgets what is known of a collection's pictures: they may have changed. */
export function forgetThumbnails(collection: string) {
  for (const [key, url] of known) {
    if (key.startsWith(`${collection}/`)) {
      known.delete(key);
      void url.then((url) => url && URL.revokeObjectURL(url));
    }
  }
}

/** A file's bytes as base64, as the API takes pictures in JSON. */
export function base64(file: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result).replace(/^data:[^,]*,/, ""));
    reader.onerror = () => reject(reader.error ?? new Error("the file cannot be read"));
    reader.readAsDataURL(file);
  });
}

const PICTURES = /\.(jpe?g|png|webp|gif)$/i;

/** Whether a file looks like a picture that the server reads. */
export const isPicture = (file: File) => /^image\/(jpeg|png|webp|gif)$/.test(file.type) || PICTURES.test(file.name);

/** The files of a drop, also those in dropped folders. */
export async function dropped(transfer: DataTransfer): Promise<File[]> {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter((entry) => entry != null);
  if (entries.length === 0) return [...transfer.files];
  const found: File[] = [];
  const walk = async (entry: FileSystemEntry): Promise<void> => {
    if (entry.isFile) {
      found.push(await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject)));
      return;
    }
    const reader = (entry as FileSystemDirectoryEntry).createReader();
    for (;;) {
      const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
      if (some.length === 0) return;
      for (const one of some) await walk(one);
    }
  };
  for (const entry of entries) await walk(entry);
  return found;
}
