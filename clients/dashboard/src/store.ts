// What all of the page shares: where it is, how the server stands, what is being worked on.
import { signal } from "@preact/signals";
import { get, words, type Id, type Overview } from "./api";

export type View = "search" | "add" | "map" | "duplicates" | "verify" | "about";
export interface Place {
  page: "home" | "tasks" | "collection";
  collection: string;
  view: View;
}

function parse(hash: string): Place {
  const [page, name, view] = hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  if (page === "tasks") return { page: "tasks", collection: "", view: "search" };
  if (page === "c" && name) return { page: "collection", collection: name, view: (view as View) || "search" };
  return { page: "home", collection: "", view: "search" };
}

export const place = signal<Place>(parse(location.hash));
addEventListener("hashchange", () => {
  place.value = parse(location.hash);
  // As after any change of page: reading goes on at its title.
  requestAnimationFrame(() => document.querySelector<HTMLElement>("main h1")?.focus());
});

export const href = (collection: string, view: View) => `#/c/${encodeURIComponent(collection)}/${view}`;
export const go = (to: string) => (location.hash = to);

export const overview = signal<Overview | null>(null);
export const overviewError = signal<string | null>(null);

export async function refresh(): Promise<void> {
  try {
    overview.value = await get<Overview>("/overview");
    overviewError.value = null;
  } catch (error) {
    overviewError.value = words(error);
  }
}

/** Said to those who listen rather than look. */
export const spoken = signal("");
export function say(text: string) {
  spoken.value = "";
  requestAnimationFrame(() => (spoken.value = text));
}

export interface Failed {
  item: string;
  why: string;
}
export interface Task {
  id: number;
  title: string;
  collection: string;
  state: "running" | "done" | "failed" | "stopped";
  done: number;
  total: number;
  failures: Failed[];
  note: string;
  started: number;
  ended: number | null;
  stop: (() => void) | null;
}

/** What this tab works on. */
export const tasks = signal<Task[]>([]);

/** A task of the server, as `GET /tasks` describes it. */
export interface ServerTask {
  id: string;
  kind: string;
  collection?: string;
  state: "queued" | "running" | "cancelling" | "done" | "failed" | "cancelled";
  created: string;
  total?: number;
  done: number;
  failed: number;
  rate?: number;
  eta?: number;
  failures: { index: number; id?: Id; error: string }[];
  error?: string;
}
/** What the server works on in the background, newest first. */
export const serverTasks = signal<ServerTask[]>([]);
let lastTask = 0;

export function startTask(task: Pick<Task, "title" | "collection" | "total" | "stop">): number {
  lastTask += 1;
  const whole: Task = { ...task, id: lastTask, state: "running", done: 0, failures: [], note: "", started: Date.now(), ended: null };
  tasks.value = [whole, ...tasks.value].slice(0, 100);
  return lastTask;
}

export function updateTask(id: number, change: (task: Task) => Partial<Task>) {
  tasks.value = tasks.value.map((task) => (task.id === id ? { ...task, ...change(task) } : task));
}

export function endTask(id: number, state: Task["state"], note = "") {
  updateTask(id, () => ({ state, note, ended: Date.now(), stop: null }));
}

/** What a long call does, shown among the tasks; its error goes on to the caller. */
export async function tracked<T>(title: string, collection: string, work: () => Promise<T>): Promise<T> {
  const id = startTask({ title, collection, total: 0, stop: null });
  try {
    const done = await work();
    endTask(id, "done");
    return done;
  } catch (error) {
    endTask(id, "failed", words(error));
    throw error;
  }
}
