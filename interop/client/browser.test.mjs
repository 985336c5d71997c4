// Sockeye's browser client in Chromium, with the default transports and what only a browser has: other origins, cookies,
// pages that are left.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { Server } from "socket.io";
import { launch, openPage } from "../lib/browser.mjs";
import { classicSource } from "../lib/client.mjs";
import { queue } from "../lib/scripted.mjs";

let browser, page, pages, origin;

before(async () => {
  pages = createServer((request, response) => {
    const script = request.url === "/socket.io.js";
    response.writeHead(200, { "content-type": script ? "text/javascript" : "text/html" });
    response.end(script ? classicSource : '<!doctype html><title>page</title><script src="/socket.io.js"></script>');
  });
  await new Promise((resolve) => pages.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${pages.address().port}`;
  browser = await launch();
});

after(async () => {
  await browser?.close();
  pages?.close();
  pages?.closeAllConnections();
});

/** Runs `body` with a page, and the address and the requests of an npm server with these options. */
function check(title, options, body) {
  test(title, { timeout: 60_000 }, async (t) => {
    const http = createServer();
    const io = new Server(http, typeof options === "function" ? options() : options);
    const connections = queue();
    const requests = [];
    io.engine.on("headers", (_headers, request) => requests.push(request));
    io.on("connection", (socket) => {
      socket.on("echo", (...args) => socket.emit("echo", ...args));
      socket.ended = new Promise((resolve) => socket.on("disconnect", resolve));
      connections.put(socket);
    });
    await new Promise((resolve) => http.listen(0, "127.0.0.1", resolve));
    t.after(() => {
      io.close();
      http.closeAllConnections();
    });
    const context = await browser.newContext();
    t.after(() => context.close());
    page = await openPage(context, origin);
    await body(`http://127.0.0.1:${http.address().port}`, { connection: connections.take, requests });
    assert.deepEqual(page.problems, []);
  });
}

const allowed = (more) => () => ({ cors: { origin, ...more } });

/** In the page: sends numbered messages, some with bytes, until the upgrade and beyond it, and hears them again. */
const exchange = (options) => page.evaluate(async ([url, options]) => {
  const socket = io(url, { forceNew: true, reconnection: false, ...options });
  const { engine } = socket.io;
  const transports = [engine.transport.name];
  engine.on("upgrade", ({ name }) => transports.push(name));
  const heard = [];
  let sent = 0;
  let done;
  socket.on("echo", (number, bytes) => {
    const whole = bytes === null || (bytes.byteLength === 2 && new Uint16Array(bytes)[0] === number);
    heard.push(whole ? number : `${number} is broken`);
    if (heard.length === sent && done) done();
  });
  await new Promise((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("connect_error", (err) => reject(new Error(`${err.message} ${err.description}`)));
  });
  const expected = options.transports?.length === 1 ? 1 : 2;
  for (let more = 1_000; more > 0; sent++) {
    const bytes = [null, new Uint16Array([sent]), new Blob([new Uint16Array([sent])])][sent % 3];
    socket.emit("echo", sent, bytes);
    if (sent % 5 === 0) await new Promise((resolve) => setTimeout(resolve));
    if (transports.length === expected) more--;
  }
  if (heard.length < sent) await new Promise((resolve) => (done = resolve));
  socket.disconnect();
  const wrong = heard.find((number, index) => number !== index);
  return { transports, enough: sent >= 1_000, wrong: wrong ?? null };
}, options);

check("another origin that CORS allows: polling, and the upgrade under load", allowed(), async (url, { connection }) => {
  assert.deepEqual(await exchange([url, {}]), { transports: ["polling", "websocket"], enough: true, wrong: null });
  assert.equal(await (await connection()).ended, "client namespace disconnect");
});

check("another origin that CORS allows: polling only", allowed(), async (url) => {
  assert.deepEqual(await exchange([url, { transports: ["polling"] }]), { transports: ["polling"], enough: true, wrong: null });
});

check("another origin without CORS: xhr poll error; a websocket first needs none", {}, async (url) => {
  await assert.rejects(exchange([url, {}]), /xhr poll error 0/);
  assert.deepEqual(await exchange([url, { transports: ["websocket"] }]), { transports: ["websocket"], enough: true, wrong: null });
});

check("withCredentials sends cookies to another origin", () => ({ cors: { origin, credentials: true }, cookie: true }), async (url, { requests }) => {
  /** The cookies of a session's requests after the handshake. */
  const cookies = async (withCredentials) => {
    const sid = await page.evaluate(async ([url, withCredentials]) => {
      const socket = io(url, { transports: ["polling"], forceNew: true, withCredentials });
      await new Promise((resolve) => socket.once("connect", resolve));
      const { id } = socket.io.engine;
      socket.emit("echo");
      await new Promise((resolve) => socket.once("echo", resolve));
      socket.disconnect();
      return id;
    }, [url, withCredentials]);
    const sent = requests.filter((request) => request.url.includes(sid)).map(({ headers }) => headers.cookie);
    assert.ok(sent.length >= 3);
    return sent;
  };
  assert.ok((await cookies(false)).every((cookie) => cookie === undefined));
  assert.ok((await cookies(true)).every((cookie) => /^io=/.test(cookie)));
});

check("extraHeaders go through the preflight", allowed({ allowedHeaders: ["x-custom", "content-type"] }), async (url, { requests }) => {
  assert.deepEqual(
    await exchange([url, { transports: ["polling"], extraHeaders: { "X-Custom": "yes" } }]),
    { transports: ["polling"], enough: true, wrong: null },
  );
  const polling = requests.filter(({ method }) => method !== "OPTIONS");
  assert.ok(polling.length > 2 && polling.every(({ headers }) => headers["x-custom"] === "yes"));
});

for (const transports of [["polling"], ["websocket"]]) {
  check(`closeOnBeforeunload: the server knows at once, the page hears nothing (${transports})`, allowed(), async (url, { connection }) => {
    const heard = [];
    await page.exposeFunction("report", (text) => heard.push(text));
    await page.evaluate(async ([url, transports]) => {
      const socket = io(url, { transports, closeOnBeforeunload: true });
      await new Promise((resolve) => socket.once("connect", resolve));
      socket.on("disconnect", (reason) => report(reason));
    }, [url, transports]);
    const socket = await connection();
    await page.goto("about:blank");
    assert.equal(await socket.ended, "transport close");
    assert.deepEqual(heard, []);
  });
}
