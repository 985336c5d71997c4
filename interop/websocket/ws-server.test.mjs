// npm ws as the server of our client.

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { WebSocketServer } from "ws";
import { within } from "../engine/transcript.mjs";
import { close as closeSocket, CLOSES, COMPRESSIBLE, compressible, fragments, lastWords, lengths, taking } from "../lib/ws.mjs";
import { echoed } from "./bulk.mjs";
import { startClient } from "./client-twin.mjs";
import { skip } from "./twin.mjs";

/** Starts a server on a free port, which ends with the test `t`; resolves with its URL. */
async function listen(t, server, scheme = "ws") {
  server.listen(0, "localhost");
  await within(once(server, "listening"), "a port");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `${scheme}://localhost:${server.address().port}`;
}

/**
 * Lets our client, with these arguments, come to a server with these options: `{ socket, client, offered, agreed, bytes() }`:
 * `offered` and `agreed` are what was said of extensions, `bytes` tells how many bytes our client has sent so far.
 */
async function meet(t, options = {}, args = [], http = createServer(), scheme = "ws", path = "/here") {
  const url = await listen(t, http, scheme);
  const server = new WebSocketServer({ server: http, ...options });
  let agreed = "";
  server.on("headers", (headers) => {
    const line = headers.find((header) => /^sec-websocket-extensions:/i.test(header));
    agreed = line?.replace(/^[^:]*: /, "") ?? "";
  });
  const connected = once(server, "connection").then(([socket, request]) => [taking(socket), request]);
  const client = startClient(...args, url + path);
  t.after(() => client.stop());
  const [socket, request] = await within(connected, "our client");
  const opened = await client.line();
  const offered = request.headers["sec-websocket-extensions"] ?? "";
  return { socket, client, opened, offered, agreed, bytes: () => request.socket.bytesRead };
}

const ending = (why, code, reason, clean = true) => ({ path: "/here", why, code, reason, clean });

/** Closes, and checks that our client has seen it. */
async function close({ socket, client }) {
  await closeSocket(socket);
  assert.deepEqual(await client.line(), ending("peer", 1000, ""));
  assert.equal(await client.line(), undefined);
}

test("messages come back with their types, whatever their length", { skip }, async (t) => {
  for (const compression of ["none", "alone", "takeover"]) {
    const meeting = await meet(t, { perMessageDeflate: { threshold: 0 } }, ["--compression", compression]);
    await lengths(meeting.socket);
    await close(meeting);
  }
});

test("a hundred megabytes of text and of binary come back equal", { skip }, async (t) => {
  const meeting = await meet(t);
  const different = await echoed((message) => {
    meeting.socket.send(message);
    return meeting.socket.next();
  });
  assert.deepEqual(different, []);
  await close(meeting);
});

test("many messages keep their order, both ways", { skip }, async (t) => {
  const meeting = await meet(t);
  for (let i = 0; i < 5000; i++) meeting.socket.send(String(i));
  for (let i = 0; i < 5000; i++) assert.equal(await meeting.socket.next(), String(i));
  await close(meeting);
});

test("fragments make one message, with a ping in between", { skip }, async (t) => {
  // With compression, the first frame alone says that there is some.
  for (const perMessageDeflate of [false, { threshold: 0 }]) {
    const meeting = await meet(t, { perMessageDeflate }, ["--compression", "takeover"]);
    await fragments(meeting.socket);
    await close(meeting);
  }
});

test("what was sent before a close is answered before the close", { skip }, async (t) => {
  const { socket, client } = await meet(t);
  await lastWords(socket);
  assert.deepEqual(await client.line(), ending("peer", 4000, "and gone"));
});

test("close codes and reasons of the server", { skip }, async (t) => {
  for (const [code, reason, answered] of CLOSES) {
    const { socket, client } = await meet(t);
    socket.close(code, reason);
    assert.deepEqual(await within(socket.closed, "the close"), [answered, ""]);
    assert.deepEqual(await client.line(), ending("peer", code ?? null, reason ?? null));
  }
});

test("close codes and reasons of the client", { skip }, async (t) => {
  for (const [code, reason] of [[1000, ""], [1001, "going away"], [1011, "雪"], [3000, "x".repeat(123)], [4999, "y"]]) {
    const { socket, client } = await meet(t, {}, ["--commands"]);
    socket.send("text 5");
    assert.equal(await socket.next(), "xxxxx");
    socket.send(`close ${code} ${reason}`);
    assert.deepEqual(await within(socket.closed, "the close"), [code, reason]);
    assert.deepEqual(await client.line(), ending("local", code, reason));
  }
});

test("a server that vanishes, one that sends too much, and one that breaks the protocol", { skip }, async (t) => {
  const vanishing = await meet(t);
  vanishing.socket.terminate();
  assert.deepEqual(await vanishing.client.line(), ending("lost", null, null, false));

  const large = await meet(t);
  large.socket.send(Buffer.alloc(1_000_001));
  assert.equal((await within(large.socket.closed, "the close"))[0], 1009);
  assert.deepEqual(await large.client.line(), ending("refused", 1009, null, false));

  const broken = await meet(t);
  // A text message that is none, behind one that is.
  broken.socket.send("good");
  broken.socket.send(Buffer.from([0xff]), { binary: false });
  assert.equal(await broken.socket.next(), "good");
  assert.equal((await within(broken.socket.closed, "the close"))[0], 1007);
  assert.equal((await broken.client.line()).why, "refused");
});

test("subprotocols", { skip }, async (t) => {
  const handleProtocols = (offered) => ["chat.v1", "chat.v2"].find((ours) => offered.has(ours)) ?? false;
  const offer = (...names) => names.flatMap((name) => ["--subprotocol", name]);
  for (const [names, chosen] of [[["chat.v2", "chat.v1"], "chat.v1"], [["chat.v3", "chat.v2"], "chat.v2"], [[], null], [["chat.v3"], null]]) {
    const meeting = await meet(t, { handleProtocols }, offer(...names));
    assert.deepEqual(meeting.opened, { subprotocol: chosen });
    assert.equal(meeting.socket.protocol, chosen ?? "");
    await close(meeting);
  }
});

test("handshakes that are refused", { skip }, async (t) => {
  const refusal = async (http, path = "/") => {
    const client = startClient((await listen(t, http)) + path);
    t.after(() => client.stop());
    const line = await client.line();
    assert.equal(await client.line(), undefined);
    return line;
  };
  const unauthorized = createServer();
  new WebSocketServer({ server: unauthorized, verifyClient: (_, done) => done(false, 401, "who are you?") });
  const { refused, status, error } = await refusal(unauthorized);
  assert.deepEqual([refused, status], ["Http", 401]);
  assert.match(error, /401/);

  const elsewhere = createServer();
  new WebSocketServer({ server: elsewhere, path: "/elsewhere" });
  assert.equal((await refusal(elsewhere)).status, 400);

  const moved = createServer();
  moved.on("upgrade", (_, socket) => socket.end("HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n"));
  assert.equal((await refusal(moved)).status, 302);

  const page = createServer((_, response) => response.end("a page"));
  assert.equal((await refusal(page)).status, 200);

  // Answers that no WebSocket opens by.
  const upgrade = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
  for (const [lines, why] of [
    ["Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n", /Sec-WebSocket-Accept/i],
    ["", /Sec-WebSocket-Accept/i],
  ]) {
    const lying = createServer();
    lying.on("upgrade", (_, socket) => socket.end(`${upgrade}${lines}\r\n`));
    const { refused, error } = await refusal(lying);
    assert.equal(refused, "Handshake");
    assert.match(error, why);
  }
  const unasked = createServer();
  const forced = new WebSocketServer({ server: unasked });
  forced.on("headers", (headers) => headers.push("Sec-WebSocket-Protocol: chat.v9"));
  assert.equal((await refusal(unasked)).refused, "Handshake");
});

test("compression is agreed on as the server's options have it", { skip }, async (t) => {
  for (const [perMessageDeflate, args, offered, agreed] of [
    [{ threshold: 0 }, ["--compression", "none"], /^$/, /^$/],
    [false, [], /^permessage-deflate\b/, /^$/],
    [{ threshold: 0 }, [], /^permessage-deflate\b.*client_no_context_takeover/, /^permessage-deflate\b.*server_no_context_takeover/],
    [{ threshold: 0 }, ["--compression", "takeover"], /^permessage-deflate\b(?!.*no_context)/, /^permessage-deflate$/],
    [{ threshold: 0, clientNoContextTakeover: true }, ["--compression", "takeover"], /^permessage-deflate\b/, /client_no_context_takeover/],
    [{ threshold: 0, serverNoContextTakeover: true }, ["--compression", "takeover"], /^permessage-deflate\b/, /server_no_context_takeover/],
    [{ threshold: 0, clientMaxWindowBits: 10, serverMaxWindowBits: 10 }, ["--compression", "takeover"], /client_max_window_bits/, /client_max_window_bits=10\b/],
    [{ threshold: 0 }, ["--compression", "takeover", "--window", "9"], /server_max_window_bits=9\b/, /server_max_window_bits=9\b/],
  ]) {
    const meeting = await meet(t, { perMessageDeflate }, args);
    assert.match(meeting.offered, offered);
    assert.match(meeting.agreed, agreed);
    // Whether our client makes use of what was agreed on.
    await compressible(meeting.socket, meeting.bytes, (cost) => assert.equal(cost < 5_000, meeting.agreed !== "", `${cost} bytes`));
    await close(meeting);
  }
});

test("with context takeover, what was sent before is sent again in a few bytes, and without it is not", { skip }, async (t) => {
  // Each by itself has nothing to refer to.
  let state = 1;
  const noise = Array.from({ length: 4_000 }, () => String.fromCharCode(33 + (state = (state * 16_807) % 2_147_483_647) % 90)).join("");
  for (const [compression, repeats] of [["takeover", true], ["alone", false]]) {
    const meeting = await meet(t, { perMessageDeflate: { threshold: 0 } }, ["--compression", compression]);
    const { socket, bytes } = meeting;
    const costs = [];
    for (let i = 0; i < 2; i++) {
      const before = bytes();
      socket.send(noise);
      assert.ok((await socket.next()) === noise);
      costs.push(bytes() - before);
    }
    assert.ok(costs[0] > 3_000, `${costs}`);
    assert.equal(costs[1] < 300, repeats, `${costs}`);
    await close(meeting);
  }
});

test("a server's pings are answered, and its pongs wanted by nobody", { skip }, async (t) => {
  const meeting = await meet(t);
  const { socket } = meeting;
  for (const payload of ["", "x".repeat(125)]) {
    const pong = once(socket, "pong");
    socket.ping(payload);
    assert.equal(String((await within(pong, "a pong"))[0]), payload);
    socket.pong(payload);
  }
  socket.send("still here");
  assert.equal(await socket.next(), "still here");
  await close(meeting);
});

test("over TLS, by an authority that is named and by the system's", { skip }, async (t) => {
  const writer = startClient("--certificate", "localhost");
  t.after(() => writer.stop());
  const { authority, certificate, key } = await writer.line();
  const directory = await mkdtemp(join(tmpdir(), "sockeye-authority-"));
  t.after(() => rm(directory, { recursive: true }));
  const file = join(directory, "authority.pem");
  await writeFile(file, authority);
  const secure = () => createSecureServer({ cert: certificate, key });
  const named = await meet(t, {}, ["--authority", file], secure(), "wss");
  named.socket.send(COMPRESSIBLE);
  assert.ok((await named.socket.next()) === COMPRESSIBLE);
  await close(named);

  // Where OpenSSL looks, too.
  const before = process.env.SSL_CERT_FILE;
  process.env.SSL_CERT_FILE = file;
  try {
    const system = await meet(t, {}, [], secure(), "wss");
    system.socket.send("hello");
    assert.equal(await system.socket.next(), "hello");
    await close(system);
  } finally {
    if (before === undefined) delete process.env.SSL_CERT_FILE;
    else process.env.SSL_CERT_FILE = before;
  }

  // Neither of them.
  const stranger = startClient((await listen(t, secure(), "wss")) + "/");
  t.after(() => stranger.stop());
  assert.equal((await stranger.line()).refused, "Tls");
});
