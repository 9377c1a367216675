// The real binary on a free port with its own data directory, and what to feed it.
import { spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PNG } from "pngjs";

const BINARY = process.env.TEST_BINARY;
if (!BINARY) throw new Error("TEST_BINARY: the path of the lookalike binary is needed");

export const SAMPLES = new URL("../../samples/", import.meta.url).pathname;

export async function start(flags = []) {
  const dir = await mkdtemp(join(tmpdir(), "lookalike-dashboard-"));
  // Without the cache a picture that was seen before takes as long as a new one, so that there is work to watch.
  const always = ["serve", "--port", "0", "--data-dir", dir, "--embed-cache-mib", "0"];
  const child = spawn(BINARY, [...always, ...flags], { cwd: tmpdir(), env: { ...process.env, LOOKALIKE_LOG: "error" } });
  let text = "";
  child.stderr.on("data", (data) => process.stderr.write(data));
  await new Promise((resolve, reject) => {
    child.stdout.on("data", (data) => {
      text += data;
      if (text.includes("ready ")) resolve();
    });
    child.on("exit", () => reject(new Error(`the server did not start: ${text}`)));
  });
  const url = text.split(/\s+/).find((word) => word.startsWith("http://"));
  return {
    url,
    async call(method, path, body, headers = {}) {
      const response = await fetch(url + path, { method, body: JSON.stringify(body), headers: { "content-type": "application/json", ...headers } });
      const answer = await response.json();
      if (!response.ok) throw new Error(`${method} ${path}: ${JSON.stringify(answer)}`);
      return answer.result;
    },
    async stop() {
      const ended = new Promise((resolve) => child.on("exit", resolve));
      child.kill("SIGKILL");
      await ended;
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** So many sample pictures of a folder. */
export async function pictures(folder, count, from = 0) {
  const names = (await readdir(join(SAMPLES, folder))).sort();
  return names.slice(from, from + count).map((name) => join(SAMPLES, folder, name));
}

/** What `samples.jsonl` says of each file. */
export async function about() {
  const lines = (await readFile(join(SAMPLES, "samples.jsonl"), "utf8")).trim().split("\n");
  return new Map(lines.map((line) => JSON.parse(line)).map((line) => [line.file, line]));
}

/** Fills a collection over the API, with what is known of each picture as its payload. */
export async function fill(server, collection, files, headers = {}) {
  await server.call("PUT", `/collections/${collection}`, {}, headers);
  const known = await about();
  for (let from = 0; from < files.length; from += 40) {
    const form = new FormData();
    const batch = files.slice(from, from + 40);
    const payloads = batch.map((file) => {
      const { file: _, ...rest } = known.get(file.slice(SAMPLES.length)) ?? {};
      return rest;
    });
    form.append("payloads", new Blob([JSON.stringify(payloads)], { type: "application/json" }));
    for (const file of batch) form.append("image", new Blob([await readFile(file)]), file.split("/").pop());
    const response = await fetch(`${server.url}/collections/${collection}/images`, { method: "POST", body: form, headers });
    const lines = (await response.text()).trim().split("\n").map((line) => JSON.parse(line));
    const failed = lines.filter((line) => line.status !== "ok");
    if (failed.length > 0) throw new Error(JSON.stringify(failed));
  }
}

/** Numbers from 0 to 1 that follow from a seed. */
function random(seed) {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

/** A signature as PNG: the waves of a writer's hand, each time different enough to be no copy. */
export function signature(writer, number) {
  const own = random(writer * 7919 + 13);
  const now = random(writer * 104_729 + number * 31 + 7);
  for (let i = 0; i < 20; i += 1) (own(), now());
  const hand = Array.from({ length: 24 }, () => own() * 2 - 1).map((value) => value + (now() * 2 - 1) * 0.1);
  const png = new PNG({ width: 360, height: 160 });
  png.data.fill(250);
  for (let step = 0; step < 6000; step += 1) {
    const t = step / 6000;
    const wave = (from) => [0, 1, 2, 3, 4, 5].reduce((sum, k) => sum + hand[from + k] * Math.sin((k * k + 2) * 3 * t + 3 * hand[(from + k + 7) % 24]), 0);
    const [x, y] = [40 + 280 * t + 18 * wave(0), 80 + 20 * wave(12)];
    for (const [dx, dy] of [[0, 0], [1, 0], [0, 1], [1, 1], [2, 1], [1, 2]]) {
      const at = (Math.min(159, Math.max(0, Math.trunc(y) + dy)) * 360 + Math.min(359, Math.max(0, Math.trunc(x) + dx))) * 4;
      png.data.fill(30, at, at + 3);
    }
  }
  for (let i = 3; i < png.data.length; i += 4) png.data[i] = 255;
  return PNG.sync.write(png);
}
