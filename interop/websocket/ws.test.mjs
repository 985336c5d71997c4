// npm ws as the client of our server.

import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { WebSocket } from "ws";
import { within } from "../engine/transcript.mjs";
import { echoed } from "./bulk.mjs";
import { assertAgreed, skip, startTwin } from "./twin.mjs";

let twin;
before(async () => {
  if (!skip) twin = await startTwin("--origin", "https://allowed.example");
});
after(() => twin?.stop());

/** Opens a WebSocket whose messages wait to be taken by `next()`: strings and buffers. */
async function open(path, protocols, options) {
  const socket = new WebSocket(twin.url + path, protocols, options);
  const messages = [];
  const takers = [];
  socket.on("message", (data, isBinary) => {
    const message = isBinary ? data : data.toString();
    if (takers.length > 0) takers.shift()(message);
    else messages.push(message);
  });
  socket.next = () => messages.length > 0 ? messages.shift() : within(new Promise((resolve) => takers.push(resolve)), "a message");
  /** The server's answer to the extensions that were offered. */
  socket.once("upgrade", ({ headers }) => (socket.agreed = headers["sec-websocket-extensions"] ?? ""));
  socket.closed = once(socket, "close").then(([code, reason]) => [code, reason.toString()]);
  await within(once(socket, "open"), `an open WebSocket at ${path}`);
  return socket;
}

/** Why the server does not let it in. */
async function refused(path, protocols, options) {
  const socket = new WebSocket(twin.url + path, protocols, options);
  const [error] = await within(once(socket, "error"), "a refusal");
  return error.message;
}

async function close(socket) {
  socket.close(1000);
  assert.deepEqual(await within(socket.closed, "the close"), [1000, ""]);
}

test("messages come back with their types, whatever their length", { skip }, async () => {
  const socket = await open("/echo");
  assertAgreed(socket.agreed);
  for (const length of [0, 1, 125, 126, 65_535, 65_536, 1_000_000]) {
    const text = "x".repeat(length);
    socket.send(text);
    assert.ok((await socket.next()) === text, `text of ${length}`);
    const bytes = Buffer.alloc(length, "0123456789");
    socket.send(bytes);
    assert.ok(bytes.equals(await socket.next()), `${length} bytes`);
  }
  socket.send("雪 😀 \0");
  assert.equal(await socket.next(), "雪 😀 \0");
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
  const pong = once(socket, "pong");
  // More than ASCII, and cut in the middle of a character.
  const bytes = Buffer.from("fragments: 雪 😀");
  for (let i = 0; i < bytes.length; i++) {
    socket.send(bytes.subarray(i, i + 1), { binary: false, fin: i === bytes.length - 1 });
    if (i === 12) socket.ping("in between");
  }
  assert.equal(String((await within(pong, "a pong"))[0]), "in between");
  assert.equal(await socket.next(), "fragments: 雪 😀");
  for (const last of [false, false, true]) socket.send(Buffer.from([1, 2]), { fin: last });
  assert.deepEqual(await socket.next(), Buffer.from([1, 2, 1, 2, 1, 2]));
  await close(socket);
  await twin.ended("/echo");
});

test("what was sent before a close is answered before the close", { skip }, async () => {
  const socket = await open("/echo");
  socket.send("last words");
  socket.close(4000, "and gone");
  assert.equal(await socket.next(), "last words");
  assert.deepEqual(await within(socket.closed, "the close"), [4000, ""]);
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
  for (const [code, reason, echoed] of [
    [undefined, undefined, 1005], [1000, "", 1000], [1001, "bye", 1001], [3000, "雪", 3000], [4999, "x".repeat(123), 4999],
  ]) {
    const socket = await open("/echo");
    socket.close(code, reason);
    assert.deepEqual(await within(socket.closed, "the close"), [echoed, ""]);
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
    const text = "compressible ".repeat(5_000);
    for (let i = 0; i < 3; i++) {
      socket.send(text + i);
      assert.ok((await socket.next()) === text + i);
      socket.send(Buffer.from(text));
      assert.ok(Buffer.from(text).equals(await socket.next()));
    }
    await close(socket);
    await twin.ended("/echo");
  }
});
