// What a client of the 2.x versions says to the scenario's server (../scenario/node-server.mjs). As there, a transcript
// holds no ids, addresses or times.

const PATIENCE = 30_000;

/** Name → the option `transports` of the client; null is the default: polling, then the upgrade. */
export const WAYS = { websocket: ["websocket"], polling: ["polling"], upgrade: null };

/** @param {{ io: Function, url: string, log: (line: string) => void, transports: string[] | null }} tools */
export async function converse({ io, url, log, transports }) {
  const way = { forceNew: true, ...(transports && { transports }) };
  for (const [title, part] of Object.entries(PARTS)) {
    const open = [];
    const socketTo = (namespace, options) => {
      const socket = io(url + namespace, { ...way, ...options });
      open.push(socket);
      return socket;
    };
    log(`== ${title}`);
    try {
      await part({ log, way, socketTo });
    } catch (err) {
      log(`!! ${err.message}`);
    }
    for (const { io: manager } of open) {
      manager.reconnection(false);
      for (const socket of Object.values(manager.nsps)) socket.close();
    }
  }
}

function within(what, start) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ${what} within ${PATIENCE} ms`)), PATIENCE);
    start((...args) => {
      clearTimeout(timer);
      resolve(args);
    });
  });
}

/** The arguments of the next `event`. */
const next = (emitter, event) => within(`"${event}"`, (done) => emitter.once(event, done));

/** All arguments of the answer. */
const ask = (socket, ...event) => within(`answer to "${event[0]}"`, (done) => socket.emit(...event, done));

/** Sends an event and shows what comes back under the same name. */
async function echo(socket, ...args) {
  const back = next(socket, "echo");
  socket.emit("echo", ...args);
  return show(await back);
}

/** One form for every value: bytes in hex. */
function show(value) {
  if (value === undefined) return "undefined";
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) {
    const bytes = Buffer.from(value);
    return bytes.length > 16 ? `<${bytes.length} bytes, sum ${bytes.reduce((a, b) => a + b, 0)}>` : `<${bytes.toString("hex")}>`;
  }
  if (Array.isArray(value)) return `[${value.map(show).join(", ")}]`;
  return `{${Object.keys(value).sort().map((key) => `${JSON.stringify(key)}: ${show(value[key])}`).join(", ")}}`;
}

/** The name of the transport that the connection stays on. */
async function finalTransport(socket, way) {
  const { engine } = socket.io;
  if (!way.transports && engine.transport.name === "polling") await next(engine, "upgrade");
  return engine.transport.name;
}

const PARTS = {
  async "connect, with a query"({ log, way, socketTo }) {
    const socket = socketTo("/", { query: { flavour: "salt & vinegar" } });
    const order = [];
    for (const event of ["connect", "welcome", "second"]) socket.on(event, (...args) => order.push(`${event} ${show(args)}`));
    await next(socket, "second");
    log(order.join("; "));
    log(`transport: ${await finalTransport(socket, way)}`);
    const [id] = await ask(socket, "whoami");
    log(`the server's id is of 20 characters: ${/^[\w-]{20}$/.test(id)}`);
    log(`the server's id is the client's: ${id === socket.id}`);
    log(`headers: ${show(await ask(socket, "headers", ["upgrade", "x-nothing"]))}`.replace('"websocket"', "null"));
  },

  async "values there and back"({ log, socketTo }) {
    const socket = socketTo("/");
    await next(socket, "connect");
    log(await echo(socket));
    log(await echo(socket, 1, "two", null, true, 1.5, -0, [], {}));
    log(await echo(socket, "€ 雪 😀 \u2028 \u0000 \" \\ \n", { "ключ": ["😀"] }));
    log(await echo(socket, { deep: [[[{ a: { b: [1] } }]]] }));
    log(await echo(socket, "x".repeat(100_000)).then((text) => text.length));
  },

  async "binary"({ log, socketTo }) {
    const socket = socketTo("/");
    await next(socket, "connect");
    log(await echo(socket, Buffer.from([1, 2, 3])));
    log(await echo(socket, Buffer.alloc(0), "text", new Uint8Array([255, 0]).buffer, { deep: [Buffer.from([4])] }));
    log(await echo(socket, Buffer.alloc(70_000, 7)));
    log(await echo(socket, "no binary behind it"));
    log(show(await ask(socket, "echo", Buffer.from([4, 2]), { b: Buffer.from([1]) })));
    log(show(await ask(socket, "types", Buffer.from([4, 2]), "a", 1, null, [], {})));
    const all = next(socket, "last");
    const seen = [];
    socket.on("bytes", (data) => seen.push(show(data)));
    for (let i = 0; i < 10; i++) socket.emit("relay", { from: "server", to: ["self"] }, "bytes", Buffer.alloc(i, i), () => {});
    socket.emit("relay", { from: "server", to: ["self"] }, "last", () => {});
    await all;
    log(seen.join(" "));
  },

  async "acks"({ log, socketTo }) {
    const socket = socketTo("/");
    await next(socket, "connect");
    log(show(await ask(socket, "echo", 1, "two")));
    log(show(await ask(socket, "nothing")));
    log(show(await ask(socket, "twice")));
    log(show(await Promise.all([1, 2, 3].map((n) => ask(socket, "echo", n)))));
    socket.on("question", (value, ack) => ack({ answer: value }));
    socket.emit("ask", "question", "of life", 5_000);
    log(show(await next(socket, "asked")));
    socket.emit("ask", "unanswered", 1, 50);
    log(show(await next(socket, "asked")));
    socket.emit("ask many", "question", 20);
    log(show(await next(socket, "asked many")));
    socket.on("bytes?", (value, ack) => ack(Buffer.from([9, 8])));
    socket.emit("ask", "bytes?", Buffer.from([1]), 5_000);
    log(show(await next(socket, "asked")));
  },

  async "rooms and broadcasts"({ log, socketTo }) {
    const [a, b] = [socketTo("/"), socketTo("/")];
    await Promise.all([next(a, "connect"), next(b, "connect")]);
    const seen = { a: [], b: [] };
    for (const [name, socket] of Object.entries({ a, b })) socket.on("said", (...args) => seen[name].push(show(args)));
    await ask(a, "join", ["red", "blue"]);
    await ask(b, "join", "blue");
    log(show(await ask(a, "rooms")));
    await ask(a, "relay", { from: "server", to: ["red"] }, "said", "red");
    await ask(a, "relay", { from: "socket", to: ["blue"] }, "said", "blue, but not me");
    await ask(a, "relay", { from: "server", to: ["blue"], except: ["red"] }, "said", "blue without red", Buffer.from([1]));
    await ask(a, "leave", "red");
    await ask(a, "relay", { from: "server", to: ["red"] }, "said", "nobody");
    await ask(a, "echo");
    await ask(b, "echo");
    log(`a: ${seen.a.join(" ")}; b: ${seen.b.join(" ")}`);
  },

  async "namespaces"({ log, socketTo }) {
    const admin = socketTo("/admin", { query: { token: "letmein", other: "& = ? 雪" } });
    // A client that is told of / before it asks for it does not hear of it again.
    const root = admin.io.socket("/");
    const rooted = next(root, "connect");
    await next(admin, "connect");
    log(`let in: ${show(await ask(admin, "echo", 1, Buffer.from([1])))}`);
    const [id] = await ask(admin, "whoami");
    log(`the server's id is the client's: ${id === admin.id}`);
    await rooted;
    log(`and / on the same connection: ${await echo(root, "here")}`);

    const refused = socketTo("/admin?token=wrong");
    log(`refused: ${show(await next(refused, "error"))}`);
    log(`connected: ${refused.connected}`);
    const unknown = socketTo("/nowhere");
    log(`unknown: ${show(await next(unknown, "error"))}`);
    const slow = socketTo("/slow");
    log(`slow: ready ${show(await next(slow, "ready"))}`);
  },

  async "leaving and being left"({ log, socketTo }) {
    const admin = socketTo("/admin", { query: { token: "letmein" } });
    const root = admin.io.socket("/");
    await next(admin, "connect");
    admin.emit("drop me", false);
    log(`from /admin: ${show(await next(admin, "disconnect"))}`);
    log(`/ stays: ${await echo(root, "still here")}`);
    admin.open();
    await next(admin, "connect");
    log(`/admin again: ${show(await ask(admin, "echo", "back"))}`);
    const both = Promise.all([next(root, "disconnect"), next(admin, "disconnect")]);
    admin.io.reconnection(false);
    root.emit("drop me", true);
    log(`the whole connection: ${show(await both)}`);

    const leaver = socketTo("/");
    await next(leaver, "connect");
    const left = next(leaver, "disconnect");
    leaver.close();
    log(`of its own: ${show(await left)}`);
    leaver.open();
    await next(leaver, "connect");
    log(`and back: ${await echo(leaver, "again")}`);
  },

  async "reconnects by itself"({ log, socketTo }) {
    const socket = socketTo("/", { reconnectionDelay: 10, randomizationFactor: 0 });
    await next(socket, "connect");
    const { id } = socket;
    const gone = next(socket, "disconnect");
    const back = next(socket, "connect");
    socket.io.engine.close();
    log(show(await gone));
    socket.emit("collect", "kept while away");
    await back;
    log(`a new id: ${socket.id !== id}, kept: ${show(await ask(socket, "collected"))}`);
  },

  async "many"({ log, socketTo }) {
    const socket = socketTo("/");
    await next(socket, "connect");
    const numbers = [];
    socket.on("number", (n) => numbers.push(n));
    for (let i = 0; i < 1_000; i++) socket.emit("collect", i);
    await ask(socket, "count", 1_000);
    const [collected] = await ask(socket, "collected");
    log(`in order: ${numbers.every((n, i) => n === i)} ${numbers.length}, ${collected.every((n, i) => n === i)} ${collected.length}`);
    await ask(socket, "stream", 0, 200, 5);
    log(`streamed: ${numbers.slice(1_000).every((n, i) => n === i)} ${numbers.length}`);
  },

  async "bytes that are no packet"({ log, socketTo }) {
    for (const packet of ["9", "2{", "40", "5x-[]", "41/nowhere,"]) {
      const socket = socketTo("/", { reconnection: false });
      await next(socket, "connect");
      const gone = next(socket, "disconnect");
      socket.io.engine.send(packet);
      log(`${packet}: ${show(await gone)}`);
    }
  },
};
