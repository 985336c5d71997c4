// Sockeye's browser client beside the official one, both in Node.js, against a server that says what each test needs:
// what the scenario cannot provoke. A test in `both` runs with each client and expects the same of both.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { io as official } from "socket.io-client";
import { WebSocket } from "ws";
import { loadClient } from "../lib/client.mjs";
import { CONNECTED, OPEN, scriptedServer } from "../lib/scripted.mjs";

let server;
before(async () => {
  server = await scriptedServer();
});
after(() => server.close());

const next = (emitter, event) => new Promise((resolve) => emitter.once(event, (...args) => resolve(args)));
const CLIENTS = { official, sockeye: loadClient() };

/** Runs `body` with a function that makes sockets, which are closed afterwards. */
function check(title, io, body) {
  test(title, { timeout: 60_000 }, async () => {
    const made = [];
    const make = (options, namespace = "/") => {
      const socket = io(server.url + namespace, { transports: ["websocket"], forceNew: true, reconnection: false, ...options });
      made.push(socket);
      return socket;
    };
    try {
      await body(make, io);
    } finally {
      for (const { io: manager } of made) {
        manager.reconnection(false);
        for (const socket of Object.values(manager.nsps)) socket.disconnect();
      }
    }
  });
}

function both(title, body) {
  for (const [name, io] of Object.entries(CLIENTS)) check(`${title} (${name})`, io, body);
}

const sockeye = (title, body) => check(title, CLIENTS.sockeye, body);

/** A socket that has joined, and the server's end of it. */
async function joined(make, options) {
  const socket = make(options);
  const peer = await server.connection();
  peer.send(OPEN);
  assert.match(await peer.receive(), /^40/);
  peer.send(CONNECTED);
  await next(socket, "connect");
  return { socket, peer };
}

// ---- the wire

both("the request, with path and query", async (make) => {
  for (const [options, namespace, expected] of [
    [{}, "/", "/socket.io/?EIO=4&transport=websocket"],
    [{ path: "/my/path" }, "/", "/my/path/?EIO=4&transport=websocket"],
    [{ path: "/my/path/", addTrailingSlash: false }, "/", "/my/path?EIO=4&transport=websocket"],
    [{ query: { a: "1 & 2", "ü": "=" } }, "/", "/socket.io/?a=1%20%26%202&%C3%BC=%3D&EIO=4&transport=websocket"],
    [{ query: { a: "option" } }, "/ns?a=address", "/socket.io/?a=address&EIO=4&transport=websocket"],
  ]) {
    make(options, namespace);
    const peer = await server.connection();
    assert.equal(peer.url, expected);
    peer.terminate();
  }
});

both("what is sent, byte for byte", async (make) => {
  const socket = make({ auth: { token: "abc" } });
  const admin = socket.io.socket("/admin", {});
  const peer = await server.connection();
  peer.send(OPEN);
  assert.deepEqual([await peer.receive(), await peer.receive()], ['40{"token":"abc"}', "40/admin,"]);
  peer.send(CONNECTED, `40/admin,{"sid":"${"Q".repeat(20)}"}`);
  await next(admin, "connect");
  socket.emit("hello", 1, { a: null }, undefined, NaN, "€😀");
  assert.equal(await peer.receive(), '42["hello",1,{"a":null},null,null,"€😀"]');
  socket.emit("ackme", "x", () => {});
  assert.equal(await peer.receive(), '420["ackme","x"]');
  admin.emit("ackme", () => {});
  assert.equal(await peer.receive(), '42/admin,0["ackme"]');
  socket.emit("b", new Uint8Array([1, 2]), { x: new Uint8Array([3]).buffer });
  assert.equal(await peer.receive(), '452-["b",{"_placeholder":true,"num":0},{"x":{"_placeholder":true,"num":1}}]');
  assert.deepEqual([await peer.receive(), await peer.receive()], [Buffer.of(1, 2), Buffer.of(3)]);
  socket.emit("behind", { toJSON: () => ({ bytes: new Uint8Array([9]) }) }, () => {});
  assert.equal(await peer.receive(), '451-1["behind",{"bytes":{"_placeholder":true,"num":0}}]');
  assert.deepEqual(await peer.receive(), Buffer.of(9));
  socket.on("q", (answer) => answer("one", new Uint8Array([7])));
  peer.send('427["q"]');
  assert.equal(await peer.receive(), '461-7["one",{"_placeholder":true,"num":0}]');
  assert.deepEqual(await peer.receive(), Buffer.of(7));
  peer.send("2");
  assert.equal(await peer.receive(), "3");
  admin.disconnect();
  assert.equal(await peer.receive(), "41/admin,");
  socket.disconnect();
  assert.equal(await peer.receive(), "41");
});

both("lenient forms that are read", async (make) => {
  const { socket, peer } = await joined(make);
  const heard = [];
  socket.onAny((...args) => heard.push(args));
  peer.send('42["no comma"]', '42/,["the root, named"]', "6", '42[1,2]', '43/,99["no such ack"]', '42["last"]');
  await next(socket, "last");
  assert.deepEqual(heard, [["no comma"], ["the root, named"], [1, 2], ["last"]]);
  peer.send("41/other", "41");
  assert.equal((await next(socket, "disconnect"))[0], "io server disconnect");
});

for (const [title, ...messages] of [
  ["an unknown type", "49"],
  ["a payload that is no array", '42{"a":1}'],
  ["a payload that is no JSON", '42["a"'],
  ["a reserved event", '42["connect"]'],
  ["an event without a name", "42[]"],
  ["an event whose name is an object", "42[{}]"],
  ["an ack that is no array", '430{"a":1}'],
  ["a disconnect with a payload", '41{"a":1}'],
  ["a connect with an array", "40[]"],
  ["no attachments", '450-["a"]'],
  ["attachments without a number", '45["a"]'],
  ["attachments of an event that has none", '421-["a"]'],
  ["text while attachments are due", '451-["a",{"_placeholder":true,"num":0}]', '42["b"]'],
  ["bytes when none are due", Buffer.of(1)],
  ["a placeholder out of range", '451-["a",{"_placeholder":true,"num":1}]', Buffer.of(1)],
  ["a placeholder that is no number", '451-["a",{"_placeholder":true,"num":"0"}]', Buffer.of(1)],
]) {
  both(`parse error: ${title}`, async (make) => {
    const { socket, peer } = await joined(make);
    socket.onAny((event) => assert.fail(`heard ${event}`));
    const closed = next(socket, "disconnect");
    peer.send(...messages);
    const [reason, details] = await closed;
    assert.equal(reason, "parse error");
    assert.ok(details instanceof Error);
  });
}

sockeye("parse error: an event without a payload, at which the official client throws in its message handler", async (make) => {
  const { socket, peer } = await joined(make);
  peer.send("42");
  assert.equal((await next(socket, "disconnect"))[0], "parse error");
});

both("an unknown Engine.IO packet is a transport error", async (make) => {
  const { socket, peer } = await joined(make);
  const errors = [];
  socket.io.on("error", (err) => errors.push(err.message));
  peer.send("x");
  assert.equal((await next(socket, "disconnect"))[0], "transport error");
  assert.deepEqual(errors, ["server error"]);
});

// ---- recovery

both("recovery: the session and the last offset are sent, and the server's word counts", async (make) => {
  const socket = make({ reconnection: true, reconnectionDelay: 1, auth: { token: "t" } });
  let peer = await server.connection();
  peer.send(OPEN);
  assert.equal(await peer.receive(), '40{"token":"t"}');
  peer.send('40{"sid":"PPPPPPPPPPPPPPPPPPPP","pid":"secret"}');
  await next(socket, "connect");
  assert.equal(socket.recovered, false);
  const heard = [];
  socket.onAny((...args) => heard.push(args.filter((arg) => typeof arg !== "function")));
  peer.send('42["a",1,"offset-1"]', '42["b",2]', '427["c","no offset"]');
  while (heard.length < 3) await new Promise((resolve) => setTimeout(resolve, 1));
  peer.terminate();

  peer = await server.connection();
  peer.send(OPEN);
  assert.deepEqual(JSON.parse((await peer.receive()).slice(2)), { pid: "secret", offset: "offset-1", token: "t" });
  peer.send('42["missed","offset-2"]', '40{"sid":"PPPPPPPPPPPPPPPPPPPP","pid":"secret"}');
  await next(socket, "connect");
  assert.equal(socket.recovered, true);
  assert.deepEqual(heard, [["a", 1, "offset-1"], ["b", 2], ["c", "no offset"], ["missed", "offset-2"]]);
  peer.terminate();

  peer = await server.connection();
  peer.send(OPEN);
  assert.equal(JSON.parse((await peer.receive()).slice(2)).offset, "offset-2");
  peer.send('40{"sid":"QQQQQQQQQQQQQQQQQQQQ","pid":"another"}');
  await next(socket, "connect");
  assert.equal(socket.recovered, false);
});

// ---- reasons and errors

both("transport close, with the close event", async (make) => {
  const { socket, peer } = await joined(make);
  peer.close();
  const [reason, details] = await next(socket, "disconnect");
  assert.equal(reason, "transport close");
  assert.equal(details.description, "websocket connection closed");
  assert.equal(details.context.code, 1005);
});

both("transport close, by a server that says why", async (make) => {
  const { socket, peer } = await joined(make);
  peer.close(1008, "too slow a consumer");
  const [reason, { context }] = await next(socket, "disconnect");
  assert.deepEqual([reason, context.code, context.reason], ["transport close", 1008, "too slow a consumer"]);
});

sockeye("what a server says of its reason is in the details", async (make) => {
  const { socket, peer } = await joined(make);
  peer.close(1008, "too slow a consumer");
  const [, details] = await next(socket, "disconnect");
  assert.equal(details.reason, "too slow a consumer");
});

both("ping timeout", async (make) => {
  const socket = make();
  const peer = await server.connection();
  const started = Date.now();
  peer.send('0{"sid":"x","upgrades":[],"pingInterval":500,"pingTimeout":500,"maxPayload":1}', CONNECTED);
  await next(socket, "connect");
  setTimeout(() => peer.send("2"), 400); // one ping is in time
  assert.deepEqual(await next(socket, "disconnect"), ["ping timeout", undefined]);
  assert.ok(Date.now() - started >= 1_390, "too early");
  assert.deepEqual(peer.received, ["40", "3"]);
});

both("nobody listens: websocket error", async (_make, io) => {
  const gone = await scriptedServer();
  gone.close();
  const socket = io(gone.url, { transports: ["websocket"], forceNew: true, reconnection: false });
  const errors = [];
  socket.io.on("error", (err) => errors.push(err.message));
  const [err] = await next(socket, "connect_error");
  assert.equal(err.message, "websocket error");
  assert.equal(err.type, "TransportError");
  assert.ok(err.description);
  assert.deepEqual([errors, socket.active], [["websocket error"], true]);
  socket.disconnect();
});

both("no answer: timeout", async (make) => {
  const socket = make({ timeout: 20 });
  const [err] = await next(socket, "connect_error");
  assert.equal(err.message, "timeout");
  await server.connection();
});

both("a server of version 2", async (make) => {
  const socket = make();
  const peer = await server.connection();
  peer.send(OPEN, "40");
  const [err] = await next(socket, "connect_error");
  assert.match(err.message, /^It seems you are trying to reach a Socket\.IO server in v2\.x with a v3\.x client/);
});

sockeye("closed before the handshake: an error at once", async (make) => {
  const socket = make();
  (await server.connection()).close();
  const [err] = await next(socket, "connect_error");
  assert.equal(err.message, "websocket error");
  assert.equal(err.description.code, 1005);
});

for (const handshake of ["0", "0{", "0null", "0[]", '0{"sid":"x"}', '0{"sid":"x","pingInterval":"a","pingTimeout":1}']) {
  sockeye(`a bad handshake: ${handshake}`, async (make) => {
    const socket = make();
    (await server.connection()).send(handshake);
    assert.equal((await next(socket, "connect_error"))[0].message, "server error");
  });
}

sockeye("a ping interval too long for a timer", async (make) => {
  const socket = make();
  const peer = await server.connection();
  peer.send('0{"sid":"x","upgrades":[],"pingInterval":9999999999,"pingTimeout":1,"maxPayload":1}', CONNECTED);
  await next(socket, "connect");
  peer.send('42["alive"]');
  await next(socket, "alive");
});

// ---- before, while and after being connected

both("events before the CONNECT answer are kept, and come before `connect`", async (make) => {
  const socket = make();
  const order = [];
  socket.on("early", (value, answer) => {
    order.push(`early ${value}`);
    answer?.("got it");
  });
  socket.on("connect", () => order.push("connect"));
  socket.emit("from the buffer");
  const peer = await server.connection();
  peer.send(OPEN, '42["early",1]', '425["early",2]', CONNECTED);
  await next(socket, "connect");
  assert.deepEqual(order, ["early 1", "early 2", "connect"]);
  assert.deepEqual([await peer.receive(), await peer.receive(), await peer.receive()], ["40", '435["got it"]', '42["from the buffer"]']);
});

both("a sleeping page: what is emitted after the ping is overdue is kept for the next connection", async (make) => {
  const { socket, peer } = await joined(make);
  const now = Date.now;
  Date.now = () => now() + 46_000;
  let closed;
  try {
    closed = next(socket, "disconnect");
    socket.emit("kept");
  } finally {
    Date.now = now;
  }
  assert.equal((await closed)[0], "ping timeout");
  assert.deepEqual(peer.received, ["40"]);
  socket.connect();
  const again = await server.connection();
  again.send(OPEN, CONNECTED);
  assert.deepEqual([await again.receive(), await again.receive()], ["40", '42["kept"]']);
});

both("auth is asked for with each connection", async (make) => {
  let count = 0;
  const socket = make({ auth: (done) => done({ count: ++count }), reconnection: true, reconnectionDelay: 1 });
  for (const expected of [1, 2]) {
    const peer = await server.connection();
    peer.send(OPEN);
    assert.equal(await peer.receive(), `40{"count":${expected}}`);
    peer.send(CONNECTED);
    await next(socket, "connect");
    peer.close();
  }
});

sockeye("auth that answers too late joins nothing", async (make) => {
  let answer;
  const socket = make({ auth: (done) => (answer = done), reconnection: true, reconnectionDelay: 1 });
  const first = await server.connection();
  first.send(OPEN);
  await next(socket.io, "open");
  const late = answer;
  first.close();
  const second = await server.connection();
  second.send(OPEN);
  await next(socket.io, "reconnect");
  late({ late: true });
  answer({ late: false });
  assert.equal(await second.receive(), '40{"late":false}');
  second.send(CONNECTED);
  await next(socket, "connect");
  assert.equal(second.received.length, 1);
});

sockeye("connect() while connecting joins once", async (make) => {
  const socket = make();
  socket.connect().connect();
  const peer = await server.connection();
  peer.send(OPEN);
  await next(socket.io, "open");
  socket.connect();
  peer.send(CONNECTED);
  await next(socket, "connect");
  socket.emit("after");
  assert.deepEqual([await peer.receive(), await peer.receive()], ["40", '42["after"]']);
});

sockeye("an ack of a lost connection is not sent on the next one", async (make) => {
  const { socket, peer } = await joined(make, { reconnection: true, reconnectionDelay: 1 });
  let answer;
  socket.on("question", (done) => (answer = done));
  peer.send('423["question"]');
  await next(socket, "question");
  peer.close();
  const again = await server.connection();
  again.send(OPEN, CONNECTED);
  await next(socket, "connect");
  answer("too late");
  socket.emit("after");
  assert.deepEqual([await again.receive(), await again.receive()], ["40", '42["after"]']);
});

sockeye("more than ten attachments are read", async (make) => {
  const { socket, peer } = await joined(make);
  const places = Array.from({ length: 30 }, (_, num) => ({ _placeholder: true, num }));
  peer.send(`4530-${JSON.stringify(["many", ...places])}`, ...places.map(({ num }) => Buffer.of(num)));
  const parts = await next(socket, "many");
  assert.deepEqual(parts.map((part) => new Uint8Array(part)[0]), places.map(({ num }) => num));
});

// ---- reconnection

both("reconnection: the events of a manager that finds nobody", async (make, io) => {
  const gone = await scriptedServer();
  gone.close();
  const socket = io(gone.url, {
    transports: ["websocket"], forceNew: true, reconnectionDelay: 1, reconnectionDelayMax: 2, reconnectionAttempts: 3, randomizationFactor: 0,
  });
  const events = [];
  for (const event of ["error", "reconnect_attempt", "reconnect_error", "reconnect_failed", "reconnect", "close"]) {
    socket.io.on(event, (value) => events.push(value instanceof Error ? `${event}: ${value.message}` : `${event} ${value}`));
  }
  socket.on("connect_error", (err) => events.push(`connect_error: ${err.message}`));
  await next(socket.io, "reconnect_failed");
  const failure = ["connect_error: websocket error", "error: websocket error"];
  const attempt = (n) => [`reconnect_attempt ${n}`, ...failure, "reconnect_error: websocket error"];
  assert.deepEqual(events, [...failure, ...attempt(1), ...attempt(2), "reconnect_attempt 3", ...failure, "reconnect_failed undefined", "reconnect_error: websocket error"]);
  assert.equal(socket.active, true);
  socket.disconnect();
});

sockeye("the delays double, stay in their band and below the maximum", async () => {
  const delays = [];
  // A clock that jumps: every timer fires at once, in order.
  const timers = { setTimeout: (run, ms) => setTimeout(run, 0, ms), clearTimeout };
  class Unreachable {
    constructor() {
      queueMicrotask(() => this.onerror({ type: "error" }));
    }
    close() {}
  }
  const io = loadClient({ ...timers, WebSocket: Unreachable });
  const socket = io("http://nowhere.example", { transports: ["websocket"], timeout: false, reconnectionAttempts: 400, reconnectionDelay: 100, reconnectionDelayMax: 100_000 });
  socket.io.on("reconnect_scheduled", (attempt, delay) => delays.push([attempt, delay]));
  await next(socket.io, "reconnect_failed");
  assert.equal(delays.length, 400);
  delays.forEach(([attempt, delay], index) => {
    const base = 100 * 2 ** index;
    assert.equal(attempt, index + 1);
    assert.ok(delay >= Math.floor(Math.min(base * 0.5, 100_000)) && delay <= Math.min(base * 1.5, 100_000), `${attempt}: ${delay}`);
  });
});

both("disconnect() ends the attempts, connect() starts anew", async (make) => {
  const { socket, peer } = await joined(make, { reconnection: true, reconnectionDelay: 1 });
  peer.close();
  await next(socket, "disconnect");
  socket.disconnect();
  const attempts = [];
  socket.io.on("reconnect_attempt", (n) => attempts.push(n));
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.deepEqual([attempts, socket.active], [[], false]);
  socket.connect();
  const again = await server.connection();
  again.send(OPEN, CONNECTED);
  await next(socket, "connect");
});

sockeye("open() takes the place of a scheduled attempt", async (make) => {
  const { socket, peer } = await joined(make, { reconnection: true, reconnectionDelay: 100_000, reconnectionDelayMax: 100_000 });
  peer.close();
  await next(socket.io, "reconnect_scheduled");
  socket.io.open();
  const again = await server.connection();
  again.send(OPEN, CONNECTED);
  await next(socket, "connect");
  again.close(); // and it schedules again afterwards
  await next(socket.io, "reconnect_scheduled");
});

// ---- io(), the managers and the options

both("managers are shared by address and path, not by namespace", async (_make, io) => {
  const options = { transports: ["websocket"], autoConnect: false };
  const a = io(`${server.url}/a`, options);
  const b = io(`${server.url}/b`, options);
  assert.equal(a.io, b.io);
  assert.equal(a.io.socket("/a"), a);
  assert.notEqual(io(`${server.url}/a`, options).io, a.io);
  assert.notEqual(io(`${server.url}/c`, { ...options, forceNew: true }).io, a.io);
  assert.notEqual(io(`${server.url}/d`, { ...options, multiplex: false }).io, a.io);
  assert.notEqual(io(`${server.url}/e`, { ...options, path: "/other" }).io, a.io);
  assert.deepEqual([a.nsp, b.nsp, io(`${server.url}?x=1`, options).nsp, io(`${server.url}/ä b`, options).nsp], ["/a", "/b", "/", "/ä b"]);
});

sockeye("addresses are completed from the page's own", async () => {
  const opened = [];
  class Fake {
    constructor(url) {
      opened.push(url);
    }
    close() {}
  }
  const secure = { protocol: "https:", host: "chat.example:8443", hostname: "chat.example" };
  const io = loadClient({ WebSocket: Fake, location: secure });
  const options = { transports: ["websocket"], timeout: false, reconnection: false };
  for (const [args, url, nsp] of [
    [[], "wss://chat.example:8443", "/"],
    [[options], "wss://chat.example:8443", "/"],
    [["/admin"], "wss://chat.example:8443", "/admin"],
    [["//other.example/x"], "wss://other.example", "/x"],
    [["other.example:81"], "wss://other.example:81", "/"],
    [["http://[::1]:3000/y"], "ws://[::1]:3000", "/y"],
    [["ws://u:p@other.example:80"], "ws://other.example", "/"],
    [["https://other.example:443"], "wss://other.example", "/"],
  ]) {
    opened.length = 0;
    const socket = io(...args.filter((arg) => arg !== options), { ...options, forceNew: true });
    assert.deepEqual([opened, socket.nsp], [[`${url}/socket.io/?EIO=4&transport=websocket`], nsp]);
    socket.disconnect();
  }
  assert.throws(() => loadClient({ location: undefined })("http://"), /address/);
});

sockeye("an option that is not supported throws and is named", async (_make, io) => {
  for (const [name, value] of Object.entries({
    parser: {}, retries: 3, ackTimeout: 1, agent: {}, autoUnref: true, tarnsports: ["websocket"],
    transports: ["webtransport"],
  })) {
    assert.throws(() => io(server.url, { autoConnect: false, [name]: value }), new RegExp(`option "${name}"`), name);
    assert.throws(() => new io.Manager(server.url, { autoConnect: false, [name]: value }), new RegExp(`option "${name}"`), name);
  }
  for (const transports of [[], "polling", ["polling", "pigeon"], [class {}], null]) {
    assert.throws(() => io(server.url, { autoConnect: false, transports }), /supports "polling" and "websocket" in the option "transports"/);
  }
  for (const fine of [
    { transports: ["polling"] }, { transports: ["webtransport", "websocket", "polling"] }, { upgrade: false, rememberUpgrade: true },
    { withCredentials: true, extraHeaders: { a: "b" }, parser: undefined }, { forceBase64: true, timestampRequests: false, requestTimeout: 1 },
  ]) {
    io(server.url, { autoConnect: false, forceNew: true, ...fine });
  }
});

both("what io has", async (_make, io) => {
  assert.equal(typeof io.Manager, "function");
  assert.equal(typeof io.Socket, "function");
  assert.equal(io.connect, io);
  if (io.protocol !== undefined) assert.equal(io.protocol, 5);
  const manager = new io.Manager(server.url, { autoConnect: false, transports: ["websocket"] });
  assert.deepEqual(
    [manager.reconnection(), manager.reconnectionAttempts(), manager.reconnectionDelay(), manager.reconnectionDelayMax(), manager.randomizationFactor(), manager.timeout()],
    [true, Infinity, 1000, 5000, 0.5, 20000],
  );
  assert.equal(manager.reconnectionDelay(5).timeout(7), manager);
  assert.deepEqual([manager.reconnectionDelay(), manager.timeout()], [5, 7]);
  assert.equal(manager.socket("/x") instanceof io.Socket, true);
});
