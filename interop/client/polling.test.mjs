// Long polling, Sockeye's browser client beside the official one.

import assert from "node:assert/strict";
import { both, CLIENTS, joined, next, POLLING, receive, sockeye } from "../lib/both.mjs";
import { loadClient } from "../lib/client.mjs";
import { handshake } from "../lib/polling.mjs";

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

for (const words of ["", "too slow a consumer"]) {
  both(`closed by the server: "${words}"`, async (make, server) => {
    const { socket, poll } = await joined(make, server);
    socket.onAny((event) => assert.fail(event));
    const closed = next(socket, "disconnect");
    poll.answer(`1${words}\x1e42["behind the end"]`);
    const [reason, details] = await closed;
    assert.deepEqual([reason, details.description], ["transport close", "transport closed by the server"]);
  });
}

sockeye("what a server says of its reason is in the details", async (make, server) => {
  const { socket, poll } = await joined(make, server);
  const closed = next(socket, "disconnect");
  poll.answer("1too slow a consumer");
  const [, details] = await closed;
  assert.equal(details.reason, "too slow a consumer");
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
  const { socket, poll } = await joined(make, server, POLLING, { pingInterval: 500, pingTimeout: 500 });
  const pinged = next(socket.io, "ping");
  const closed = next(socket, "disconnect");
  poll.answer("2");
  await pinged;
  assert.deepEqual(await receive(server, 1), ["3"]);
  assert.deepEqual(await closed, ["ping timeout", undefined]);
});
