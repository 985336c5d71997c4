// Node's HTTP/2 as the server of our client.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http2";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { within } from "../engine/transcript.mjs";
import { SETTINGS, speak } from "../lib/http2.mjs";
import { runHttp2Client } from "../lib/process.mjs";
import { queue } from "../lib/scripted.mjs";
import { skip } from "../websocket/twin.mjs";

/** A server that echoes, and our client with `count` WebSockets to it. */
async function scene(t, count, settings = SETTINGS, refuse = () => false) {
  const server = createServer({ settings });
  const [sessions, sockets, heads] = [[], [], []];
  server.on("session", (session) => sessions.push(session));
  server.on("stream", (stream, head) => {
    heads.push(head);
    stream.on("error", () => {});
    if (refuse(stream, sessions)) return;
    stream.respond({ ":status": 200 });
    const socket = speak(stream, { isServer: true });
    socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
    sockets.push(socket);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  const client = runHttp2Client(["client", `ws://127.0.0.1:${server.address().port}/chat?a=1`, String(count)]);
  t.after(() => client.stop());
  const lines = queue();
  createInterface(client.child.stdout).on("line", lines.put);
  const line = () => within(lines.take(), `a line of the client\n${client.errors()}`);
  return { server, sessions, sockets, heads, client, line };
}

test("its WebSockets share one connection, and close", { skip, timeout: 60_000 }, async (t) => {
  const { sessions, heads, client, line } = await scene(t, 20);
  for (let number = 0; number < 20; number++) assert.equal(await line(), `message ${number}`);
  assert.equal(sessions.length, 1);
  assert.equal(heads.length, 20);
  for (const head of heads) {
    assert.equal(head[":method"], "CONNECT");
    assert.equal(head[":protocol"], "websocket");
    assert.equal(head[":scheme"], "http");
    assert.equal(head[":path"], "/chat?a=1");
    assert.equal(head["sec-websocket-version"], "13");
    for (const absent of ["sec-websocket-key", "upgrade", "connection", "host"]) assert.equal(head[absent], undefined);
  }
  const ended = once(sessions[0], "close");
  client.child.stdin.end();
  for (let number = 0; number < 20; number++) assert.equal(await line(), "local 1000");
  // The connection ends with its last WebSocket.
  await within(ended, "the end of the connection");
  assert.equal(await within(client.ended, "the client's end"), 0);
});

test("a server without RFC 8441 is not asked", { skip, timeout: 60_000 }, async (t) => {
  const { heads, client } = await scene(t, 1, {});
  assert.equal(await within(client.ended, "the client's end"), 1);
  assert.match(client.errors(), /NoWebSockets|SETTINGS_ENABLE_CONNECT_PROTOCOL/);
  assert.equal(heads.length, 0);
});

test("a connection that is full, and a stream that is refused, lead to another connection", { skip, timeout: 60_000 }, async (t) => {
  const full = await scene(t, 5, { ...SETTINGS, maxConcurrentStreams: 2 });
  for (let number = 0; number < 5; number++) assert.equal(await full.line(), `message ${number}`);
  assert.equal(full.sessions.length, 3);

  // REFUSED_STREAM for the second one on the first connection.
  const refuse = (stream, sessions) => {
    const refused = sessions.length === 1 && stream.id === 3;
    if (refused) stream.close(7);
    return refused;
  };
  const refusing = await scene(t, 2, SETTINGS, refuse);
  for (let number = 0; number < 2; number++) assert.equal(await refusing.line(), `message ${number}`);
  assert.equal(refusing.sessions.length, 2);
  assert.equal(refusing.heads.length, 3);
});

test("GOAWAY ends no WebSocket by itself; its connection ends with the last one", { skip, timeout: 60_000 }, async (t) => {
  const { sessions, sockets, line, client } = await scene(t, 3);
  for (let number = 0; number < 3; number++) assert.equal(await line(), `message ${number}`);
  const ended = once(sessions[0], "close");
  // GOAWAY, then whatever there is goes on.
  sessions[0].close();
  sockets[0].send("is read by nobody, but must not hurt");
  for (const socket of sockets) socket.close(1001);
  for (let number = 0; number < 3; number++) assert.equal(await line(), "peer 1001");
  await within(ended, "the end of the connection");
  assert.equal(await within(client.ended, "the client's end"), 0);
});
