// Chromium by HTTP/2: the page, Sockeye's browser client on it, and WebSockets, which it opens on the connection that it
// has (RFC 8441). It speaks HTTP/2 through TLS only.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { within } from "../engine/transcript.mjs";
import { launch, openPage } from "../lib/browser.mjs";
import { startHttp2Server } from "../lib/process.mjs";
import { queue } from "../lib/scripted.mjs";
import { skip } from "../websocket/twin.mjs";

let browser, server, page;
const lines = queue();

before(async () => {
  if (skip) return;
  server = await startHttp2Server(["socket.io", "--tls"], lines.put);
  browser = await launch();
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  // Several, so that there are crumbs.
  const url = server.url.replace("http:", "https:");
  await context.addCookies(["a", "b", "c"].map((name) => ({ name, value: "1", url })));
  page = await openPage(context, url);
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

/** What a session opened by, in the server's words. */
const opened = () => within(lines.take(), "a session");

/** In the page: connects, has things echoed, and says by which transport it ended up. */
const exchange = (options) => page.evaluate(async (options) => {
  const socket = io({ forceNew: true, reconnection: false, ...options });
  await new Promise((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("connect_error", (err) => reject(new Error(`${err.message} ${err.description}`)));
  });
  const { engine } = socket.io;
  if (!options.transports && engine.transport.name === "polling") await new Promise((resolve) => engine.once("upgrade", resolve));
  for (let n = 0; n < 100; n++) {
    const sent = [n, "雪".repeat(n * 100), new Uint8Array([n]).buffer];
    const back = await new Promise((resolve) => socket.emit("echo", ...sent, (...back) => resolve(back)));
    if (back[0] !== n || back[1] !== sent[1] || new Uint8Array(back[2])[0] !== n) throw new Error(`${n}: ${back}`);
  }
  const transport = engine.transport.name;
  socket.disconnect();
  return transport;
}, options);

const COOKIES = /a=1; b=1; c=1$/;

test("the page comes by HTTP/2", { skip, timeout: 60_000 }, async () => {
  const protocol = await page.evaluate(() => performance.getEntriesByType("navigation")[0].nextHopProtocol);
  assert.equal(protocol, "h2");
});

test("Socket.IO by polling", { skip, timeout: 60_000 }, async () => {
  assert.equal(await exchange({ transports: ["polling"] }), "polling");
  const line = await opened();
  assert.match(line, /^GET HTTP\/2\.0 /);
  assert.match(line, COOKIES);
});

test("Socket.IO by a WebSocket, which is a stream of HTTP/2", { skip, timeout: 60_000 }, async () => {
  assert.equal(await exchange({ transports: ["websocket"] }), "websocket");
  const line = await opened();
  assert.match(line, /^CONNECT HTTP\/2\.0 /);
  assert.match(line, COOKIES);
});

test("Socket.IO by polling and the upgrade", { skip, timeout: 60_000 }, async () => {
  assert.equal(await exchange({}), "websocket");
  assert.match(await opened(), /^GET HTTP\/2\.0 /);
});

test("ten WebSockets of the page at once", { skip, timeout: 60_000 }, async () => {
  const transports = await Promise.all(Array.from({ length: 10 }, () => exchange({ transports: ["websocket"] })));
  assert.deepEqual(transports, Array(10).fill("websocket"));
  for (let n = 0; n < 10; n++) assert.match(await opened(), /^CONNECT HTTP\/2\.0 /);
  assert.deepEqual(page.problems, []);
});
