// Makes src/schema.ts from the server's OpenAPI document, or checks that it is what would be made:
// TEST_BINARY=../../target/debug/lookalike node scripts/generate.mjs [--check]
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import openapiTS, { astToString } from "openapi-typescript";

const binary =
  process.env.TEST_BINARY ?? fileURLToPath(new URL("../../../target/debug/lookalike", import.meta.url));
const target = new URL("../src/schema.ts", import.meta.url);
const document = JSON.parse(execFileSync(binary, ["openapi"], { maxBuffer: 64 * 1024 * 1024 }).toString());
const header = "// Made from the OpenAPI document by scripts/generate.mjs.\n";
const made = header + astToString(await openapiTS(document));
const isSame = existsSync(target) && readFileSync(target, "utf8") === made;
if (process.argv.includes("--check")) {
  if (!isSame) {
    console.error("src/schema.ts is not what would be made; run npm run generate");
    process.exit(1);
  }
} else if (!isSame) {
  writeFileSync(target, made);
}
