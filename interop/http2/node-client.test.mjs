// Node's HTTP/2 as the client of our servers.

import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { within } from "../engine/transcript.mjs";
import { dial } from "../lib/http2.mjs";
import { startHttp2Server } from "../lib/process.mjs";
import { queue } from "../lib/scripted.mjs";
import { skip } from "../websocket/twin.mjs";

/** A server of ours and a connection to it. */
async function scene(t, args, options) {
  const lines = queue();
  const server = await startHttp2Server(args, lines.put);
  t.after(() => server.stop());
  const url = args.includes("--tls") ? server.url.replace("http:", "https:") : server.url;
  const client = await dial(url, options);
  t.after(() => client.session.destroy());
  return { server, lines, url, ...client };
}

const POLLING = "/socket.io/?EIO=4&transport=polling";

test("the server says that it opens WebSockets, by TLS what it speaks, and how many streams there may be", { skip, timeout: 60_000 }, async (t) => {
  const plain = await scene(t, ["websocket"]);
  assert.equal(plain.settings.enableConnectProtocol, true);
  assert.equal(plain.settings.maxConcurrentStreams, 100);
  const secure = await scene(t, ["websocket", "--tls"], { rejectUnauthorized: false });
  assert.equal(secure.session.alpnProtocol, "h2");
  const socket = await secure.open("/");
  assert.equal(await socket.next(), "CONNECT HTTP/2.0 -");
});

test("Socket.IO by polling, and the upgrade to a WebSocket, all on one connection", { skip, timeout: 60_000 }, async (t) => {
  const { ask, open, lines } = await scene(t, ["socket.io"]);
  // Node sends a list of cookies as crumbs (RFC 9113 §8.2.3).
  const opened = await ask({ ":path": POLLING, cookie: ["a=1", "b=2"] });
  assert.equal(opened.status, 200);
  assert.equal(await lines.take(), "GET HTTP/2.0 a=1; b=2");
  const { sid } = JSON.parse(opened.text.slice(1));
  const session = `${POLLING}&sid=${sid}`;
  const post = (body) => ask({ ":method": "POST", ":path": session, "content-type": "text/plain" }, body);
  const get = async () => (await ask({ ":path": session })).text;
  assert.equal((await post("40")).text, "ok");
  assert.match(await get(), /^40\{"sid":/);
  const waits = get();
  assert.equal((await post('420["echo","by polling"]')).text, "ok");
  assert.equal(await waits, '430["by polling"]');
  assert.equal((await post("4" + "x".repeat(1_000_001))).status, 413);

  const socket = await open(`/socket.io/?EIO=4&transport=websocket&sid=${sid}`);
  socket.send("2probe");
  assert.equal(await socket.next(), "3probe");
  assert.equal(await get(), "6");
  socket.send("5");
  socket.send('421["echo","by WebSocket"]');
  assert.equal(await socket.next(), '431["by WebSocket"]');
  socket.close();
  await within(socket.closed, "the close");
});

test("many WebSockets on one connection, each with its messages, whatever their length", { skip, timeout: 60_000 }, async (t) => {
  const { open, session } = await scene(t, ["websocket"]);
  const sockets = await Promise.all(Array.from({ length: 100 }, (_, number) => open("/", { cookie: `n=${number}` })));
  await Promise.all(sockets.map(async (socket, number) => {
    assert.equal(await socket.next(), `CONNECT HTTP/2.0 n=${number}`);
    for (const length of [0, 1, 125, 126, 65_535, 65_536, 200_000]) {
      const bytes = Buffer.alloc(length, `${number}:`);
      socket.send(bytes);
      assert.ok(bytes.equals(await socket.next()), `${length} bytes`);
    }
    for (let i = 0; i < 50; i++) socket.send(`${number} ${i}`);
    for (let i = 0; i < 50; i++) assert.equal(await socket.next(), `${number} ${i}`);
  }));
  // There is a place for another one when one has closed.
  sockets[0].close(1000);
  assert.deepEqual(await within(sockets[0].closed, "the close"), [1000, ""]);
  const another = await open("/");
  assert.equal(await another.next(), "CONNECT HTTP/2.0 -");
  assert.equal(session.destroyed, false);
});

test("compression is agreed on and spoken", { skip, timeout: 60_000 }, async (t) => {
  const { open } = await scene(t, ["websocket"]);
  const socket = await open("/", { "sec-websocket-extensions": "permessage-deflate; client_max_window_bits" });
  assert.match(socket.answer["sec-websocket-extensions"], /^permessage-deflate\b/);
  await socket.next();
  const text = "again and ".repeat(20_000);
  let came = 0;
  socket.stream.on("data", (chunk) => (came += chunk.length));
  socket.send(text);
  assert.ok((await socket.next()) === text);
  assert.ok(came > 0 && came < 10_000, `${came} bytes for ${text.length}`);
});

test("a stream that is reset or ended takes nothing else with it", { skip, timeout: 60_000 }, async (t) => {
  const { open } = await scene(t, ["websocket"]);
  const [lives, reset, ended] = [await open("/"), await open("/"), await open("/")];
  for (const socket of [lives, reset, ended]) await socket.next();
  reset.stream.close(8);
  ended.stream.end();
  await within(reset.closed, "the end");
  await within(ended.closed, "the end");
  lives.send("still");
  assert.equal(await lives.next(), "still");
});

test("what opens no WebSocket is told why", { skip, timeout: 60_000 }, async (t) => {
  const { ask, open } = await scene(t, ["websocket"]);
  assert.equal((await ask({ ":path": "/" })).status, 405);
  await assert.rejects(open("/", { ":protocol": "connect-udp" }), /status 501/);
  await assert.rejects(open("/", { "sec-websocket-version": "8" }), /status 400/);
  assert.equal(await (await open("/")).next(), "CONNECT HTTP/2.0 -");
});

test("a closing server closes its WebSockets with 1001, then says GOAWAY without an error", { skip, timeout: 60_000 }, async (t) => {
  const { open, session, server } = await scene(t, ["websocket"]);
  const sockets = [await open("/"), await open("/")];
  for (const socket of sockets) await socket.next();
  const goaway = once(session, "goaway");
  const closed = once(session, "close");
  server.closeInput();
  for (const socket of sockets) assert.equal((await within(socket.closed, "the close"))[0], 1001);
  assert.equal((await within(goaway, "GOAWAY"))[0], 0);
  await within(closed, "the end of the connection");
});

