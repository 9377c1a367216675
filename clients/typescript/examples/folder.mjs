// A folder in, without sending anything twice. Run it beside `lookalike serve`:
//   node examples/folder.mjs path/to/pictures
import { fileURLToPath } from "node:url";
import { Client } from "lookalike-client";
import { importFolder } from "lookalike-client/node";

const client = new Client(process.env.LOOKALIKE_URL ?? "http://localhost:6333");
const folder = process.argv[2] ?? fileURLToPath(new URL("../../../samples/clothing/", import.meta.url));
const report = await importFolder(client, "my-pictures", folder, {
  onProgress: (done, total) => console.log(`${done} of ${total}`),
});
console.log(`${report.imported} imported, ${report.alreadyThere} were there, ${report.errors.length} failed`);
for (const { file, error } of report.errors) console.log(`${file}: ${error}`);
