// The official JavaScript client, unmodified, against the real binary. It sends queries for the
// model un-nested: {"query": {"text": .., "model": ..}}.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { QdrantClient } from "@qdrant/js-client-rest";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const samples = readFileSync(join(root, "samples/samples.jsonl"), "utf8").trim().split("\n").map((line) => JSON.parse(line));
const image = (sample) => ({ image: readFileSync(join(root, "samples", sample.file)).toString("base64"), model: "bundled" });

let server, client, data;

before(async () => {
  data = mkdtempSync(join(tmpdir(), "lookalike-"));
  server = spawn(process.env.TEST_BINARY ?? join(root, "target/debug/lookalike"), ["serve", "--port", "0", "--data-dir", data]);
  const url = await new Promise((resolve, reject) => {
    let found;
    createInterface({ input: server.stdout }).on("line", (line) => {
      found ??= line.match(/http:\/\/\S+/)?.[0];
      if (line.includes("ready ")) resolve(found);
    });
    server.on("exit", (code) => reject(new Error(`the server ended with ${code}`)));
  });
  client = new QdrantClient({ url });
});

after(async () => {
  const ended = new Promise((resolve) => server.on("exit", resolve));
  server.kill("SIGTERM");
  assert.equal(await ended, 0);
  rmSync(data, { recursive: true });
});

test("pictures go in and are found by text, by picture and by id", async () => {
  await client.createCollection("photos", { vectors: { size: 256, distance: "Cosine" } });
  const points = samples.slice(0, 12).map((sample, id) => ({ id, vector: image(sample), payload: sample }));
  await client.upsert("photos", { wait: true, points });
  assert.equal((await client.count("photos")).count, 12);
  const byText = await client.query("photos", { query: { text: "a dress", model: "bundled" }, limit: 5, with_payload: true });
  assert.equal(byText.points.length, 5);
  assert.ok(byText.points.every((hit) => hit.payload.file));
  const byPicture = await client.query("photos", { query: image(samples[3]), limit: 1 });
  assert.equal(byPicture.points[0].id, 3);
  const byId = await client.query("photos", { query: 3, limit: 3 });
  assert.ok(byId.points.every((hit) => hit.id !== 3));
  const label = samples[0].label;
  const filter = { must: [{ key: "label", match: { value: label } }] };
  const filtered = await client.query("photos", { query: { text: "anything", model: "bundled" }, filter, limit: 12 });
  assert.equal(filtered.points.length, samples.slice(0, 12).filter((sample) => sample.label === label).length);
  const page = await client.scroll("photos", { limit: 5 });
  assert.equal(page.next_page_offset, 5);
  await client.delete("photos", { points: [0, 1] });
  assert.equal((await client.count("photos")).count, 10);
});

test("an error names the field", async () => {
  await assert.rejects(
    client.query("photos", { query: { text: "x", model: "other" } }),
    (error) => JSON.stringify(error.data).includes("not loaded"),
  );
});
