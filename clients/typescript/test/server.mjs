/** A real server for a test: on a free port over a data directory of its own. */
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
export const SAMPLES = join(ROOT, "samples");
const binary = process.env.TEST_BINARY ?? join(ROOT, "target/debug/lookalike");

export async function start(...flags) {
  const data = await mkdtemp(join(tmpdir(), "lookalike-"));
  const child = spawn(binary, ["serve", "--port", "0", "--data-dir", data, ...flags], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, LOOKALIKE_LOG: "error" },
  });
  let url;
  for await (const line of createInterface({ input: child.stdout })) {
    url ??= line.match(/http:\/\/\S+/)?.[0];
    if (line.includes("ready ")) break;
  }
  if (!url) throw new Error("the server did not start");
  const stop = async () => {
    const ended = new Promise((done) => child.once("exit", done));
    child.kill("SIGTERM");
    await ended;
    await rm(data, { recursive: true });
  };
  return { url, stop };
}
