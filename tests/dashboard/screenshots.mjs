// The pictures of the page in the README: `TEST_BINARY=... npm run screenshots` writes them to docs/screenshots. All that
// they show are the CC0 photos of samples/clothing.
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { chromium } from "@playwright/test";
import { fill, pictures, start } from "./server.mjs";

const TO = new URL("../../docs/screenshots/", import.meta.url).pathname;
/** As in dashboard.spec.mjs: files in place of those in the binary. */
const DIST = process.env.DIST;
/** Bytes of all of them together, at most. */
const MOST = 600_000;
const executablePath = process.env.CHROMIUM ?? ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
const server = await start();
const blank = await (await browser.newContext()).newPage();
let bytes = 0;

/** A picture of what is seen, as WebP: Chromium's own encoder makes it. */
async function shot(page, name) {
  await page.waitForTimeout(1200);
  const png = (await page.screenshot()).toString("base64");
  const webp = await blank.evaluate(async (png) => {
    const picture = new Image();
    picture.src = `data:image/png;base64,${png}`;
    await picture.decode();
    const canvas = Object.assign(document.createElement("canvas"), { width: picture.width, height: picture.height });
    canvas.getContext("2d").drawImage(picture, 0, 0);
    return canvas.toDataURL("image/webp", 0.75).split(",")[1];
  }, png);
  const file = Buffer.from(webp, "base64");
  bytes += file.length;
  await writeFile(join(TO, `${name}.webp`), file);
  console.log(`docs/screenshots/${name}.webp ${file.length} bytes`);
}

async function open(place, look = {}) {
  const context = await browser.newContext({ colorScheme: "light", viewport: { width: 1120, height: 820 }, ...look });
  const page = await context.newPage();
  if (DIST) {
    const types = { "app.js": "text/javascript", "style.css": "text/css" };
    for (const [file, contentType] of Object.entries(types)) await context.route(`**/dashboard/${file}`, (route) => route.fulfill({ path: join(DIST, file), contentType }));
  }
  await page.goto(`${server.url}/dashboard#${place}`);
  return page;
}

try {
  await mkdir(TO, { recursive: true });
  await fill(server, "wardrobe", await pictures("clothing", 245));
  await server.call("PUT", "/collections/wardrobe/index", { field_name: "label", field_schema: "keyword" });

  const search = await open("/c/wardrobe/search");
  const asked = search.getByLabel("Describe what you look for");
  await asked.fill("black pants");
  await asked.press("Enter");
  await search.getByText(/best first/).waitFor();
  await shot(search, "search");

  const map = await open("/c/wardrobe/map", { colorScheme: "dark" });
  await map.locator("canvas").waitFor();
  await map.getByLabel("Coloured by").selectOption({ label: "label" });
  await shot(map, "map");

  const copies = await open("/c/wardrobe/duplicates");
  await copies.getByRole("button", { name: "Find duplicates" }).click();
  await copies.getByText(/\d alike/).first().waitFor();
  await shot(copies, "duplicates");
} finally {
  await browser.close();
  await server.stop();
}
if (bytes > MOST) throw new Error(`the pictures have ${bytes} bytes, at most ${MOST} are allowed`);
