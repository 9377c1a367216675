// The system's Chromium, headless; one worker, since each test starts a server of its own.
import { existsSync } from "node:fs";
import { defineConfig } from "@playwright/test";

const chromium = process.env.CHROMIUM ?? ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);

export default defineConfig({
  testDir: ".",
  testMatch: "*.spec.mjs",
  workers: 1,
  // On a busy machine a browser may be slow once.
  timeout: 180_000,
  retries: process.env.CI ? 1 : 0,
  expect: { timeout: 30_000 },
  reporter: [["list"]],
  use: {
    viewport: { width: 1280, height: 860 },
    launchOptions: { executablePath: chromium, args: ["--no-sandbox", "--disable-gpu"] },
    screenshot: "only-on-failure",
  },
});
