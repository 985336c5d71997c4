// The official Admin UI's own page in Chromium, against `sockeye serve`: it logs in, shows what is there and what
// happens, and does what its buttons say.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname } from "node:path";
import { after, before, test } from "node:test";
import { io } from "socket.io-client";
import { launch, openPage } from "../lib/browser.mjs";
import { serve } from "../lib/process.mjs";

const PAGE = new URL("../node_modules/@socket.io/admin-ui/ui/dist/", import.meta.url);
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".png": "image/png" };
/** Of the password `sesame`. */
const HASH = "$2a$04$ynjDaQ.mtOsrdqeY9zjRNOWHzZQ2oc4dHCm5HG3ghs/56gbJbAFqi";

let browser, files, origin;
const open = new Set();

before(async () => {
  files = createServer(async ({ url }, response) => {
    const path = url === "/" ? "index.html" : url.slice(1).split("?")[0];
    try {
      const body = await readFile(new URL(path, PAGE));
      response.writeHead(200, { "content-type": TYPES[extname(path)] ?? "application/octet-stream" }).end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => files.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${files.address().port}`;
  browser = await launch();
});

after(async () => {
  await browser?.close();
  files?.closeAllConnections();
  files?.close();
  for (const thing of open) await (thing.disconnect?.() ?? thing.stop());
});

async function server(...flags) {
  const started = await serve(["--cors-origin", origin, "--admin", `ann:${HASH}`, ...flags]);
  open.add(started);
  return started;
}

async function client(url, options) {
  const socket = io(url, { forceNew: true, ...options });
  open.add(socket);
  await new Promise((resolve, reject) => socket.on("connect", resolve).on("connect_error", reject));
  return socket;
}

/** The page, logged in with this password, or not. */
async function page(url, password) {
  const shown = await openPage(await browser.newContext({ viewport: { width: 1280, height: 900 } }), origin);
  await shown.getByLabel("Server URL").fill(url);
  await shown.getByLabel("Username").fill("ann");
  await shown.getByLabel("Password").fill(password);
  await shown.getByRole("button", { name: "Connect" }).click();
  return shown;
}

/** Goes to one of the page's parts, and waits until it shows this text. */
async function part(shown, name, ...texts) {
  await shown.goto(`${origin}/#/${name}/`);
  for (const text of texts) await shown.getByText(text, { exact: true }).first().waitFor();
}

test("the page logs in and shows the server, its namespaces and its transports", async () => {
  const { url } = await server();
  await client(url, { transports: ["polling"] });
  const shown = await page(url, "sesame");
  await shown.getByText("connected", { exact: true }).first().waitFor();
  await shown.getByText(/^healthy$/i).first().waitFor();
  for (const name of ["/", "/admin"]) await shown.getByText(name, { exact: true }).first().waitFor();
  assert.deepEqual(shown.problems, []);
});

test("a wrong password is refused in the page", async () => {
  const { url } = await server();
  const shown = await page(url, "wrong");
  await shown.getByText("invalid credentials").waitFor();
});

test("sockets and events are shown as they come, and are disconnected by a click", async () => {
  const { url } = await server();
  const early = await client(url);
  const shown = await page(url, "sesame");
  await shown.getByText("connected", { exact: true }).first().waitFor();
  const late = await client(url);
  const { id } = late;
  await part(shown, "clients", "WebSocket");
  await part(shown, "sockets");
  await shown.getByLabel("Select namespace").click({ force: true });
  await shown.getByRole("option", { name: "/", exact: true }).click();
  for (const each of [early.id, id]) await shown.getByText(each, { exact: true }).waitFor();
  late.emit("an event of ours", { answer: 42 });
  await part(shown, "events", "an event of ours");

  await part(shown, "sockets", id);
  const left = new Promise((resolve) => late.on("disconnect", resolve));
  const row = shown.getByRole("row").filter({ hasText: id });
  await row.getByRole("button").last().click();
  assert.equal(await left, "io server disconnect");
  await part(shown, "sockets", early.id);
  await row.waitFor({ state: "detached" });
});
