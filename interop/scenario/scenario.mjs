// The client side of the scenario, for the official client and for Sockeye's, in Node.js and in a browser: it uses
// nothing of either. node-server.mjs describes the server side.
//
// It runs over any way that the client can go (`transports`), and with clients as old as 3.1: what such a client has no
// method for (`timeout`, `emitWithAck`, `onAnyOutgoing`) is left out of its transcript, by asking for the method. So a
// transcript is compared with that of the official client of the same version over the same way.
//
// `run` writes a transcript with `log(line)`. A transcript holds no ids, addresses or times, and what is concurrent by
// nature is waited for before it is written down in a fixed order; so two transcripts of two implementations that
// behave alike are equal.

export const PATIENCE = 30_000;

/**
 * Name → the option `transports` of the client; null is the default: polling, then the upgrade.
 */
export const WAYS = { websocket: ["websocket"], polling: ["polling"], upgrade: null };

/** @param {{ io: Function, url: string, log: (line: string) => void, transports: string[] | null }} tools */
export async function run({ io, url, log, transports }) {
  const way = { forceNew: true, ...(transports && { transports }) };
  const open = new Set();
  /** A socket on a connection of its own, unless `options` say otherwise. */
  const socketTo = (namespace, options = {}) => {
    const socket = io(url + namespace, { ...way, ...options });
    open.add(socket);
    return socket;
  };
  const connected = async (namespace, options) => {
    const socket = socketTo(namespace, options);
    await next(socket, "connect");
    return socket;
  };

  for (const [title, part] of Object.entries(PARTS)) {
    log(`== ${title}`);
    try {
      await part({ io, url, log, way, socketTo, connected });
    } catch (err) {
      log(`!! ${err.message}`);
    }
    for (const { io: manager } of open) {
      for (const socket of Object.values(manager.nsps)) socket.disconnect();
    }
    open.clear();
  }
}

/** The extensions that the client's websocket has agreed on: after the upgrade, if it goes that way. */
export async function extensions({ io, url, transports }) {
  const socket = io(url, { forceNew: true, ...(transports && { transports }) });
  try {
    const { engine } = socket.io;
    await next(socket, "connect");
    if (engine.transport.name !== "websocket") await next(engine, "upgrade");
    return engine.transport.ws.extensions;
  } finally {
    socket.disconnect();
  }
}

// ---- what the parts are written with

/** The arguments of the next `event`. */
export function next(emitter, event) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no "${event}" within ${PATIENCE} ms`)), PATIENCE);
    emitter.once(event, (...args) => {
      clearTimeout(timer);
      resolve(args);
    });
  });
}

/** All arguments of the answer. */
export function ask(socket, ...event) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer to "${event[0]}" within ${PATIENCE} ms`)), PATIENCE);
    socket.emit(...event, (...args) => {
      clearTimeout(timer);
      resolve(args);
    });
  });
}

/** Whether the client is recent enough. */
export const has = (socket, ...methods) => methods.every((method) => typeof socket[method] === "function");

/** The transport takes a volatile event now: it has written what came before, and no upgrade holds it up. */
export async function writable(socket) {
  const deadline = Date.now() + PATIENCE;
  while (socket.io.engine.transport.writable === false) {
    if (Date.now() > deadline) throw new Error(`the transport is not writable within ${PATIENCE} ms`);
    await pause(1);
  }
}

/** The name of the transport that the connection stays on. */
export async function finalTransport(socket, way) {
  const engine = socket.io.engine;
  if (!way.transports && engine.transport.name === "polling") await next(engine, "upgrade");
  return engine.transport.name;
}

/** Everything that the server sent to this socket before it read this has arrived. */
export const settled = (socket) => ask(socket, "echo");

/** What the room `observers` hears of the socket with this auth.name (others may still be leaving). */
export async function gone(watcher, name) {
  for (;;) {
    const [who, reason] = await next(watcher, "gone");
    if (who === name) return reason;
  }
}

/** Collects the arguments of every `event`. */
export function record(socket, ...events) {
  const seen = [];
  for (const event of events) socket.on(event, (...args) => seen.push([event, ...args]));
  return seen;
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** One form for every value: sorted keys, bytes in hex, whichever type the platform has for them. */
export function show(value) {
  if (value === undefined) return "undefined";
  if (typeof value === "function") return "[ack]";
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) {
    const bytes = value instanceof ArrayBuffer ? new Uint8Array(value) : new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
    return bytes.length > 16
      ? `<${bytes.length} bytes, sum ${bytes.reduce((sum, byte) => sum + byte, 0)}>`
      : `<${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ")}>`;
  }
  if (Array.isArray(value)) return `[${value.map(show).join(", ")}]`;
  return `{${Object.keys(value).sort().map((key) => `${JSON.stringify(key)}: ${show(value[key])}`).join(", ")}}`;
}

export const showAll = (values) => values.map(show).join(", ");

export const bytes = (...values) => new Uint8Array(values);

// ---- the parts, in the order of the transcript; each starts with no connection

const PARTS = {
  async "connect, with auth and query"({ io, url, log, way, socketTo }) {
    const socket = socketTo("/", { auth: { name: "ann", nested: { list: [1, "two", null] } }, query: { flavour: "salt & vinegar" } });
    log(`before: connected ${socket.connected}, disconnected ${socket.disconnected}, active ${socket.active}, id ${show(socket.id)}`);
    const order = [];
    socket.on("connect", () => order.push("connect"));
    socket.on("welcome", (welcome) => order.push(`welcome ${show(welcome)}`));
    socket.on("second", (...args) => order.push(`second [${showAll(args)}]`));
    await next(socket, "second");
    for (const line of order) log(line);
    log(`after: connected ${socket.connected}, disconnected ${socket.disconnected}, active ${socket.active}, recovered ${!!socket.recovered}`);
    log(`id: ${/^[\w-]{20}$/.test(socket.id)}, the server's: ${(await ask(socket, "whoami"))[0] === socket.id}`);
    log(`id is not the session's: ${socket.id !== socket.io.engine.id}`);
    log(`transport: ${await finalTransport(socket, way)}`);
    const function_ = socketTo("/", { auth: (done) => setTimeout(() => done({ from: "a function" }), 1) });
    log(`auth from a function: ${showAll(await next(function_, "welcome"))}`);
    const none = socketTo("/");
    log(`no auth: ${showAll(await next(none, "welcome"))}`);
    const inUrl = io(`${url}/?flavour=in%20the%20url`, way);
    log(`query of the address: ${showAll(await next(inUrl, "welcome"))}`);
    inUrl.disconnect();
  },

  async "events both ways"({ log, connected }) {
    const socket = await connected("/");
    const cases = [
      [],
      ["a string"],
      ["", " ", "\n\t\"\\\u0000\u001e\u2028", "100 €, 雪, 😀, e\u0301"],
      [0, -0, 1, -1, 1.5, 1e21, 1e-7, 9007199254740991, -2147483649, 4294967296],
      [true, false, null],
      [undefined, NaN, Infinity, new Date(0)],
      [[], {}, [[]], { "": { a: [] } }],
      [{ b: 1, a: { deep: [{ er: [1, [2, [3, null]]] }] }, "key with space": "x", "€": "euro" }],
      Array.from({ length: 40 }, (_, i) => i),
      ["x".repeat(70_000)],
    ];
    for (const args of cases) {
      socket.emit("echo", ...args);
      const echoed = await next(socket, "echo");
      const line = showAll(echoed);
      log(`echo (${echoed.length}): ${line.length > 1000 ? `${line.length} characters` : line}`);
    }
    for (const event of ["", 42]) {
      socket.emit(event, "named", event);
      log(`event ${show(event)}: ${showAll(await next(socket, event))}`);
    }
    log(`types: ${showAll(await ask(socket, "types", null, true, 1, "s", [], {}, undefined))}`);
    for (const event of ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"]) {
      try {
        socket.emit(event);
        log(`${event}: sent`);
      } catch (err) {
        log(`${event}: ${err.message}`);
      }
    }
    socket.emit("no handler for this", 1);
    log(`still connected: ${(await settled(socket)).length === 0}`);
  },

  async "acks both ways"({ log, connected }) {
    const socket = await connected("/");
    log(`callback: ${showAll(await new Promise((resolve) => socket.emit("echo", 1, { a: [] }, "ü", (...args) => resolve(args))))}`);
    log(`callback, no arguments: ${showAll(await new Promise((resolve) => socket.emit("nothing", (...args) => resolve(args))))}`);
    if (has(socket, "emitWithAck", "timeout")) {
      log(`emitWithAck: ${show(await socket.emitWithAck("echo", "one", "two"))}`);
      log(`emitWithAck, no arguments: ${show(await socket.emitWithAck("nothing"))}`);
      log(`timeout, answered: ${show(await socket.timeout(PATIENCE).emitWithAck("echo", "in time"))}`);
      log(`timeout, callback: ${showAll(await new Promise((resolve) => socket.timeout(PATIENCE).emit("echo", "in time", (...args) => resolve(args))))}`);
      log(`timeout, never answered: ${await socket.timeout(30).emitWithAck("never").then(show, (err) => err.message)}`);
      log(`timeout, callback: ${await new Promise((resolve) => socket.timeout(30).emit("never", (err, ...args) => resolve(`${err.message} (${args.length})`)))}`);
    }
    const answers = [];
    socket.emit("twice", (answer) => answers.push(answer));
    await settled(socket);
    log(`twice: ${show(answers)}`);
    log(`many at once: ${showAll(await Promise.all(Array.from({ length: 20 }, (_, i) => ask(socket, "echo", i))))}`);

    socket.on("question", (value, answer) => answer({ you: value }, "only the first counts"));
    socket.emit("ask", "question", { deep: [1] }, PATIENCE);
    log(`the server asks: ${showAll(await next(socket, "asked"))}`);
    socket.on("later", (value, answer) => setTimeout(() => answer(value), 10));
    socket.emit("ask", "later", "late", PATIENCE);
    log(`the server asks, answered later: ${showAll(await next(socket, "asked"))}`);
    socket.on("doubled", (value, answer) => {
      answer("first");
      answer("second");
    });
    socket.emit("ask", "doubled", null, PATIENCE);
    log(`the server asks, answered twice: ${showAll(await next(socket, "asked"))}`);
    socket.on("ignored", () => {});
    socket.emit("ask", "ignored", 1, 30);
    log(`the server asks, never answered: ${showAll(await next(socket, "asked"))}`);
    socket.on("square", (value, answer) => setTimeout(() => answer(value * value), value % 3));
    socket.emit("ask many", "square", 20);
    log(`the server asks often: ${showAll(await next(socket, "asked many"))}`);
  },

  async "binary both ways"({ log, connected }) {
    const socket = await connected("/");
    const cases = [
      [bytes(1, 2, 3)],
      [bytes()],
      [bytes(255, 0).buffer],
      [new Uint8Array([9, 8, 7, 6]).subarray(1, 3), new Uint16Array([258])],
      [{ file: { name: "a.bin", data: bytes(1) }, list: [bytes(2), [bytes(3)], "text", null] }, bytes(4)],
      Array.from({ length: 10 }, (_, i) => bytes(i, i)),
      [new Uint8Array(100_000).fill(7)],
    ];
    for (const args of cases) {
      socket.emit("echo", ...args);
      log(`echo: ${showAll(await next(socket, "echo"))}`);
      log(`ack:  ${showAll(await ask(socket, "echo", ...args))}`);
    }
    log(`types: ${showAll(await ask(socket, "types", bytes(1, 2), [bytes()], { b: bytes() }, bytes(), "<01>"))}`);
    log(`a placeholder in text: ${showAll(await ask(socket, "echo", { placeholder: true, num: 0 }))}`);
    socket.on("bytes", (value, answer) => answer({ back: value }));
    socket.emit("ask", "bytes", bytes(5, 6), PATIENCE);
    log(`the server asks: ${showAll(await next(socket, "asked"))}`);
    const mixed = record(socket, "echo");
    for (let i = 0; i < 6; i++) socket.emit("echo", i % 2 ? bytes(i) : i);
    await settled(socket);
    log(`mixed with text, in order: ${show(mixed)}`);
  },

  async "order of 500 each way"({ log, connected }) {
    const socket = await connected("/");
    const numbers = [];
    socket.on("number", (i) => numbers.push(i));
    const [n] = await ask(socket, "count", 500);
    const inOrder = (list) => list.length === 500 && list.every((value, i) => value === i);
    log(`from the server: ${n}, in order before the ack: ${inOrder(numbers)}`);
    for (let i = 0; i < 500; i++) socket.emit("collect", i);
    const [collected] = await ask(socket, "collected");
    log(`from the client: ${collected.length}, in order: ${inOrder(collected)}`);
  },

  async "listeners: on, once, off, any"({ log, connected }) {
    const socket = await connected("/");
    await settled(socket);
    const heard = [];
    const first = (value) => heard.push(`first ${value}`);
    const any = (event, value) => heard.push(`any ${event} ${value}`);
    const outgoing = (event, value) => heard.push(`outgoing ${event} ${value}`);
    const echo = async (value) => {
      socket.emit("echo", value);
      await settled(socket);
    };
    socket.on("echo", first).once("echo", (value) => heard.push(`once ${value}`));
    socket.onAny(any).prependAny((event) => heard.push(`earlier any ${event}`));
    if (has(socket, "onAnyOutgoing")) socket.onAnyOutgoing(outgoing);
    await echo("a");
    await echo("b");
    socket.off("echo", first).offAny(any);
    if (has(socket, "offAnyOutgoing")) socket.offAnyOutgoing(outgoing);
    await echo("c");
    log(`listeners: ${socket.listeners("echo").length}, any: ${socket.listenersAny().length}`);
    socket.offAny();
    socket.on("echo", first).on("echo", first).off("echo");
    await echo("d");
    socket.on("echo", first).off();
    socket.once("echo", () => heard.push("once, removed")).removeAllListeners("echo");
    await echo("e");
    for (const line of heard) log(line);
  },

  async "buffered until connected"({ log, socketTo }) {
    const socket = socketTo("/", { autoConnect: false });
    const order = record(socket, "echo");
    socket.emit("echo", "before 1");
    socket.emit("echo", "before 2", bytes(1));
    socket.volatile.emit("echo", "volatile, dropped");
    if (has(socket, "emitWithAck", "timeout")) {
      const dropped = await socket.timeout(10).emitWithAck("echo", "timed out before it was sent").then(show, (err) => err.message);
      log(`timed out: ${dropped}`);
    }
    log(`not connected: active ${socket.active}, ${socket.sendBuffer.length} wait`);
    const answer = ask(socket, "echo", "asked before");
    socket.once("connect", () => socket.emit("echo", "in the listener"));
    socket.connect();
    log(`active ${socket.active}, connected ${socket.connected}`);
    log(`answered: ${showAll(await answer)}`);
    await settled(socket);
    for (const args of order) log(showAll(args));
    await writable(socket);
    socket.volatile.emit("echo", "volatile, sent");
    log(`connected: ${showAll(await next(socket, "echo"))}`);
  },

  async "namespaces on one connection"({ log, socketTo }) {
    const main = socketTo("/");
    const shared = (namespace, options) => main.io.socket(namespace, options);
    await next(main, "connect");
    const admin = shared("/admin", { auth: { token: "letmein" } });
    await next(admin, "connect");
    const unicode = shared("/имя");
    await next(unicode, "connect");
    log(`one connection: ${main.io === admin.io && admin.io === unicode.io}, ids differ: ${new Set([main.id, admin.id, unicode.id]).size === 3}`);
    log(`namespaces: ${main.nsp}, ${admin.nsp}, ${unicode.nsp}`);
    log(`id: ${(await ask(admin, "whoami"))[0] === admin.id}`);
    const heard = [];
    for (const socket of [main, admin, unicode]) socket.on("echo", (...args) => heard.push(`${socket.nsp}: ${showAll(args)}`));
    main.emit("echo", "to main");
    admin.emit("echo", "to admin", bytes(1));
    unicode.emit("echo", "to имя");
    log(`acks: ${showAll([await ask(admin, "echo", "a", bytes(2)), await ask(unicode, "echo", "u"), await ask(main, "echo", "m")])}`);
    for (const line of heard) log(line);
    log(`after leaving one: ${admin.disconnect().connected}, ${main.connected}, ${showAll(await ask(main, "echo", "still here"))}`);
    admin.connect();
    await next(admin, "connect");
    log(`joined again: ${showAll(await ask(admin, "echo", "back"))}`);
  },

  async "refused"({ log, socketTo }) {
    const refusal = async (namespace, options) => {
      const socket = socketTo(namespace, options);
      const [err] = await next(socket, "connect_error");
      log(`${namespace}: ${err instanceof Error}, ${err.message}, data ${show(err.data)}, connected ${socket.connected}, active ${socket.active}`);
      return socket;
    };
    const socket = await refusal("/admin", { auth: { token: "guess" } });
    socket.auth.token = "letmein";
    socket.connect();
    await next(socket, "connect");
    log(`with another token: ${socket.connected}`);
    await refusal("/admin");
    await refusal("/nope");
    await refusal("/nope/deeper-one");
    const main = socketTo("/");
    await next(main, "connect");
    const nope = main.io.socket("/nope");
    const [err] = await next(nope, "connect_error");
    log(`beside another: ${err.message}, the other lives: ${showAll(await ask(main, "echo", "yes"))}`);
  },

  async "a slow connect handler"({ log, socketTo }) {
    const socket = socketTo("/slow");
    const ready = next(socket, "ready");
    socket.emit("ping", () => {}); // waits for the connection
    await next(socket, "connect");
    const answers = [...(await ask(socket, "ping")), ...(await ask(socket, "ping"))];
    log(`answers: ${show(answers)}, ready: ${show(await ready)}`);
  },

  async "rooms, two and three sockets"({ log, connected }) {
    const [a, b, c] = [await connected("/"), await connected("/"), await connected("/")];
    const names = new Map([[a, "a"], [b, "b"], [c, "c"]]);
    const heardOf = async (from, options, ...event) => {
      const heard = [];
      const stop = [...names].map(([socket, name]) => {
        const listener = (...args) => heard.push(`${name} ${showAll(args)}`);
        socket.on("news", listener);
        return () => socket.off("news", listener);
      });
      await ask(from, "relay", options, "news", ...event);
      await Promise.all([a, b, c].map(settled));
      for (const each of stop) each();
      return heard;
    };
    const relay = async (title, ...broadcast) => log(`${title}: ${(await heardOf(...broadcast)).sort().join("; ") || "nobody"}`);
    await ask(a, "join", "x");
    await ask(b, "join", ["x", "y"]);
    await ask(c, "join", ["y", "z", ""]);
    log(`rooms: ${showAll([await ask(a, "rooms"), await ask(b, "rooms"), await ask(c, "rooms")])}`);
    await relay("everybody", a, { from: "server" }, "tuples", { are: "arguments" }, [1]);
    await relay("broadcast", a, { from: "socket" }, 1);
    await relay("to x", c, { from: "server", to: ["x"] }, 2);
    await relay("to x, from a member", a, { from: "socket", to: ["x"] }, 3);
    await relay("to x and y, once each", c, { from: "server", to: ["x", "y"] }, 4);
    await relay("to x and y, from b", b, { from: "socket", to: ["x", "y", "z"] }, 5);
    await relay("to x except y", c, { from: "server", to: ["x"], except: ["y"] }, 6);
    await relay("except x", a, { from: "server", except: ["x"] }, 7);
    await relay("except x and z", a, { from: "server", except: ["x", "z"] }, 8);
    await relay("except oneself", a, { from: "server", except: ["self"] }, 9);
    await relay("to oneself", a, { from: "server", to: ["self"] }, 10);
    await relay("to oneself, from oneself", a, { from: "socket", to: ["self"] }, 11);
    await relay("to nobody", a, { from: "server", to: ["no such room"] }, 12);
    await relay("to the room with no name", a, { from: "server", to: [""] }, 13);
    await relay("local", a, { from: "server", local: true }, 14);
    // Over polling a volatile event reaches only whose poll waits at that moment: it is repeated until everybody had it.
    const volatile = new Set();
    for (let i = 0; volatile.size < 2 && i < 500; i++) {
      for (const line of await heardOf(a, { from: "socket", volatile: true }, 15)) volatile.add(line);
      if (volatile.size < 2) await pause(5);
    }
    log(`volatile: ${[...volatile].sort().join("; ")}`);
    await relay("binary", a, { from: "server", to: ["y"] }, bytes(1, 2), { list: [bytes(3)] });
    await ask(b, "join", "x");
    await relay("joined twice", a, { from: "server", to: ["x"] }, 16);
    await ask(b, "leave", "x");
    await ask(b, "leave", "never joined");
    await relay("after leaving", a, { from: "server", to: ["x"] }, 17);
    log(`rooms: ${showAll([await ask(a, "rooms"), await ask(b, "rooms"), await ask(c, "rooms")])}`);
    const numbers = [];
    b.on("news", (i) => numbers.push(i));
    await Promise.all(Array.from({ length: 100 }, (_, i) => ask(a, "relay", { from: "socket" }, "news", i)));
    await settled(b);
    log(`order of 100 broadcasts: ${numbers.length === 100 && numbers.every((value, i) => value === i)}`);
    c.disconnect();
    names.delete(c);
    await ask(a, "join", "observers");
    const leaver = await connected("/", { auth: { name: "a member" } });
    await ask(leaver, "join", "x");
    const reason = gone(a, "a member");
    leaver.disconnect();
    log(`a member is gone: ${await reason}`);
  },

  async "the server disconnects one namespace"({ log, connected }) {
    const watcher = await connected("/");
    await ask(watcher, "join", "observers");
    const socket = await connected("/", { auth: { name: "dropped once" } });
    const admin = socket.io.socket("/admin", { auth: { token: "letmein" } });
    await next(admin, "connect");
    let again = 0;
    socket.on("connect", () => again++);
    socket.emit("drop me", false);
    const [[reason], serverReason] = await Promise.all([next(socket, "disconnect"), gone(watcher, "dropped once")]);
    log(`client: ${reason}, server: ${serverReason}; connected ${socket.connected}, active ${socket.active}, id ${show(socket.id)}`);
    log(`the other namespace lives: ${showAll(await ask(admin, "echo", "yes"))}`);
    await pause(50);
    log(`connects by itself: ${again}`);
    const first = admin.io.engine.id;
    socket.connect();
    await next(socket, "connect");
    log(`connects when asked: ${socket.connected}, the same connection: ${admin.io.engine.id === first}, ${showAll(await ask(socket, "echo", "back"))}`);
  },

  async "the server disconnects the connection"({ log, connected }) {
    const watcher = await connected("/");
    await ask(watcher, "join", "observers");
    const socket = await connected("/", { auth: { name: "dropped with all" } });
    const admin = socket.io.socket("/admin", { auth: { token: "letmein" } });
    await next(admin, "connect");
    admin.emit("drop me", true);
    const [[one], [other], reason] = await Promise.all([
      next(socket, "disconnect"), next(admin, "disconnect"), gone(watcher, "dropped with all"),
    ]);
    log(`main: ${one}, admin: ${other}, server: ${reason}`);
    socket.connect();
    await next(socket, "connect");
    log(`connects when asked: ${socket.connected}`);
  },

  async "the client disconnects"({ log, connected }) {
    const watcher = await connected("/");
    await ask(watcher, "join", "observers");
    const socket = await connected("/", { auth: { name: "leaver" } });
    const reasons = record(socket, "disconnect");
    const left = gone(watcher, "leaver");
    socket.disconnect();
    log(`${showAll(reasons[0])}; connected ${socket.connected}, active ${socket.active}, id ${show(socket.id)}; server: ${await left}`);
    socket.disconnect();
    log(`again: ${reasons.length}`);
    socket.connect();
    await next(socket, "connect");
    log(`back: ${showAll(await ask(socket, "echo", "back"))}`);
    const closed = gone(watcher, "leaver");
    const lost = next(socket, "disconnect"); // later where an upgrade or a write has to end first
    socket.io.reconnection(false);
    socket.io.engine.close();
    await lost;
    log(`the engine is closed: ${showAll(reasons[1].slice(0, 2))}, active ${socket.active}; server: ${await closed}`);
  },

  async "acks that are pending at a disconnection"({ log, connected }) {
    const socket = await connected("/");
    const events = [];
    socket.on("disconnect", () => events.push("disconnect"));
    socket.emit("never", () => events.push("a plain callback was called"));
    const lost = next(socket, "disconnect");
    if (has(socket, "emitWithAck", "timeout")) {
      socket.emitWithAck("never").catch((err) => events.push(`promise: ${err.message}`));
      socket.timeout(PATIENCE).emit("never", (err) => events.push(`callback with timeout: ${err.message}`));
    }
    socket.emit("drop me", false);
    await lost;
    await pause(0);
    for (const line of events) log(line);
    socket.connect();
    log(`an ack of the new connection: ${showAll(await ask(socket, "echo", "fresh"))}`);
  },

  async "reconnects by itself"({ log, way, connected }) {
    const socket = await connected("/", { auth: { name: "phoenix" }, reconnectionDelay: 5, reconnectionDelayMax: 10 });
    await settled(socket);
    await finalTransport(socket, way);
    await writable(socket);
    const first = socket.id;
    const events = [];
    for (const event of ["close", "reconnect_attempt", "reconnect", "open"]) {
      socket.io.on(event, (...args) => events.push(`${event} ${show(args[0])}`));
    }
    socket.on("disconnect", (reason) => {
      events.push(`disconnect ${reason}, active ${socket.active}`);
      socket.emit("echo", "kept while away");
      socket.volatile.emit("echo", "volatile, dropped");
    });
    const kept = record(socket, "echo");
    const welcome = next(socket, "welcome");
    socket.io.engine.close();
    await welcome;
    await settled(socket);
    for (const line of events) log(line);
    log(`a new id: ${socket.id !== first}, auth again: ${show((await welcome)[0].auth)}, kept: ${show(kept)}`);
  },
};
