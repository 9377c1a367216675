// The roads that people take through the page, end to end in Chromium against the real binary.
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "@playwright/test";
import { fill, pictures, SAMPLES, signature, start } from "./server.mjs";

const AXE = await readFile(new URL("./node_modules/axe-core/axe.min.js", import.meta.url), "utf8");
const SHOTS = process.env.SCREENSHOTS;
/** A folder whose app.js and style.css stand for those in the binary: the page is tried without building it again. */
const DIST = process.env.DIST;
const LIGHT = { colorScheme: "light", viewport: { width: 1280, height: 860 } };
const DARK = { colorScheme: "dark", viewport: { width: 1280, height: 860 } };
const PHONE = { colorScheme: "light", viewport: { width: 390, height: 844 } };

/** A page that fails the test where it logs an error, is refused by its policy, or asks another host. */
async function open(browser, server, look = LIGHT) {
  const context = await browser.newContext(look);
  const page = await context.newPage();
  if (DIST) {
    const types = { "app.js": "text/javascript", "style.css": "text/css" };
    for (const [file, contentType] of Object.entries(types)) await context.route(`**/dashboard/${file}`, (route) => route.fulfill({ path: join(DIST, file), contentType }));
  }
  const wrong = [];
  page.on("pageerror", (error) => wrong.push(String(error)));
  page.on("console", (message) => {
    const text = message.text();
    if (/Content Security Policy/.test(text) || (message.type() === "error" && !/status of 40[14]/.test(text))) wrong.push(text);
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(server.url) && !request.url().startsWith("blob:")) wrong.push(`asks ${request.url()}`);
  });
  page.wrong = wrong;
  await page.goto(`${server.url}/dashboard`);
  return page;
}

async function shot(page, name) {
  if (!SHOTS) return;
  await mkdir(SHOTS, { recursive: true });
  // What is far below is loaded when it comes near.
  for (let y = 0; y < 4000; y += 600) {
    await page.evaluate((y) => scrollTo(0, y), y);
    await page.waitForTimeout(60);
  }
  await page.evaluate(() => scrollTo(0, 0));
  await page.waitForTimeout(500);
  await page.screenshot({ path: join(SHOTS, `${name}.png`), fullPage: true });
}

/** No finding of axe that is serious or critical, and nothing wider than the screen. */
async function accessible(page, where) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  const grave = violations.filter((one) => ["serious", "critical"].includes(one.impact));
  const told = grave.map((one) => `${one.id}: ${one.nodes.map((node) => `${node.html} ${node.any.map((any) => any.message).join()}`).join("\n   ")}`);
  expect(told, where).toEqual([]);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  expect(wide, `${where} is wider than the screen`).toBeLessThanOrEqual(0);
}

const cards = (page) => page.getByRole("list", { name: "Results" }).getByRole("listitem");
const tab = (page, name) => page.getByRole("navigation", { name: /^Of / }).getByRole("link", { name });

test.describe("pictures", () => {
  let server;
  test.beforeAll(async () => {
    server = await start(["--originals"]);
    await fill(server, "shop", [...(await pictures("clothing", 90)), ...(await pictures("pictograms", 60))]);
    await server.call("PUT", "/collections/shop/index", { field_name: "label", field_schema: "keyword" });
  });
  test.afterAll(() => server.stop());

  test("a new collection is made, filled by the file chooser, and says what could not be read", async ({ browser }) => {
    const page = await open(browser, server);
    await page.getByLabel("Name").fill("mine");
    await page.getByRole("button", { name: "Create" }).click();
    await expect(page.getByRole("heading", { level: 1 })).toHaveText("mine");
    await shot(page, "add-empty");
    const files = (await pictures("clothing", 5)).concat(join(SAMPLES, "README.md"));
    await page.getByLabel("Value").fill("first");
    const broken = { name: "broken.jpg", mimeType: "image/jpeg", buffer: Buffer.from("no picture") };
    const chosen = await Promise.all(files.map(async (file) => ({ name: file.split("/").pop(), mimeType: file.endsWith(".md") ? "text/markdown" : "image/jpeg", buffer: await readFile(file) })));
    await page.getByLabel("Choose pictures").first().setInputFiles([...chosen, broken]);
    const task = page.getByRole("article", { name: /Add 6 pictures/ });
    await expect(task).toContainText("5 pictures added");
    await expect(task).toContainText("broken.jpg");
    await expect(task).toContainText("README.md");
    await shot(page, "add-done");
    await accessible(page, "add");
    await task.getByRole("button", { name: "Search them" }).click();
    await expect(cards(page)).toHaveCount(5);
    const { points } = await server.call("POST", "/collections/mine/points/scroll", { with_payload: true });
    expect(points.map((point) => point.payload.label)).toEqual(["first", "first", "first", "first", "first"]);
    expect(page.wrong).toEqual([]);
  });

  test("words, a picture, both, and words to move away from find pictures with their relevance", async ({ browser }) => {
    const page = await open(browser, server);
    await page.getByRole("link", { name: /shop/ }).click();
    await expect(cards(page)).toHaveCount(24);
    await expect(page.getByText(/\bNaN\b/)).toHaveCount(0);
    await shot(page, "search-start");
    const asked = page.getByLabel("Describe what you look for");
    await asked.fill("banana");
    await asked.press("Enter");
    await expect(page.getByText("24 best first")).toBeVisible();
    await expect(cards(page).first()).toContainText(/banana/i);
    await expect(cards(page).first().getByRole("meter")).toBeVisible();
    await expect(cards(page).first().locator("img")).toHaveAttribute("src", /^blob:/);
    await shot(page, "search-text");
    await page.getByRole("button", { name: "Show more" }).click();
    await expect(cards(page)).toHaveCount(48);

    const [photo] = await pictures("clothing", 1, 7);
    await asked.fill("");
    const answered = page.waitForResponse((response) => response.url().endsWith("/points/query") && response.request().postData().includes('"image"'));
    await page.getByLabel("Picture", { exact: true }).setInputFiles(photo);
    const [best] = (await (await answered).json()).result.points;
    expect(best.payload.file).toBe(photo.split("/").pop());
    await expect(cards(page).first()).toContainText(best.payload.label);
    const sent = page.waitForRequest((request) => request.url().endsWith("/points/query"));
    await asked.fill("shoes");
    await page.getByPlaceholder(/words to move away from/).fill("shirt, hat");
    await asked.press("Enter");
    const parts = JSON.parse((await sent).postData()).query.object;
    expect(parts.map((part) => [Object.keys(part)[0], part.weight])).toEqual([["text", 1], ["image", 1], ["text", -0.5], ["text", -0.5]]);
    await expect(page.getByText("Words")).toBeVisible();
    await shot(page, "search-mixed");
    await accessible(page, "search");
    expect(page.wrong).toEqual([]);
  });

  test("a hit opens, leads to more like it, and can be downloaded and deleted", async ({ browser }) => {
    const page = await open(browser, server);
    await page.goto(`${server.url}/dashboard#/c/shop/search`);
    const asked = page.getByLabel("Describe what you look for");
    await asked.fill("anchor");
    await asked.press("Enter");
    await expect(cards(page).first()).toContainText(/anchor/i);
    await cards(page).first().getByRole("button", { name: /^Open/ }).click();
    const dialog = page.getByRole("dialog");
    await expect(dialog.getByRole("img").first()).toBeVisible();
    await shot(page, "detail");
    await accessible(page, "detail");
    const download = page.waitForEvent("download");
    await dialog.getByRole("button", { name: "Download original" }).click();
    expect((await download).suggestedFilename()).toMatch(/\.png$/);
    await dialog.getByRole("button", { name: "More like this" }).click();
    await expect(dialog).toHaveCount(0);
    await expect(page.getByText(/^Like /)).toBeVisible();
    await expect(page.getByText("24 best first")).toBeVisible();
    await shot(page, "more-like-this");
    await page.keyboard.press("Escape");
    const before = (await server.call("POST", "/collections/shop/points/count", {})).count;
    await cards(page).last().getByRole("button", { name: /^Open/ }).click();
    await dialog.getByRole("button", { name: "Delete" }).click();
    await dialog.getByRole("button", { name: "Delete it for good" }).click();
    await expect(cards(page)).toHaveCount(23);
    expect((await server.call("POST", "/collections/shop/points/count", {})).count).toBe(before - 1);
    expect(page.wrong).toEqual([]);
  });

  test("filters come from the payload with their counts, and a field without an index can be given one", async ({ browser }) => {
    const page = await open(browser, server);
    await page.goto(`${server.url}/dashboard#/c/shop/search`);
    const facet = page.getByRole("group", { name: "label" }).getByRole("checkbox").first();
    await expect(facet).toBeVisible();
    const label = (await page.getByRole("group", { name: "label" }).getByRole("listitem").first().locator(".value").textContent()).trim();
    const { hits } = await server.call("POST", "/collections/shop/facet", { key: "label", limit: 1 });
    expect(label).toBe(hits[0].value);
    await facet.check();
    await expect(cards(page)).toHaveCount(Math.min(24, hits[0].count));
    await shot(page, "filters");
    const add = page.getByRole("button", { name: /^\+ / }).first();
    const field = (await add.textContent()).trim().replace(/^\+ /, "");
    await add.click();
    await expect(page.getByRole("group", { name: field, exact: true })).toBeVisible();
    await page.getByRole("button", { name: "Clear filters" }).click();
    await expect(facet).not.toBeChecked();
    expect(page.wrong).toEqual([]);
  });

  test("the map is drawn, shows pictures, and is walked by keys", async ({ browser }) => {
    const page = await open(browser, server);
    await page.goto(`${server.url}/dashboard#/c/shop/map`);
    const map = page.getByRole("application");
    await expect(map).toBeVisible();
    await page.getByLabel("Coloured by").selectOption("label");
    await expect(page.getByRole("list", { name: "Colours by label" })).toBeVisible();
    await map.focus();
    await page.keyboard.press("ArrowRight");
    await expect(page.locator(".tip img")).toBeVisible();
    const first = await page.locator(".tip").getAttribute("style");
    await page.keyboard.press("ArrowRight");
    await expect(page.locator(".tip")).not.toHaveAttribute("style", first);
    await shot(page, "map");
    await accessible(page, "map");
    await page.keyboard.press("Enter");
    await expect(page.getByRole("dialog")).toBeVisible();
    await page.keyboard.press("Escape");
    await expect(page.getByRole("dialog")).toHaveCount(0);
    await page.getByLabel("Arranged by").selectOption("pca");
    await expect(page.getByText(/The two directions hold/)).toBeVisible();
    expect(page.wrong).toEqual([]);
  });

  test("duplicates are found, and the extra ones deleted", async ({ browser }) => {
    const [photo] = await pictures("clothing", 1, 120);
    const bytes = await readFile(photo);
    // The same picture in another file: bytes behind the end of a JPEG change nothing of it.
    await fill(server, "twice", await pictures("clothing", 6, 100));
    for (let i = 0; i < 3; i += 1) {
      const form = new FormData();
      form.append("image", new Blob([bytes, Buffer.alloc(i)]), `copy-${i}.jpg`);
      await (await fetch(`${server.url}/collections/twice/images`, { method: "POST", body: form })).text();
    }
    const page = await open(browser, server);
    await page.goto(`${server.url}/dashboard#/c/twice/duplicates`);
    await page.getByRole("button", { name: "Find duplicates" }).click();
    await expect(page.getByText("3 alike")).toBeVisible();
    await shot(page, "duplicates");
    await accessible(page, "duplicates");
    await page.getByRole("button", { name: "Keep the first of each group" }).click();
    await page.getByRole("button", { name: "Delete them for good" }).click();
    await expect(page.getByText("No duplicates")).toBeVisible();
    expect((await server.call("POST", "/collections/twice/points/count", {})).count).toBe(7);
    expect(page.wrong).toEqual([]);
  });

  test("what the server does in the background is shown as it goes on, and cancelled", async ({ browser }) => {
    await server.call("PUT", "/collections/many", {});
    const small = await Promise.all((await pictures("pictograms", 60)).map(async (file) => (await readFile(file)).toString("base64")));
    const points = Array.from({ length: 3000 }, (_, id) => JSON.stringify({ id, vector: id === 5 ? [1, 2] : { image: small[id % small.length] } }));
    const body = `${points.join("\n")}\n`;
    const response = await fetch(`${server.url}/collections/many/import?async=true`, { method: "POST", body });
    expect(response.status).toBe(202);
    const page = await open(browser, server);
    await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: /Tasks/ }).click();
    const task = page.getByRole("article", { name: "Import into many" });
    await expect(task).toContainText("running");
    await expect(task).toContainText(/of 3,000, .* a second, .* left/);
    await expect(task.getByText("1 point failed")).toBeVisible();
    await task.getByText("1 point failed").click();
    await expect(task.getByText(/2 components|size|dimension/)).toBeVisible();
    await shot(page, "tasks-server");
    await accessible(page, "tasks of the server");
    await task.getByRole("button", { name: "Cancel" }).click();
    await expect(task).toContainText("cancelled");
    await expect(task.getByRole("button", { name: "Cancel" })).toHaveCount(0);
    const { count } = await server.call("POST", "/collections/many/points/count", {});
    expect(count).toBeGreaterThan(0);
    expect(count).toBeLessThan(3000);
    await server.call("DELETE", "/collections/many");
    expect(page.wrong).toEqual([]);
  });

  test("a collection is described, backed up and deleted", async ({ browser }) => {
    await server.call("PUT", "/collections/short-lived", {});
    const page = await open(browser, server);
    await page.goto(`${server.url}/dashboard#/c/shop/about`);
    await expect(page.getByText("Ready")).toBeVisible();
    await page.getByRole("button", { name: "Make a snapshot" }).click();
    await expect(page.getByText(/\.snapshot/)).toBeVisible();
    await shot(page, "about");
    await accessible(page, "about");
    await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: /Tasks/ }).click();
    await expect(page.getByRole("article", { name: "Snapshot of shop" })).toContainText("done");
    await shot(page, "tasks");
    await accessible(page, "tasks");
    await page.goto(`${server.url}/dashboard#/c/short-lived/about`);
    await page.getByRole("button", { name: "Delete short-lived" }).click();
    const sure = page.getByRole("button", { name: "Delete it for good" });
    await expect(sure).toBeDisabled();
    await page.getByLabel("Type short-lived to go on").fill("short-lived");
    await sure.click();
    await expect(page.getByRole("link", { name: /shop/ })).toBeVisible();
    await expect(page.getByRole("link", { name: /short-lived/ })).toHaveCount(0);
    expect(page.wrong).toEqual([]);
  });

  for (const [name, look] of [["light", LIGHT], ["dark", DARK], ["phone", PHONE]]) {
    test(`every view is accessible and fits: ${name}`, async ({ browser }) => {
      const page = await open(browser, server, look);
      await expect(page.getByRole("link", { name: /shop/ })).toBeVisible();
      await shot(page, `home-${name}`);
      await accessible(page, "home");
      for (const view of ["search", "add", "map", "duplicates", "about"]) {
        await tab(page, "Search").count(); // the page is there
        await page.goto(`${server.url}/dashboard#/c/shop/${view}`);
        await expect(page.locator("main .skeleton.fill")).toHaveCount(0);
        if (view === "search") {
          await expect(cards(page).first()).toBeVisible();
          await page.getByLabel("Describe what you look for").fill("a red shoe");
          await page.keyboard.press("Enter");
          await expect(page.getByRole("meter").first()).toBeVisible();
        }
        if (view === "map") await expect(page.getByRole("application")).toBeVisible();
        await shot(page, `${view}-${name}`);
        await accessible(page, view);
      }
      await page.goto(`${server.url}/dashboard#/c/nowhere/search`);
      await expect(page.getByText("There is no such collection")).toBeVisible();
      await accessible(page, "nowhere");
      expect(page.wrong).toEqual([]);
    });
  }

  test("the page is used without a mouse", async ({ browser }) => {
    const page = await open(browser, server);
    await expect(page.getByRole("link", { name: /shop/ })).toBeVisible();
    await page.keyboard.press("Tab");
    await expect(page.getByRole("link", { name: "Skip to the content" })).toBeFocused();
    await page.keyboard.press("Enter");
    await expect(page.getByRole("heading", { level: 1 })).toBeFocused();
    for (let i = 0; i < 12; i += 1) {
      await page.keyboard.press("Tab");
      if (await page.getByRole("link", { name: /^shop/ }).evaluate((link) => link === document.activeElement)) break;
    }
    await page.keyboard.press("Enter");
    await expect(cards(page).first()).toBeVisible();
    await cards(page).first().getByRole("button", { name: /^Open/ }).focus();
    await page.keyboard.press("Enter");
    await expect(page.getByRole("dialog")).toBeVisible();
    await page.keyboard.press("Escape");
    await expect(cards(page).first().getByRole("button", { name: /^Open/ })).toBeFocused();
    expect(page.wrong).toEqual([]);
  });
});

test("signatures are enrolled, calibrated and verified with the evidence beside", async ({ browser }) => {
  const server = await start();
  try {
    await server.call("PUT", "/collections/bank", { signatures: { audit: true } });
    for (let writer = 1; writer <= 14; writer += 1) {
      const samples = [0, 1, 2, 3, 4].map((number) => signature(writer, number).toString("base64"));
      await server.call("POST", "/collections/bank/enrol", { subject: `Writer ${writer}`, samples });
    }
    const page = await open(browser, server);
    await page.getByRole("link", { name: /bank/ }).click();
    const file = (writer, number) => ({ name: `${writer}-${number}.png`, mimeType: "image/png", buffer: signature(writer, number) });
    await page.getByLabel("Subject", { exact: true }).fill("A. Smith");
    await page.getByLabel("Choose signatures").first().setInputFiles([0, 1, 2, 3].map((number) => file(99, number)).concat({ ...file(99, 0), name: "again.png" }));
    await expect(page.getByText("4 signatures enrolled, 4 references in all")).toBeVisible();
    await expect(page.getByText(/it is the same picture as/)).toBeVisible();
    await expect(page.getByText("Without a calibration there is no threshold")).toBeVisible();
    await shot(page, "verify-uncalibrated");
    await page.getByRole("button", { name: "Calibrate" }).click();
    await expect(page.getByRole("img", { name: /DET curve/ })).toBeVisible();
    await page.getByLabel("Said to be from").fill("A. Smith");
    await page.getByLabel("Choose the questioned signature").first().setInputFiles(file(99, 50));
    await page.getByRole("button", { name: "Verify", exact: true }).click();
    const decision = page.getByRole("article", { name: "Decision" });
    await expect(decision).toContainText(/Accept|Review/);
    await expect(decision.getByRole("list", { name: /References/ }).getByRole("listitem")).toHaveCount(4);
    await expect(decision.getByRole("list", { name: /References/ }).locator("img").first()).toHaveAttribute("src", /^blob:/);
    await shot(page, "verify-genuine");
    await accessible(page, "verify");
    await page.getByLabel("Choose another").first().setInputFiles(file(3, 50));
    await page.getByRole("button", { name: "Verify", exact: true }).click();
    await expect(decision).toContainText(/Reject|Review/);
    await shot(page, "verify-impostor");
    await page.getByRole("button", { name: "Whose is it?" }).click();
    await expect(page.getByRole("article", { name: "Identification" })).toContainText("subjects searched");
    await accessible(page, "identify");
    await page.emulateMedia({ colorScheme: "dark" });
    await page.setViewportSize({ width: 390, height: 844 });
    await shot(page, "verify-phone-dark");
    await accessible(page, "verify on a phone, dark");
    await page.getByRole("button", { name: "Delete A. Smith" }).click();
    await page.getByRole("button", { name: "Delete A. Smith" }).click();
    await expect(page.getByRole("button", { name: "Delete A. Smith" })).toHaveCount(0);
    expect(page.wrong).toEqual([]);
  } finally {
    await server.stop();
  }
});

test("a server with a key asks for it, takes the right one, and forgets it", async ({ browser }) => {
  const server = await start(["--api-key", "the-right-key"]);
  try {
    const key = { "api-key": "the-right-key" };
    await fill(server, "kept", await pictures("clothing", 3), key);
    const page = await open(browser, server);
    const dialog = page.getByRole("dialog", { name: "API key" });
    await expect(dialog).toBeVisible();
    await expect(page.getByLabel("Key", { exact: true })).toBeFocused();
    await shot(page, "key");
    await accessible(page, "key");
    await page.getByLabel("Key", { exact: true }).fill("a-wrong-key");
    await page.keyboard.press("Enter");
    await expect(dialog).toContainText("does not know this key");
    await page.getByLabel("Key", { exact: true }).fill("the-right-key");
    await page.keyboard.press("Enter");
    await expect(dialog).toHaveCount(0);
    await page.getByRole("link", { name: /kept/ }).click();
    await expect(cards(page).first().locator("img")).toHaveAttribute("src", /^blob:/);
    expect(page.url()).not.toContain("right");
    await page.getByRole("button", { name: "Forget the API key" }).click();
    await expect(dialog).toBeVisible();
    expect(page.wrong).toEqual([]);
  } finally {
    await server.stop();
  }
});

test("an empty server says what to do first", async ({ browser }) => {
  const server = await start();
  try {
    for (const [name, look] of [["light", LIGHT], ["dark", DARK], ["phone", PHONE]]) {
      const page = await open(browser, server, look);
      await expect(page.getByText("No collections yet")).toBeVisible();
      await shot(page, `empty-${name}`);
      await accessible(page, "empty");
      expect(page.wrong).toEqual([]);
    }
  } finally {
    await server.stop();
  }
});
