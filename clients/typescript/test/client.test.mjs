/** The client against the real binary. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { ApiError, Client, contentId, Unreachable } from "lookalike-client";
import { importFolder } from "lookalike-client/node";
import { signature } from "./ink.mjs";
import { ROOT, SAMPLES, start } from "./server.mjs";

let server;
let client;
before(async () => {
  server = await start();
  client = new Client(server.url);
});
after(() => server.stop());

const lines = readFileSync(join(SAMPLES, "samples.jsonl"), "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line));
const bytes = (index) => new Uint8Array(readFileSync(join(SAMPLES, lines[index].file)));

test("pictures go in, bad ones are reported by place, and words and pictures find them", async () => {
  await client.createCollection("shop");
  const pictures = lines.slice(0, 70).map((_, index) => bytes(index));
  pictures[65] = new TextEncoder().encode("no picture");
  const progress = [];
  const answers = await client.uploadImages("shop", pictures, {
    payloads: lines.slice(0, 70),
    onProgress: (done) => progress.push(done),
  });
  assert.deepEqual(
    answers.map((line) => line.index),
    [...Array(70).keys()],
  );
  assert.deepEqual(
    answers.filter((line) => line.status !== "ok").map((line) => line.index),
    [65],
  );
  assert.deepEqual(progress, [32, 64, 70]);
  assert.equal(answers[0].id, await contentId(pictures[0]));
  const byPicture = await client.search("shop", { image: new Blob([pictures[3]]), limit: 1 });
  assert.equal(byPicture[0].payload.file, lines[3].file);
  assert.ok(byPicture[0].score > 0.99);
  const words = await client.search("shop", lines[3].label);
  assert.equal(words.length, 10);
  const where = { must: [{ key: "label", match: { value: lines[3].label } }] };
  const both = await client.search("shop", {
    text: "red",
    image: pictures[3],
    without: ["apple"],
    filter: where,
  });
  assert.ok(both.length > 0 && both.every((hit) => hit.payload.label === lines[3].label));
  const like = await client.search("shop", { like: byPicture[0].id, limit: 2 });
  assert.equal(like.length, 2);
  await assert.rejects(client.search("shop", {}), TypeError);
  let scrolled = 0;
  for await (const point of client.scroll("shop", { page: 20 })) scrolled += point.payload ? 1 : 0;
  assert.equal(scrolled, await client.count("shop"));
  await client.call("PUT", "/collections/shop/index", {
    body: { field_name: "label", field_schema: "keyword" },
  });
  assert.ok((await client.facet("shop", "label"))[0].count > 0);
  for await (const group of client.duplicates("shop", { threshold: 0.9 })) assert.ok(group.hits.length > 1);
});

test("models, vectors and collections are typed answers", async () => {
  const [model] = await client.models();
  const [text, picture] = await client.embed({ texts: ["a cup"], pictures: [bytes(0)] });
  assert.equal(text.length, model.dimension);
  assert.equal(picture.length, model.dimension);
  await client.createCollection("two", { vectors: { size: 2, distance: "Dot" } });
  assert.ok((await client.collections()).includes("two"));
  assert.equal((await client.collection("two")).points_count, 0);
  assert.equal(await client.exists("two"), true);
  const report = await client.importPoints("two", [{ id: 1, vector: [1, 2], payload: { a: 1 } }]);
  assert.deepEqual(report, { imported: 1, errors: [] });
  assert.deepEqual((await client.search("two", { vector: [1, 0] }))[0].payload, { a: 1 });
  assert.equal(await client.deleteCollection("two"), true);
  assert.equal(await client.exists("two"), false);
});

test("an import in the background is followed and cancelled", async () => {
  await client.createCollection("background");
  const points = Array.from({ length: 100 }, (_, id) => ({
    id,
    vector: id === 7 ? [1, 2] : { text: `number ${id}` },
  }));
  const started = await client.startImport("background", points);
  let looks = 0;
  const task = await client.wait(started.id, { everyMs: 50, progress: () => (looks += 1) });
  assert.deepEqual([task.state, task.total, task.done, task.failed], ["done", 100, 100, 1]);
  assert.ok(looks > 0 && task.failures[0].index === 7);
  assert.equal(await client.count("background"), 99);
  const snapshot = await client.wait((await client.start("POST", "/collections/background/snapshots")).id);
  assert.equal(snapshot.state, "done");
  assert.ok((await client.tasks()).some((each) => each.id === task.id));
  await assert.rejects(client.cancelTask(task.id), (error) => error.status === 409);
  const texts = Array.from({ length: 20_000 }, (_, id) => ({ id, vector: { text: `${id} of many` } }));
  const many = await client.startImport("background", texts);
  await client.cancelTask(many.id);
  assert.equal((await client.wait(many.id)).state, "cancelled");
  await client.deleteCollection("background");
});

test("a folder is imported once, and what is wrong is named", async () => {
  const folder = mkdtempSync(join(tmpdir(), "pictures-"));
  mkdirSync(join(folder, "inner"));
  for (const index of [0, 1, 2])
    copyFileSync(join(SAMPLES, lines[index].file), join(folder, "inner", `${index}.jpg`));
  writeFileSync(join(folder, "broken.jpg"), "no picture");
  const first = await importFolder(client, "folder", folder, { payload: () => ({ album: "a" }) });
  assert.equal(first.imported, 3);
  assert.deepEqual(
    first.errors.map((error) => error.file),
    ["broken.jpg"],
  );
  const again = await importFolder(client, "folder", folder);
  assert.deepEqual([again.imported, again.alreadyThere], [0, 3]);
  const [hit] = await client.search("folder", { image: bytes(1) });
  assert.deepEqual(hit.payload, { file: "inner/1.jpg", album: "a" });
});

test("signatures are enrolled, verified and identified", async () => {
  await client.createSignatureCollection("bank", { audit: true });
  const samples = [0, 1, 2, 3].map(signature);
  const enrolled = await client.enrol("bank", "A. Smith/1", samples.slice(0, 3));
  assert.equal(enrolled.references, 3);
  const answer = await client.verify("bank", "A. Smith/1", samples[3], { threshold: 0.1 });
  assert.ok(["accept", "reject", "review"].includes(answer.decision));
  assert.equal(answer.references.length, 3);
  const nobody = await client.identify("bank", samples[3]);
  assert.equal(nobody.subject ?? null, null);
  await assert.rejects(
    client.calibrate("bank", { targetFars: [0.01] }),
    (error) => error instanceof ApiError,
  );
  const names = [];
  for await (const subject of client.subjects("bank")) names.push(subject.subject);
  assert.deepEqual(names, ["A. Smith/1"]);
  assert.equal((await client.subject("bank", "A. Smith/1")).references.length, 3);
  assert.equal(await client.deleteSubject("bank", "A. Smith/1"), 3);
  assert.deepEqual(await client.calibrations("bank"), []);
});

test("errors say what is wrong and what kind it is", async () => {
  await assert.rejects(
    client.search("none", "x"),
    (error) => error.isNotFound && error.message.includes("none"),
  );
  const nowhere = new Client("http://127.0.0.1:9");
  await assert.rejects(
    nowhere.models(),
    (error) => error instanceof Unreachable && error.message.includes("serve"),
  );
  const locked = await start("--api-key", "secret-key");
  await assert.rejects(new Client(locked.url).models(), (error) => error.isUnauthorized);
  assert.equal((await new Client(locked.url, { apiKey: "secret-key" }).models()).length, 1);
  await locked.stop();
});

test("a busy server is asked again when it says", async () => {
  let asked = 0;
  const busy = createServer((_, response) => {
    asked += 1;
    response.statusCode = asked < 3 ? 429 : 200;
    response.setHeader("retry-after", "0");
    response.end(JSON.stringify(asked < 3 ? { status: { error: "busy" } } : { result: { models: [] } }));
  });
  await new Promise((done) => busy.listen(0, "127.0.0.1", done));
  const url = `http://127.0.0.1:${busy.address().port}`;
  assert.deepEqual(await new Client(url).models(), []);
  assert.equal(asked, 3);
  asked = 0;
  await assert.rejects(new Client(url, { patienceMs: 0 }).models(), (error) => error.status === 429);
  busy.close();
});

for (const example of readdirSync(join(ROOT, "clients/typescript/examples")).filter((name) =>
  name.endsWith(".mjs"),
)) {
  test(`example ${example} runs`, () => {
    const env = { ...process.env, LOOKALIKE_URL: server.url };
    const said = execFileSync(process.execPath, [join("examples", example), folder()], {
      cwd: join(ROOT, "clients/typescript"),
      env,
      encoding: "utf8",
    });
    assert.ok(said.trim().length > 0);
  });
}

/** A folder of a few pictures. */
function folder() {
  const made = mkdtempSync(join(tmpdir(), "pictures-"));
  for (const index of [0, 1, 2]) copyFileSync(join(SAMPLES, lines[index].file), join(made, `${index}.jpg`));
  return made;
}
