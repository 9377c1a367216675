// Pictures in, words out. Run it beside `lookalike serve`:
//   node examples/search.mjs
import { readFile } from "node:fs/promises";
import { Client } from "lookalike-client";

const client = new Client(process.env.LOOKALIKE_URL ?? "http://localhost:6333");
const samples = new URL("../../../samples/", import.meta.url);
const list = (await readFile(new URL("samples.jsonl", samples), "utf8")).trim().split("\n");
const lines = list.slice(0, 40).map((line) => JSON.parse(line));

await client.deleteCollection("example");
await client.createCollection("example");
const pictures = await Promise.all(lines.map(async (line) => readFile(new URL(line.file, samples))));
const answers = await client.uploadImages("example", pictures, { payloads: lines });
console.log(
  `${answers.filter((answer) => answer.status === "ok").length} of ${answers.length} pictures are in`,
);

for (const hit of await client.search("example", { text: "a shirt", limit: 3 })) {
  console.log(hit.score.toFixed(3), hit.payload?.file);
}
