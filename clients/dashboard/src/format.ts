// Numbers and names for people.
import type { Hit, Id, Payload } from "./api";

export const count = (n: number) => n.toLocaleString("en-GB");
export const percent = (share: number, digits = 0) => `${(share * 100).toFixed(digits)} %`;

export function bytes(n: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (n >= 1000 && unit < units.length - 1) {
    n /= 1000;
    unit += 1;
  }
  return `${n >= 100 || unit === 0 ? Math.round(n) : n.toFixed(1)} ${units[unit]}`;
}

export function duration(seconds: number): string {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}

export const short = (id: Id) => (String(id).length > 12 ? `${String(id).slice(0, 8)}…` : String(id));

const NAMES = ["title", "name", "label", "caption", "subject", "file"];

/** What to call a point: the most telling field of its payload, or its id. */
export function title(id: Id, payload?: Payload | null): string {
  for (const name of NAMES) {
    const value = payload?.[name];
    if (typeof value === "string" && value !== "") return value;
  }
  return `Point ${short(id)}`;
}

export const titleOf = (hit: Hit) => title(hit.id, hit.payload);
export const plain = (value: unknown) => (typeof value === "string" ? value : JSON.stringify(value));
export const plural = (n: number, one: string, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;
