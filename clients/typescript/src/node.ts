/** What needs a file system: pictures of a folder, imported so that nothing is sent twice. For node alone. */

import { readdir, readFile } from "node:fs/promises";
import { extname, join, relative, sep } from "node:path";
import type { Client, Payload, PointId } from "./client.js";
import { BATCH, contentId } from "./pictures.js";

const ENDINGS = new Set([".jpg", ".jpeg", ".png", ".webp", ".gif"]);

export interface ImportFolderOptions {
  /** What to keep with a picture beside `file`, its path below the folder. */
  payload?: (file: string) => Payload;
  /** Send also what is there already. */
  overwrite?: boolean;
  onProgress?: (done: number, total: number) => void;
}

/** What an import of a folder came to. */
export interface FolderReport {
  imported: number;
  alreadyThere: number;
  errors: { file: string; error: string }[];
}

/**
 * Imports the pictures of a folder and of those within it; the collection is created if need be. Ids are made from
 * the pictures' bytes and what is there already is not sent again: an import that was interrupted goes on.
 */
export async function importFolder(
  client: Client,
  collection: string,
  folder: string,
  options: ImportFolderOptions = {},
): Promise<FolderReport> {
  const files = await picturesBelow(folder);
  if (!(await client.exists(collection))) await client.createCollection(collection);
  const report: FolderReport = { imported: 0, alreadyThere: 0, errors: [] };
  for (let start = 0; start < files.length; start += BATCH) {
    const batch = files.slice(start, start + BATCH);
    const read = new Map<PointId, { file: string; bytes: Uint8Array }>();
    for (const file of batch) {
      try {
        const bytes = new Uint8Array(await readFile(join(folder, file)));
        read.set(await contentId(bytes), { file, bytes });
      } catch (error) {
        report.errors.push({ file, error: String(error) });
      }
    }
    const there = options.overwrite ? new Set() : await client.existing(collection, [...read.keys()]);
    report.alreadyThere += there.size;
    const fresh = [...read].filter(([id]) => !there.has(id));
    const lines = await client.uploadImages(
      collection,
      fresh.map(([, { bytes }]) => bytes),
      {
        ids: fresh.map(([id]) => id),
        payloads: fresh.map(([, { file }]) => ({ file, ...options.payload?.(file) })),
      },
    );
    for (const line of lines) {
      if (line.status === "ok") report.imported += 1;
      else
        report.errors.push({
          file: fresh[line.index]?.[1].file ?? `${line.index}`,
          error: line.error ?? "refused",
        });
    }
    options.onProgress?.(start + batch.length, files.length);
  }
  return report;
}

async function picturesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile() && ENDINGS.has(extname(entry.name).toLowerCase()))
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join("/"))
    .filter((file) => !file.split("/").some((part) => part.startsWith(".")));
  return files.sort();
}
