// Chromium's own WebSocket as the client of our server.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { launch } from "../lib/browser.mjs";
import { assertAgreed, skip, startTwin } from "./twin.mjs";

let browser, pages, twin, page;

before(async () => {
  if (skip) return;
  pages = createServer((_request, response) => response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html><title>page</title>"));
  await new Promise((resolve) => pages.listen(0, "127.0.0.1", resolve));
  twin = await startTwin("--origin", origin("127.0.0.1"));
  browser = await launch();
  page = await openPage("127.0.0.1");
});

after(async () => {
  await browser?.close();
  pages?.close();
  await twin?.stop();
});

/** The same page has two origins, one by each name of this machine. */
const origin = (host) => `http://${host}:${pages.address().port}`;

async function openPage(host) {
  const page = await browser.newPage();
  page.setDefaultTimeout(30_000);
  await page.addInitScript(client);
  await page.goto(origin(host));
  return page;
}

/** Runs in the page: `open(url, protocols)` with `next()` for messages and `closed` for the end. */
function client() {
  window.open = async (url, protocols = []) => {
    const socket = new WebSocket(url, protocols);
    socket.binaryType = "arraybuffer";
    const messages = [];
    const takers = [];
    socket.onmessage = ({ data }) => (takers.length > 0 ? takers.shift()(data) : messages.push(data));
    socket.next = () => (messages.length > 0 ? messages.shift() : new Promise((resolve) => takers.push(resolve)));
    socket.closed = new Promise((resolve) => (socket.onclose = ({ code, reason, wasClean }) => resolve({ code, reason, wasClean })));
    const opened = await Promise.race([new Promise((resolve) => (socket.onopen = () => resolve(true))), socket.closed]);
    return opened === true ? socket : opened;
  };
}

test("messages come back with their types, whatever their length", { skip }, async () => {
  const { different, agreed, end } = await page.evaluate(async (url) => {
    const socket = await window.open(url);
    const different = [];
    const texts = ["", "x", "x".repeat(125), "x".repeat(126), "x".repeat(65_536), "compressible ".repeat(70_000), "雪 😀 \0"];
    for (const text of texts) {
      socket.send(text);
      if ((await socket.next()) !== text) different.push(`text of ${text.length}`);
      const bytes = new TextEncoder().encode(text);
      socket.send(text.length % 2 ? bytes : new Blob([bytes]));
      const back = await socket.next();
      const same = back instanceof ArrayBuffer && new TextDecoder().decode(back) === text;
      if (!same) different.push(`${bytes.length} bytes`);
    }
    const agreed = socket.extensions;
    socket.close(1000);
    return { different, agreed, end: await socket.closed };
  }, `${twin.url}/echo`);
  assert.deepEqual(different, []);
  assertAgreed(agreed);
  assert.deepEqual(end, { code: 1000, reason: "", wasClean: true });
  assert.deepEqual(await twin.ended("/echo"), { path: "/echo", why: "peer", code: 1000, reason: "", clean: true });
});

test("a hundred megabytes of text and of binary come back equal", { skip }, async () => {
  const different = await page.evaluate(async (url) => {
    const socket = await window.open(url);
    const [different, encoder, decoder] = [[], new TextEncoder(), new TextDecoder()];
    for (let number = 0; number < 101; number++) {
      const text = `${number}: 雪 😀 ${"0123456789 snow ".repeat(62_000)}`;
      socket.send(text);
      if ((await socket.next()) !== text) different.push(`text ${number}`);
      socket.send(encoder.encode(text));
      if (decoder.decode(await socket.next()) !== text) different.push(`binary ${number}`);
    }
    socket.close(1000);
    await socket.closed;
    return different;
  }, `${twin.url}/echo`);
  assert.deepEqual(different, []);
  await twin.ended("/echo");
});

test("many messages keep their order, both ways, under pings", { skip }, async () => {
  const [down, up] = await page.evaluate(async (url) => {
    const take = async (socket) => {
      const messages = [];
      while (messages.length < 2000) messages.push(Number(await socket.next()));
      socket.close();
      await socket.closed;
      return messages;
    };
    const commands = await window.open(`${url}/commands`);
    commands.send("count 2000");
    const down = await take(commands);
    const pings = await window.open(`${url}/pings`);
    for (let i = 0; i < 2000; i++) pings.send(String(i));
    return [down, await take(pings)];
  }, twin.url);
  const numbers = Array.from({ length: 2000 }, (_, i) => i);
  assert.deepEqual(down, numbers);
  assert.deepEqual(up, numbers);
  await twin.ended("/commands");
  await twin.ended("/pings");
});

test("close codes and reasons of the page", { skip }, async () => {
  for (const [code, reason] of [[undefined, undefined], [1000, ""], [1000, "bye"], [3000, "雪"], [4999, "x".repeat(123)]]) {
    const end = await page.evaluate(async ([url, code, reason]) => {
      const socket = await window.open(url);
      if (code === null) socket.close();
      else socket.close(code, reason);
      return socket.closed;
    }, [`${twin.url}/echo`, code ?? null, reason]);
    assert.deepEqual(end, { code: code ?? 1005, reason: "", wasClean: true });
    assert.deepEqual(await twin.ended("/echo"), {
      path: "/echo", why: "peer", code: code ?? null, reason: reason ?? null, clean: true,
    });
  }
});

test("close codes and reasons of the server", { skip }, async () => {
  for (const [code, reason] of [[1000, ""], [1001, "going away"], [1011, "雪"], [3000, "x".repeat(123)], [4999, "y"]]) {
    const end = await page.evaluate(async ([url, command]) => {
      const socket = await window.open(url);
      socket.send(command);
      return socket.closed;
    }, [`${twin.url}/commands`, `close ${code} ${reason}`]);
    assert.deepEqual(end, { code, reason, wasClean: true });
    assert.deepEqual(await twin.ended("/commands"), { path: "/commands", why: "local", code, reason, clean: true });
  }
});

test("a page that sends too much is told so", { skip }, async () => {
  const { code } = await page.evaluate(async (url) => {
    const socket = await window.open(url);
    socket.send(new Uint8Array(1_000_001));
    return socket.closed;
  }, `${twin.url}/echo`);
  assert.equal(code, 1009);
  assert.equal((await twin.ended("/echo")).why, "refused");
});

test("a page that is left says so", { skip }, async () => {
  const left = await openPage("127.0.0.1");
  await left.evaluate((url) => window.open(url).then(() => {}), `${twin.url}/echo`);
  await left.goto("about:blank");
  assert.deepEqual(await twin.ended("/echo"), { path: "/echo", why: "peer", code: 1001, reason: "", clean: true });
  await left.close();
});

test("subprotocols", { skip }, async () => {
  const talk = ([url, protocols]) => window.open(url, protocols).then(async (socket) => {
    if (!(socket instanceof WebSocket)) return socket;
    const said = [socket.protocol, await socket.next()];
    socket.close();
    await socket.closed;
    return said;
  });
  const url = `${twin.url}/subprotocols`;
  assert.deepEqual(await page.evaluate(talk, [url, ["chat.v1", "chat.v2"]]), ["chat.v2", "chat.v2"]);
  assert.deepEqual(await page.evaluate(talk, [url, ["chat.v3", "chat.v1"]]), ["chat.v1", "chat.v1"]);
  assert.deepEqual(await page.evaluate(talk, [url, []]), ["", "none"]);
  assert.equal((await page.evaluate(talk, [url, ["chat.v3"]])).code, 1006);
});

test("a page of another origin is not let in", { skip }, async () => {
  const talk = async (url) => {
    const socket = await window.open(url);
    return socket instanceof WebSocket ? await socket.next() : socket.code;
  };
  assert.equal(await page.evaluate(talk, `${twin.url}/origin`), origin("127.0.0.1"));
  const other = await openPage("localhost");
  assert.equal(await other.evaluate(talk, `${twin.url}/origin`), 1006);
  await other.close();
});
