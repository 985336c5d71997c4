// Long polling and the upgrade, Sockeye's browser client beside the official one, against a server that says what each
// test needs. A test in `both` runs with each client and expects the same of both.

import assert from "node:assert/strict";
import { test } from "node:test";
import { io as official } from "socket.io-client";
import { loadClient } from "../lib/client.mjs";
import { handshake, scriptedPolling } from "../lib/polling.mjs";
import { CONNECTED } from "../lib/scripted.mjs";

const next = (emitter, event) => new Promise((resolve) => emitter.once(event, (...args) => resolve(args)));
const CLIENTS = { official, sockeye: loadClient() };

/** Runs `body` with a server of its own and a function that makes sockets, which are closed afterwards. */
function check(title, io, body) {
  test(title, { timeout: 10_000 }, async (t) => {
    const server = await scriptedPolling();
    const made = [];
    t.after(() => {
      for (const { io: manager } of made) {
        manager.reconnection(false);
        for (const socket of Object.values(manager.nsps)) socket.disconnect();
      }
      server.close();
    });
    const make = (options, client = io) => {
      const socket = client(server.url, { forceNew: true, reconnection: false, ...options });
      made.push(socket);
      return socket;
    };
    await body(make, server);
  });
}

function both(title, body) {
  for (const [name, io] of Object.entries(CLIENTS)) check(`${title} (${name})`, io, body);
}

const sockeye = (title, body) => check(title, CLIENTS.sockeye, body);

const POLLING = { transports: ["polling"] };

/** A socket that has joined over polling, and the GET that waits for what comes next. */
async function joined(make, server, options = POLLING, fields = {}) {
  const socket = make(options);
  (await server.get()).answer(handshake(fields));
  const join = await server.post();
  assert.deepEqual(join.packets, ["40"]);
  join.answer();
  const poll = await server.get();
  const connected = next(socket, "connect");
  poll.answer(CONNECTED);
  await connected;
  return { socket, engine: socket.io.engine, poll: await server.get() };
}

/** Answers POSTs until so many packets came. */
async function receive(server, count) {
  const packets = [];
  while (packets.length < count) {
    const request = await server.post();
    packets.push(...request.packets);
    request.answer();
  }
  return packets;
}

// ---- the requests

both("the requests, with their parameters and headers", async (make, server) => {
  make({ ...POLLING, query: { a: "1 & 2" }, extraHeaders: { "X-Custom": "yes" } });
  const open = await server.get();
  const { t, ...parameters } = Object.fromEntries(open.url.searchParams);
  assert.deepEqual([open.url.pathname, parameters], ["/socket.io/", { a: "1 & 2", EIO: "4", transport: "polling" }]);
  assert.match(t, /^[0-9a-z]{6,}$/);
  open.answer(handshake());
  const [post, poll] = await Promise.all([server.post(), server.get()]);
  for (const { url, headers } of [post, poll]) {
    assert.equal(url.searchParams.get("sid"), "S".repeat(20));
    assert.equal(url.searchParams.get("transport"), "polling");
    assert.equal(headers["x-custom"], "yes");
  }
  assert.notEqual(poll.url.searchParams.get("t"), t);
  assert.match(post.headers["content-type"], /^text\/plain; ?charset=UTF-8$/i);
  assert.deepEqual(post.packets, ["40"]);
});

both("the time in the address: another name for it, or none", async (make, server) => {
  make({ ...POLLING, timestampParam: "stamp" });
  assert.deepEqual([...(await server.get()).url.searchParams.keys()], ["EIO", "transport", "stamp"]);
  make({ ...POLLING, timestampRequests: false });
  assert.deepEqual([...(await server.get()).url.searchParams.keys()], ["EIO", "transport"]);
  make({ transports: ["websocket"], timestampRequests: true });
  assert.deepEqual([...(await server.upgrade()).url.searchParams.keys()], ["EIO", "transport", "t"]);
});

both("options of one transport only", async (make, server) => {
  make({ transportOptions: { polling: { extraHeaders: { "X-Custom": "polling" } } } });
  assert.equal((await server.get()).headers["x-custom"], "polling");
});

// ---- packets

both("binary both ways is base64", async (make, server) => {
  const { socket, poll } = await joined(make, server);
  const heard = next(socket, "b");
  poll.answer('451-["b",{"_placeholder":true,"num":0}]\x1ebAP+A');
  assert.deepEqual([...new Uint8Array((await heard)[0])], [0, 255, 128]);
  socket.emit("b", new Uint8Array([9, 0, 255, 128, 9]).subarray(1, 4), new Uint8Array([7]).buffer);
  assert.deepEqual(await receive(server, 3), [
    '452-["b",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]', "bAP+A", "bBw==",
  ]);
});

sockeye("what is written in one go is one request", async (make, server) => {
  const { socket } = await joined(make, server);
  socket.emit("a", new Uint8Array([1]));
  socket.emit("b", new Blob(["xyz"]));
  const request = await server.post();
  assert.deepEqual(request.packets, [
    '451-["a",{"_placeholder":true,"num":0}]', "bAQ==", '451-["b",{"_placeholder":true,"num":0}]', "beHl6",
  ]);
});

both("a megabyte of bytes goes through base64 and back", async (make, server) => {
  const { socket, poll } = await joined(make, server, POLLING, { maxPayload: 1e8 });
  const bytes = Uint8Array.from({ length: 1 << 20 }, (_, index) => index * 7 + (index >> 8));
  socket.emit("b", bytes);
  const [, sent] = await receive(server, 2);
  assert.deepEqual(Buffer.from(sent.slice(1), "base64"), Buffer.from(bytes));
  const heard = next(socket, "b");
  poll.answer(`451-["b",{"_placeholder":true,"num":0}]\x1e${sent}`);
  assert.deepEqual(Buffer.from((await heard)[0]), Buffer.from(bytes));
});

both("a body stays below maxPayload, unless one packet is larger", async (make, server) => {
  const { socket } = await joined(make, server, POLLING, { maxPayload: 100 });
  const texts = [..."abcdefghij"].map((char) => char.repeat(30)).concat("€".repeat(10), "€".repeat(100), "z", "y");
  for (const text of texts) socket.emit("t", text);
  const bodies = [];
  while (bodies.flat().length < texts.length) {
    const request = await server.post();
    assert.ok(request.packets.length === 1 || Buffer.byteLength(request.body) <= 100, request.body);
    bodies.push(request.packets);
    request.answer();
  }
  assert.deepEqual(bodies.flat(), texts.map((text) => `42["t","${text}"]`));
  assert.ok(bodies.length < texts.length, "several packets share a body");
});

sockeye("a body of exactly maxPayload bytes is one request, a byte more is two", async (make, server) => {
  const { engine } = (await joined(make, server, POLLING, { maxPayload: 31 })).socket.io;
  const write = (text) => {
    engine.write(text);
    engine.write(new Uint8Array(5)); // 9 bytes with its `b`, and one for the separator
  };
  write("x".repeat(20));
  assert.equal((await receive(server, 2)).length, 2);
  write("x".repeat(21));
  assert.deepEqual([(await receive(server, 1)).length, (await receive(server, 1)).length], [1, 1]);
});

both("volatile events are dropped while a POST is under way", async (make, server) => {
  const { socket } = await joined(make, server);
  socket.volatile.emit("kept");
  const request = await server.post();
  assert.equal(socket.io.engine.transport.writable, false);
  socket.volatile.emit("dropped");
  socket.emit("waits");
  request.answer();
  const after = await server.post();
  assert.deepEqual([request.packets, after.packets], [['42["kept"]'], ['42["waits"]']]);
  after.answer();
});

sockeye("an exception of a listener stops neither the packets behind it nor polling", async (make, server) => {
  const thrown = [];
  const io = loadClient({
    queueMicrotask: (run) => queueMicrotask(() => {
      try {
        run();
      } catch (err) {
        thrown.push(err.message);
      }
    }),
  });
  const { socket, poll } = await joined((options) => make(options, io), server);
  socket.on("bad", () => {
    throw new Error("of the page");
  });
  const behind = next(socket, "behind");
  poll.answer('42["bad"]\x1e42["behind"]');
  await behind;
  const later = next(socket, "later");
  (await server.get()).answer('42["later"]');
  await later;
  assert.deepEqual(thrown, ["of the page"]);
});

// ---- errors

both("a handshake that is refused", async (make, server) => {
  const socket = make(POLLING);
  (await server.get()).answer('{"code":0,"message":"Transport unknown"}', 400);
  const [err] = await next(socket, "connect_error");
  assert.deepEqual([err.message, err.type, err.description], ["xhr poll error", "TransportError", 400]);
  if (socket instanceof CLIENTS.sockeye.Socket) {
    // The official client's is an XMLHttpRequest, which it has emptied by now.
    assert.deepEqual([err.context.status, err.context.responseText], [400, '{"code":0,"message":"Transport unknown"}']);
  }
  assert.equal(socket.active, true);
});

both("nobody listens: xhr poll error", async (make, server) => {
  server.close();
  const [err] = await next(make(POLLING), "connect_error");
  assert.deepEqual([err.message, err.type, err.description], ["xhr poll error", "TransportError", 0]);
});

for (const [title, fail, status] of [
  ["is refused", (request) => request.answer('{"code":1,"message":"Session ID unknown"}', 400), 400],
  ["breaks off", (request) => request.destroy(), 0],
]) {
  both(`a poll that ${title}`, async (make, server) => {
    const { socket, poll } = await joined(make, server);
    const closed = next(socket, "disconnect");
    fail(poll);
    const [reason, err] = await closed;
    assert.deepEqual([reason, err.message, err.type, err.description], ["transport error", "xhr poll error", "TransportError", status]);
  });

  both(`a POST that ${title}`, async (make, server) => {
    const { socket } = await joined(make, server);
    const closed = next(socket, "disconnect");
    socket.emit("lost");
    fail(await server.post());
    const [reason, err] = await closed;
    assert.deepEqual([reason, err.message, err.type, err.description], ["transport error", "xhr post error", "TransportError", status]);
  });
}

sockeye("no answer within requestTimeout", async (make, server) => {
  const socket = make({ ...POLLING, requestTimeout: 30 });
  const failed = next(socket, "connect_error");
  const request = await server.get();
  const [err] = await failed;
  assert.deepEqual([err.message, err.description], ["xhr poll error", 0]);
  while (!request.ended) await new Promise(setImmediate);
});

both("what is no packet is a server error", async (make, server) => {
  const socket = make(POLLING);
  const failed = next(socket, "connect_error");
  (await server.get()).answer("<!doctype html><title>Sign in to this network</title>");
  assert.equal((await failed)[0].message, "server error");
});

for (const [title, answer] of Object.entries({ "that is none": "6", "that is empty": "", "with bad base64": "b!" })) {
  sockeye(`a handshake ${title}: server error, and no further poll`, async (make, server) => {
    const socket = make(POLLING);
    const failed = next(socket, "connect_error");
    (await server.get()).answer(answer);
    assert.equal((await failed)[0].message, "server error");
    assert.deepEqual(server.requests, ["GET"]);
  });
}

sockeye("a handshake without an id: closed, and no further poll", async (make, server) => {
  const socket = make(POLLING);
  const failed = next(socket.io, "error");
  (await server.get()).answer('0{"pingInterval":1000,"pingTimeout":1000}');
  assert.equal((await failed)[0].message, "server error");
  assert.equal(server.requests.includes("GET", 1), false);
});

// ---- the end

both("closed by the server", async (make, server) => {
  const { socket, poll } = await joined(make, server);
  socket.onAny((event) => assert.fail(event));
  const closed = next(socket, "disconnect");
  poll.answer('1\x1e42["behind the end"]');
  const [reason, details] = await closed;
  assert.deepEqual([reason, details.description], ["transport close", "transport closed by the server"]);
});

sockeye("who was told that the session is closed says no farewell", async (make, server) => {
  const methods = [];
  const io = loadClient({
    fetch(url, init) {
      methods.push(init.method);
      return fetch(url, init);
    },
  });
  const { socket, poll } = await joined((options) => make(options, io), server);
  const closed = next(socket, "disconnect");
  poll.answer("1");
  await closed;
  assert.deepEqual(methods.slice().sort(), ["GET", "GET", "GET", "POST"]);
});

sockeye("what the server says before it closes is heard before", async (make, server) => {
  const { socket, poll } = await joined(make, server);
  const heard = [];
  for (const event of ["last", "disconnect"]) socket.on(event, () => heard.push(event));
  const closed = next(socket, "disconnect");
  poll.answer('42["last"]\x1e1');
  await closed;
  assert.deepEqual(heard, ["last", "disconnect"]);
});

both("disconnect() sends what is written, then the farewell, and leaves the poll until that is read", async (make, server) => {
  const { socket, poll } = await joined(make, server);
  socket.emit("last words");
  socket.disconnect();
  assert.deepEqual(await receive(server, 2), ['42["last words"]', "41"]);
  const farewell = await server.post();
  assert.deepEqual([farewell.packets, poll.ended], [["1"], false]);
  poll.answer("6");
  farewell.answer();
});

sockeye("a poll that the server forgets at the farewell is given up", async (make, server) => {
  const { socket, poll } = await joined(make, server);
  socket.disconnect();
  await receive(server, 2);
  while (!poll.ended) await new Promise(setImmediate);
});

both("close() of the engine is a forced close, at once if nothing waits", async (make, server) => {
  const { socket, engine } = await joined(make, server);
  const closed = next(socket, "disconnect");
  engine.close();
  assert.deepEqual(await closed, ["forced close", undefined]);
  assert.deepEqual(await receive(server, 1), ["1"]);
});

both("a ping is answered; without another one, ping timeout", async (make, server) => {
  const { socket, poll } = await joined(make, server, POLLING, { pingInterval: 150, pingTimeout: 150 });
  const pinged = next(socket.io, "ping");
  const closed = next(socket, "disconnect");
  poll.answer("2");
  await pinged;
  assert.deepEqual(await receive(server, 1), ["3"]);
  assert.deepEqual(await closed, ["ping timeout", undefined]);
});

// ---- which transport

both("polling fails: tryAllTransports opens a websocket", async (make, server) => {
  const socket = make({ tryAllTransports: true, transports: ["polling", "websocket"] });
  (await server.get()).answer("", 400);
  const peer = await (await server.upgrade()).accept();
  peer.send(handshake({ upgrades: [] }), CONNECTED);
  await next(socket, "connect");
  assert.equal(socket.io.engine.transport.name, "websocket");
});

both("a websocket fails: tryAllTransports polls, and probes no websocket", async (make, server) => {
  const socket = make({ tryAllTransports: true, transports: ["websocket", "polling"] });
  (await server.upgrade()).refuse();
  (await server.get()).answer(handshake());
  (await server.post()).answer();
  const connected = next(socket, "connect");
  (await server.get()).answer(CONNECTED);
  await connected;
  assert.equal(socket.io.engine.transport.name, "polling");
  assert.deepEqual(server.requests.filter((line) => line === "upgrade").length, 1);
});

both("both fail: the last one's error", async (make, server) => {
  const socket = make({ tryAllTransports: true, transports: ["websocket", "polling"] });
  const failed = next(socket, "connect_error");
  (await server.upgrade()).refuse();
  (await server.get()).answer("", 502);
  const [err] = await failed;
  assert.deepEqual([err.message, err.description], ["xhr poll error", 502]);
});

both("without tryAllTransports the first one's failure is the attempt's", async (make, server) => {
  const socket = make({ transports: ["websocket", "polling"] });
  const failed = next(socket, "connect_error");
  (await server.upgrade()).refuse();
  assert.equal((await failed)[0].message, "websocket error");
  assert.deepEqual(server.requests, ["upgrade"]);
});

for (const [title, options, fields] of [
  ["upgrade is false", { upgrade: false }, {}],
  ["the list has no websocket", { transports: ["polling"] }, {}],
  ["the server offers none", {}, { upgrades: [] }],
]) {
  both(`no upgrade: ${title}`, async (make, server) => {
    const { socket, engine } = await joined(make, server, options, fields);
    socket.emit("by polling");
    assert.deepEqual(await receive(server, 1), ['42["by polling"]']);
    assert.deepEqual([engine.transport.name, server.requests.includes("upgrade")], ["polling", false]);
  });
}

// ---- the upgrade

/** A joined socket whose probe was answered, while its poll still waits. */
async function upgrading(make, server, options = {}) {
  const arrival = server.upgrade();
  const session = await joined(make, server, options);
  const request = await arrival;
  assert.deepEqual(
    Object.fromEntries([...request.url.searchParams].filter(([name]) => name !== "t")),
    { EIO: "4", transport: "websocket", sid: "S".repeat(20) },
  );
  const peer = await request.accept();
  assert.equal(await peer.receive(), "2probe");
  const begun = next(session.engine, "upgrading");
  peer.send("3probe");
  assert.equal((await begun)[0].name, "websocket");
  return { ...session, peer };
}

both("an upgrade waits for the poll and the POST, and what is written meanwhile follows it in order", async (make, server) => {
  const arrival = server.upgrade();
  const { socket, engine, poll } = await joined(make, server, {});
  const peer = await (await arrival).accept();
  assert.equal(await peer.receive(), "2probe");
  socket.emit("n", 0);
  const post = await server.post();
  assert.deepEqual(post.packets, ['42["n",0]']);
  socket.emit("n", 1);
  const begun = next(engine, "upgrading");
  peer.send("3probe");
  await begun;
  socket.emit("n", 2, new Uint8Array([2]));
  const heard = next(socket, "from the poll");
  poll.answer('2\x1e42["from the poll"]');
  await heard;
  socket.emit("n", 3);
  assert.equal(engine.transport.name, "polling");
  const upgraded = next(engine, "upgrade");
  post.answer();
  const [transport] = await upgraded;
  assert.deepEqual([transport.name, engine.transport.name], ["websocket", "websocket"]);
  socket.emit("n", 4);
  const sent = [];
  while (sent.length < 7) sent.push(await peer.receive());
  assert.deepEqual(sent.map(String), [
    "5", '42["n",1]', '451-["n",2,{"_placeholder":true,"num":0}]', "\x02", "3", '42["n",3]', '42["n",4]',
  ]);
  peer.send('42["by websocket"]');
  await next(socket, "by websocket");
  assert.equal(socket.connected, true);
  assert.equal(server.requests.includes("POST 1"), false, "the session is not closed with its first transport");
});

both("after the upgrade the websocket's end is the session's", async (make, server) => {
  const { socket, engine, poll, peer } = await upgrading(make, server);
  const upgraded = next(engine, "upgrade");
  poll.answer("6");
  await upgraded;
  const closed = next(socket, "disconnect");
  peer.close();
  const [reason, details] = await closed;
  assert.deepEqual([reason, details.description], ["transport close", "websocket connection closed"]);
});

for (const [title, fail, message] of [
  ["refused", (request) => request.refuse(), "probe error: Error: websocket error"],
  ["closed", async (request) => (await request.accept()).close(), "probe error: transport closed"],
  ["answered with something else", async (request) => (await request.accept()).send("3other"), "probe error"],
]) {
  both(`a probe that is ${title} leaves polling alive`, async (make, server) => {
    const arrival = server.upgrade();
    const { socket, engine, poll } = await joined(make, server, {});
    const failed = next(engine, "upgradeError");
    await fail(await arrival);
    const [err] = await failed;
    assert.deepEqual([err.message, err.transport], [message, "websocket"]);
    socket.emit("by polling");
    assert.deepEqual(await receive(server, 1), ['42["by polling"]']);
    const heard = next(socket, "heard");
    poll.answer('42["heard"]');
    await heard;
    assert.equal(engine.transport.name, "polling");
  });
}

sockeye("a probe that nobody answers is given up", async (make, server) => {
  const waited = [];
  const io = loadClient({
    setTimeout: (run, ms) => {
      waited.push(ms);
      return setTimeout(run, ms === 10_000 ? 20 : ms);
    },
  });
  const arrival = server.upgrade();
  const session = joined((options) => make(options, io), server, {});
  const peer = await (await arrival).accept();
  assert.equal(await peer.receive(), "2probe");
  await peer.closed;
  const { engine, socket } = await session;
  assert.ok(waited.includes(10_000));
  socket.emit("by polling");
  assert.deepEqual(await receive(server, 1), ['42["by polling"]']);
  assert.equal(engine.transport.name, "polling");
});

sockeye("a probe that is lost while polling pauses: polling goes on, and nothing is lost or reordered", async (make, server) => {
  const { socket, engine, poll, peer } = await upgrading(make, server);
  socket.emit("n", 1);
  socket.emit("n", 2);
  const failed = next(engine, "upgradeError");
  peer.close();
  assert.equal((await failed)[0].message, "probe error: transport closed");
  assert.deepEqual(await receive(server, 2), ['42["n",1]', '42["n",2]']);
  socket.emit("n", 3);
  assert.deepEqual(await receive(server, 1), ['42["n",3]']);
  const heard = next(socket, "heard");
  poll.answer('42["heard"]');
  await heard;
  const again = next(socket, "again");
  (await server.get()).answer('42["again"]');
  await again;
  assert.equal(engine.transport.name, "polling");
});

sockeye("a probe that is lost when polling has paused: it polls again", async (make, server) => {
  const arrival = server.upgrade();
  const { socket, engine, poll } = await joined(make, server, {});
  socket.emit("under way");
  const post = await server.post();
  const peer = await (await arrival).accept();
  await peer.receive();
  const begun = next(engine, "upgrading");
  peer.send("3probe");
  await begun;
  const heard = next(socket, "heard");
  poll.answer('42["heard"]');
  await heard; // no poll waits now, and the POST keeps it from switching
  const failed = next(engine, "upgradeError");
  peer.close();
  await failed;
  const again = next(socket, "again");
  (await server.get()).answer('42["again"]');
  await again;
  post.answer();
});

both("the session ends while it upgrades: upgradeError, and the probe is closed", async (make, server) => {
  const { socket, engine, poll, peer } = await upgrading(make, server);
  const [failed, closed] = [next(engine, "upgradeError"), next(socket, "disconnect")];
  poll.answer("", 500);
  assert.equal((await closed)[0], "transport error");
  assert.equal((await failed)[0].message, "probe error: socket closed");
  await peer.closed;
});

both("disconnect() while it upgrades is sent by the websocket", async (make, server) => {
  const { socket, poll, peer } = await upgrading(make, server);
  socket.emit("last words");
  socket.disconnect();
  poll.answer("6");
  assert.deepEqual([await peer.receive(), await peer.receive(), await peer.receive()], ["5", '42["last words"]', "41"]);
  await peer.closed;
});

both("close() of the engine while it upgrades waits for that", async (make, server) => {
  const { socket, engine, poll, peer } = await upgrading(make, server);
  const closed = next(socket, "disconnect");
  engine.close();
  assert.equal(engine.readyState, "closing");
  poll.answer("6");
  assert.equal(await peer.receive(), "5");
  assert.equal((await closed)[0], "forced close");
  await peer.closed;
});

both("rememberUpgrade opens with the transport that worked", async (make, server) => {
  // What the tests before left behind: a failure makes it forget.
  const failing = next(make(POLLING), "connect_error");
  (await server.get()).answer("", 400);
  await failing;
  const { socket, engine, poll } = await upgrading(make, server, { rememberUpgrade: true });
  const upgraded = next(engine, "upgrade");
  poll.answer("6");
  await upgraded;
  socket.disconnect();
  server.requests.length = 0;
  socket.connect();
  const peer = await (await server.upgrade()).accept();
  peer.send(handshake({ upgrades: [] }), CONNECTED);
  await next(socket, "connect");
  assert.deepEqual(server.requests, ["upgrade"]);
  // What failed is not remembered.
  const closed = next(socket, "disconnect");
  peer.send("x");
  await closed;
  socket.connect();
  (await server.get()).answer("", 400);
  await next(socket, "connect_error");
});

// ---- forceBase64

both("forceBase64: said in the handshake, and text only", async (make, server) => {
  const arrival = server.upgrade();
  const socket = make({ forceBase64: true });
  const open = await server.get();
  assert.equal(open.url.searchParams.get("b64"), "1");
  open.answer(handshake());
  const request = await arrival;
  assert.equal(request.url.searchParams.get("b64"), "1");
  const peer = await request.accept();
  await peer.receive();
  (await server.post()).answer();
  const upgraded = next(socket.io.engine, "upgrade");
  peer.send("3probe");
  (await server.get()).answer(CONNECTED);
  await upgraded;
  assert.equal(await peer.receive(), "5");
  socket.emit("b", new Uint8Array([1]));
  assert.deepEqual([await peer.receive(), await peer.receive()], ['451-["b",{"_placeholder":true,"num":0}]', "bAQ=="]);
  const heard = next(socket, "b");
  peer.send('451-["b",{"_placeholder":true,"num":0}]', "bAP8=");
  assert.deepEqual([...new Uint8Array((await heard)[0])], [0, 255]);
});

sockeye("forceBase64: a Blob keeps its place", async (make, server) => {
  const socket = make({ forceBase64: true, transports: ["websocket"] });
  const peer = await (await server.upgrade()).accept();
  peer.send(handshake({ upgrades: [] }), CONNECTED);
  await next(socket, "connect");
  assert.equal(await peer.receive(), "40");
  socket.emit("blob", new Blob(["xyz"]));
  socket.emit("behind");
  socket.disconnect();
  const sent = [];
  while (sent.length < 4) sent.push(await peer.receive());
  assert.deepEqual(sent, ['451-["blob",{"_placeholder":true,"num":0}]', "beHl6", '42["behind"]', "41"]);
  await peer.closed;
});
