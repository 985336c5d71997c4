// Chromium, headless.

import { chromium } from "playwright-core";

const ARGUMENTS = [
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** `CHROMIUM` overrides where it is. */
export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    chromiumSandbox: false,
    args: ARGUMENTS,
  });
}

/** A page whose uncaught exceptions and blocked resources are collected in `page.problems`. */
export async function openPage(context, url) {
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  page.problems = [];
  page.on("pageerror", (err) => page.problems.push(String(err)));
  page.on("console", (message) => {
    const refused = /Content Security Policy|Refused to/.test(message.text());
    if (refused) page.problems.push(message.text());
  });
  if (url) await page.goto(url);
  return page;
}
