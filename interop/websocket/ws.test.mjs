// npm ws as the client of our server.

import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { WebSocket } from "ws";
import { within } from "../engine/transcript.mjs";
import { close, CLOSES, compressible, fragments, lastWords, lengths, taking } from "../lib/ws.mjs";
import { echoed } from "./bulk.mjs";
import { assertAgreed, skip, startTwin } from "./twin.mjs";

let twin;
before(async () => {
  if (!skip) twin = await startTwin("--origin", "https://allowed.example");
});
after(() => twin?.stop());

/** Opens a WebSocket; `agreed` is the server's answer to the extensions that were offered. */
async function open(path, protocols, options) {
  const socket = taking(new WebSocket(twin.url + path, protocols, options));
  socket.once("upgrade", ({ headers }) => (socket.agreed = headers["sec-websocket-extensions"] ?? ""));
  await within(once(socket, "open"), `an open WebSocket at ${path}`);
  return socket;
}

/** Why the server does not let it in. */
async function refused(path, protocols, options) {
  const socket = new WebSocket(twin.url + path, protocols, options);
  const [error] = await within(once(socket, "error"), "a refusal");
  return error.message;
}

test("messages come back with their types, whatever their length", { skip }, async () => {
  const socket = await open("/echo");
  assertAgreed(socket.agreed);
  await lengths(socket);
  await close(socket);
  assert.deepEqual(await twin.ended("/echo"), { path: "/echo", why: "peer", code: 1000, reason: "", clean: true });
});

test("a hundred megabytes of text and of binary come back equal", { skip }, async () => {
  const socket = await open("/echo", [], { perMessageDeflate: false });
  const different = await echoed((message) => {
    socket.send(message);
    return socket.next();
  });
  assert.deepEqual(different, []);
  await close(socket);
  await twin.ended("/echo");
});

test("many messages keep their order, both ways", { skip }, async () => {
  const socket = await open("/commands");
  socket.send("count 2000");
  for (let i = 0; i < 2000; i++) assert.equal(await socket.next(), String(i));
  await close(socket);
  const echo = await open("/echo");
  for (let i = 0; i < 2000; i++) echo.send(String(i));
  for (let i = 0; i < 2000; i++) assert.equal(await echo.next(), String(i));
  await close(echo);
  await twin.ended("/commands");
  await twin.ended("/echo");
});

test("fragments make one message, with a ping in between", { skip }, async () => {
  const socket = await open("/echo");
  await fragments(socket);
  await close(socket);
  await twin.ended("/echo");
});

test("what was sent before a close is answered before the close", { skip }, async () => {
  const socket = await open("/echo");
  await lastWords(socket);
  assert.deepEqual(await twin.ended("/echo"), { path: "/echo", why: "peer", code: 4000, reason: "and gone", clean: true });
});

test("the server pings, and gives up who does not answer", { skip }, async () => {
  const socket = await open("/pings");
  for (let i = 0; i < 3; i++) await within(once(socket, "ping"), "a ping");
  socket.send("still here");
  assert.equal(await socket.next(), "still here");
  await close(socket);
  await twin.ended("/pings");

  const silent = await open("/impatient", [], { autoPong: false });
  await within(silent.closed, "the end");
  assert.equal((await twin.ended("/impatient")).why, "pong timeout");
});

test("close codes and reasons of the client", { skip }, async () => {
  for (const [code, reason, answered] of CLOSES) {
    const socket = await open("/echo");
    socket.close(code, reason);
    assert.deepEqual(await within(socket.closed, "the close"), [answered, ""]);
    assert.deepEqual(await twin.ended("/echo"), {
      path: "/echo", why: "peer", code: code ?? null, reason: reason ?? null, clean: true,
    });
  }
});

test("close codes and reasons of the server", { skip }, async () => {
  for (const [code, reason] of [[1000, ""], [1001, "going away"], [1011, "雪"], [3000, "x".repeat(123)], [4999, "y"]]) {
    const socket = await open("/commands");
    socket.send(`close ${code} ${reason}`);
    assert.deepEqual(await within(socket.closed, "the close"), [code, reason]);
    assert.deepEqual(await twin.ended("/commands"), { path: "/commands", why: "local", code, reason, clean: true });
  }
  const socket = await open("/commands");
  socket.send("panic");
  assert.equal((await within(socket.closed, "the close"))[0], 1011);
});

test("a client that vanishes and one that sends too much", { skip }, async () => {
  const socket = await open("/echo");
  socket.terminate();
  assert.deepEqual(await twin.ended("/echo"), { path: "/echo", why: "lost", code: null, reason: null, clean: false });
  const large = await open("/echo");
  large.on("error", () => {});
  large.send(Buffer.alloc(1_000_001));
  assert.equal((await within(large.closed, "the close"))[0], 1009);
  assert.equal((await twin.ended("/echo")).why, "refused");
});

test("subprotocols", { skip }, async () => {
  for (const [offered, chosen] of [[["chat.v1", "chat.v2"], "chat.v2"], [["chat.v3", "chat.v1"], "chat.v1"], [[], ""]]) {
    const socket = await open("/subprotocols", offered);
    assert.equal(socket.protocol, chosen);
    assert.equal(await socket.next(), chosen || "none");
    await close(socket);
    await twin.ended("/subprotocols");
  }
  assert.equal(await refused("/subprotocols", ["chat.v3"]), "Server sent no subprotocol");
});

test("origins", { skip }, async () => {
  for (const origin of ["https://allowed.example", undefined]) {
    const socket = await open("/origin", [], { origin });
    assert.equal(await socket.next(), origin ?? "none");
    await close(socket);
  }
  assert.equal(await refused("/origin", [], { origin: "https://other.example" }), "Unexpected server response: 403");
  assert.equal(await refused("/nowhere"), "Unexpected server response: 404");
});

test("compression is agreed on as the client's options have it", { skip }, async () => {
  for (const [perMessageDeflate, agreed] of [
    [false, /^$/],
    [{ threshold: 0 }],
    [{ threshold: 0, clientNoContextTakeover: true }],
    [{ threshold: 0, serverNoContextTakeover: true }, /^permessage-deflate\b.*;\s*server_no_context_takeover/],
    [{ threshold: 0, clientMaxWindowBits: 10, serverMaxWindowBits: 10 }, /^permessage-deflate\b.*;\s*server_max_window_bits=10\b/],
  ]) {
    const socket = await open("/echo", [], { perMessageDeflate });
    assertAgreed(socket.agreed, agreed);
    await compressible(socket);
    await close(socket);
    await twin.ended("/echo");
  }
});
