// Namespaces, who is let in, and how connections begin and end.

import { ask, bytes, finalTransport, has, next, pause, PATIENCE, record, settled, show, showAll } from "./scenario.mjs";

/** Someone in the room that is told who is gone, and why. */
async function watcher({ people }) {
  const [socket] = await people("watcher");
  await ask(socket, "join", "observers");
  return socket;
}

/** The first arguments, without details. */
const reason = async (lost) => (await lost)[0];

export const LIFE = {
  async "namespaces: by a regular expression"({ connected, named, log }) {
    const socket = await connected(named("lab"));
    log(`its name: ${(await ask(socket, "namespace"))[0] === named("lab")}, ${showAll(await ask(socket, "echo", 1))}`);
  },

  async "namespaces: by a function"({ connected, socketTo, named, refusal, log }) {
    log(`no ticket: ${await refusal(socketTo(named("member-none")))}`);
    log(`a wrong one: ${await refusal(socketTo(named("member-wrong"), { ticket: "expired" }))}`);
    const socket = await connected(named("member"), { ticket: "valid" });
    log(`a valid one: ${showAll(await ask(socket, "echo", "in"))}`);
    const another = await connected(named("member"));
    log(`it is there, and asks nobody else: ${showAll(await ask(another, "echo", "in, too"))}`);
  },

  async "namespaces: none of this name"({ socketTo, refusal, unique, log }) {
    for (const name of ["/lab", "/lab-", `/x/lab-${unique}`, `/lab-${unique}/more`, "/none"]) {
      log(`${name.replace(unique, "…")}: ${await refusal(socketTo(name))}`);
    }
  },

  async "namespaces: two by one pattern are apart"({ connected, named, heard, log }) {
    const [a, b] = [await connected(named("lab-a")), await connected(named("lab-b"))];
    await ask(a, "join", "x");
    await ask(b, "join", "x");
    log(`everybody: ${await heard({ a, b }, "news", () => ask(a, "relay", { from: "server" }, "news"))}`);
    log(`x: ${await heard({ a, b }, "news", () => ask(b, "relay", { from: "server", to: ["x"] }, "news"))}`);
    const [id] = await ask(b, "whoami");
    log(`an id of the other: ${await heard({ a, b }, "news", () => ask(a, "relay", { from: "server", to: [id] }, "news"))}`);
  },

  async "namespaces: told all at once"({ connected, named, unique, heard, log }) {
    const [a, b] = [await connected(named("crowd-a")), await connected(named("crowd-b"))];
    log(await heard({ a, b }, unique, () => ask(a, "everywhere", unique)));
  },

  async "namespaces: gone when they are empty"({ connected, named, log }) {
    const observer = await connected(named("lab-observer"));
    const there = async () => (await ask(observer, "exists", named("lab-brief")))[0];
    log(`before: ${await there()}`);
    const socket = await connected(named("lab-brief"));
    log(`with one: ${await there()}`);
    socket.disconnect();
    let still = true;
    for (let i = 0; (still = await there()) && i < 200; i++) await pause(5);
    log(`after: ${still}`);
    const again = await connected(named("lab-brief"));
    log(`again: ${await there()}, ${showAll(await ask(again, "echo", "works"))}`);
  },

  async "namespaces: what follows a ? in their names"({ version, connected, named, log }) {
    if (version < 3) return; // takes it off
    const first = await connected(named("lab"));
    const name = `${named("lab-query")}?a=1&b=%20`;
    const socket = first.io.socket(name);
    await next(socket, "connect");
    log(`${(await ask(socket, "namespace"))[0] === name}, ${showAll(await ask(socket, "echo", 1, bytes(2)))}`);
  },

  async "namespaces: names of every kind"({ version, connected, socketTo, named, log }) {
    if (version < 3) return; // percent-encodes them, and does not know the answer's
    const first = await connected(named("lab"));
    for (const kind of ["lab-é雪😀", "lab- a b", "lab-a%20b", "lab-\"\\", "lab-[1]", "lab-0"]) {
      const socket = first.io.socket(named(kind));
      await next(socket, "connect");
      log(`${kind}: ${(await ask(socket, "namespace"))[0] === named(kind)}, ${showAll(await ask(socket, "echo", bytes(1)))}`);
    }
  },

  async "namespaces: twenty on one connection"({ connected, named, log }) {
    const first = await connected(named("lab"));
    const sockets = await Promise.all(Array.from({ length: 20 }, async (_, i) => {
      const socket = first.io.socket(named(`lab-n${i}`));
      await next(socket, "connect");
      return socket;
    }));
    const seen = sockets.map((socket) => record(socket, "echo"));
    for (const [i, socket] of sockets.entries()) socket.emit("echo", i % 2 ? i : bytes(i));
    log(showAll(await Promise.all(sockets.map((socket, i) => ask(socket, "echo", i)))));
    log(show(seen));
    const ids = await Promise.all(sockets.map((socket) => ask(socket, "whoami")));
    log(`ids: ${new Set(ids.map(String)).size}`);
  },

  async "namespaces: left and entered twenty times"({ version, connected, named, log }) {
    const first = await connected(named("lab"));
    const socket = first.io.socket(named("lab-b"));
    const ids = new Set();
    for (let i = 0; i < 20; i++) {
      if (!socket.connected) await next(socket, "connect");
      ids.add(String(await ask(socket, "whoami")));
      socket.disconnect();
      // npm closes the connection where both packets come at once: it has not yet looked at the first.
      await settled(first);
      socket.connect();
    }
    await next(socket, "connect");
    if (version >= 3) log(`${ids.size} ids`); // else the session's, every time
    log(`${showAll(await ask(socket, "echo", "here"))}, ${showAll(await ask(first, "echo", "there"))}`);
  },

  async "namespaces: one is left, the others stay"({ connected, named, log }) {
    const first = await connected(named("lab"));
    const second = first.io.socket(named("lab-b"));
    await next(second, "connect");
    const lost = next(first, "disconnect");
    first.disconnect();
    log(`${await reason(lost)}; ${showAll(await ask(second, "echo", "here"))}`);
  },

  async "middleware: in order"({ connected, socketTo, named, log }) {
    const socket = socketTo(named("guarded"), { refuse: "nobody" });
    log(showAll(await next(socket, "order")));
    await connected(named("guarded"));
  },

  async "middleware: each refuses, with data of each kind"({ socketTo, named, refusal, log }) {
    for (const refuse of ["first", "second", "third"]) {
      log(`${refuse}: ${await refusal(socketTo(named("guarded"), { refuse, data: "object" }))}`);
    }
    for (const data of ["array", "string", "number", "none"]) {
      log(`${data}: ${await refusal(socketTo(named("guarded"), { refuse: "first", data }))}`);
    }
  },

  async "middleware: refused with data that are nothing"({ socketTo, named, refusal, log }) {
    for (const data of ["false", "null"]) log(`${data}: ${await refusal(socketTo(named("guarded"), { refuse: "first", data }))}`);
  },

  async "middleware: refused, and let in with other credentials"({ version, socketTo, named, refusal, log }) {
    const socket = socketTo(named("guarded"), { refuse: "second", data: "none" });
    log(`refused: ${await refusal(socket)}; connected ${socket.connected}`);
    if (version >= 3) socket.auth = { refuse: "nobody" };
    else socket.query = "refuse=nobody";
    socket.connect();
    log(`let in: ${showAll(await next(socket, "order"))}`);
  },

  async "middleware: refused beside others on the connection"({ connected, credentials, named, refusal, log }) {
    const first = await connected(named("lab"));
    const refused = first.io.socket(named("guarded"), credentials({ refuse: "third", data: "none" }));
    log(`${await refusal(refused)}; ${showAll(await ask(first, "echo", "here"))}`);
    const other = first.io.socket(named("guarded-b"));
    log(`let in: ${showAll(await next(other, "order"))}`);
  },

  async "middleware: what is sent before it has decided"({ socketTo, named, log }) {
    const socket = socketTo(named("guarded"));
    const seen = record(socket, "echo", "order");
    socket.emit("echo", "early");
    await settled(socket);
    log(show(seen));
  },

  async "connection: query, beyond ASCII, and repeated"({ socketTo, named, log }) {
    const socket = socketTo(named("lab"), undefined, { query: { plain: "1", "with space": "a b", é: "雪 & = ?", empty: "" } });
    await next(socket, "connect");
    log(showAll(await ask(socket, "query", ["plain", "with space", "é", "empty", "none", "transport"])).replace(/"(polling|websocket)"/, "its transport"));
  },

  async "connection: headers"({ version, socketTo, named, log }) {
    const headers = { "x-custom": "value", "X-Case": "Kept" };
    const transportOptions = { polling: { extraHeaders: headers }, websocket: { extraHeaders: headers } };
    const socket = socketTo(named("lab"), undefined, version < 3 ? { transportOptions, extraHeaders: headers } : { extraHeaders: headers });
    await next(socket, "connect");
    log(showAll(await ask(socket, "headers", ["x-custom", "x-case", "x-none"])));
  },

  async "connection: auth from a function, asked again"({ version, socketTo, log }) {
    if (version < 3) return;
    let asked = 0;
    const more = { auth: (done) => done({ times: ++asked }), reconnection: true, reconnectionDelay: 5, reconnectionDelayMax: 10 };
    const socket = socketTo("/", undefined, more);
    log(showAll(await next(socket, "welcome")));
    await settled(socket);
    socket.io.engine.close();
    log(showAll(await next(socket, "welcome")));
    socket.disconnect();
    socket.connect();
    log(showAll(await next(socket, "welcome")));
  },

  async "connection: the transport it stays on"({ connected, way, log }) {
    const socket = await connected();
    log(`${await finalTransport(socket, way)}, ${showAll(await ask(socket, "echo", bytes(1)))}`);
  },

  async "connection: nothing at that path"({ socketTo, named, log }) {
    const socket = socketTo(named("lab"), undefined, { path: "/elsewhere", reconnection: false });
    const [err] = await next(socket, "connect_error");
    log(`${err.message ?? err}, connected ${socket.connected}`);
  },

  async "connection: twenty at once"({ connected, log }) {
    const sockets = await Promise.all(Array.from({ length: 20 }, () => connected()));
    log(showAll(await Promise.all(sockets.map((socket, i) => ask(socket, "echo", i)))));
  },

  async "connection: it enters no namespace"({ version, socketTo, log }) {
    if (version < 3) return; // is in / at once
    const socket = socketTo("/", undefined, { autoConnect: false });
    const manager = socket.io;
    await new Promise((resolve, reject) => manager.open((err) => (err ? reject(err) : resolve())));
    log(`closed: ${await reason(next(manager, "close"))}`);
  },

  async "the end: the server takes one out of its namespace"(tools) {
    const { connected, named, log } = tools;
    const observer = await watcher(tools);
    const socket = await connected(undefined, { name: "x" });
    const other = socket.io.socket(named("lab-b"));
    await next(other, "connect");
    const [gone, lost] = [next(observer, "gone"), next(socket, "disconnect")];
    socket.emit("drop me", false);
    log(`client: ${await reason(lost)}; server: ${showAll(await gone)}; ${showAll(await ask(other, "echo", "other"))}`);
  },

  async "the end: the server closes the connection"(tools) {
    const { connected, log } = tools;
    const observer = await watcher(tools);
    const socket = await connected(undefined, { name: "x" });
    const [gone, lost] = [next(observer, "gone"), next(socket, "disconnect")];
    socket.emit("drop me", true);
    log(`client: ${await reason(lost)}; server: ${showAll(await gone)}`);
  },

  async "the end: the client leaves"(tools) {
    const { connected, log } = tools;
    const observer = await watcher(tools);
    const socket = await connected(undefined, { name: "x" });
    const [gone, lost] = [next(observer, "gone"), next(socket, "disconnect")];
    socket.disconnect();
    log(`client: ${await reason(lost)}; server: ${showAll(await gone)}`);
  },

  async "the end: the client closes the connection"(tools) {
    const { connected, way, log } = tools;
    const observer = await watcher(tools);
    const socket = await connected(undefined, { name: "x" });
    await finalTransport(socket, way);
    const [gone, lost] = [next(observer, "gone"), next(socket, "disconnect")];
    socket.io.engine.close();
    log(`client: ${await reason(lost)}; server: ${showAll(await gone)}`);
  },

  async "the end: the connection breaks"(tools) {
    const { connected, way, log } = tools;
    const socket = await connected(undefined, { name: "x" });
    const observer = await watcher(tools);
    if (await finalTransport(socket, way) !== "websocket") return;
    const [gone, lost] = [next(observer, "gone"), next(socket, "disconnect")];
    const { ws } = socket.io.engine.transport;
    if (!ws.terminate) return; // a browser's
    ws.terminate();
    log(`client: ${await reason(lost)}; server: ${showAll(await gone)}`);
  },

  async "the end: a message beyond maxHttpBufferSize"(tools) {
    const { connected, way, log } = tools;
    const observer = await watcher(tools);
    const socket = await connected(undefined, { name: "x" });
    if (await finalTransport(socket, way) !== "websocket") return;
    const [gone, lost] = [next(observer, "gone"), next(socket, "disconnect")];
    socket.emit("echo", "x".repeat(1_100_000));
    log(`client: ${await reason(lost)}; server: ${showAll(await gone)}`);
  },

  async "the end: a packet that is none"(tools) {
    const { connected, way, log } = tools;
    const observer = await watcher(tools);
    const socket = await connected(undefined, { name: "x" });
    await finalTransport(socket, way);
    const [gone, lost] = [next(observer, "gone"), next(socket, "disconnect")];
    socket.io.engine.write("9 is no type");
    log(`client: ${await reason(lost)}; server: ${showAll(await gone)}`);
  },

  async "the end: what waits for an answer"({ connected, log }) {
    const socket = await connected();
    const events = [];
    socket.emit("never", () => events.push("a plain callback was called"));
    if (has(socket, "emitWithAck", "timeout")) {
      socket.emitWithAck("never").catch((err) => events.push(`promise: ${err.message}`));
      socket.timeout(PATIENCE).emit("never", (err) => events.push(`callback: ${err.message}`));
    }
    const lost = next(socket, "disconnect");
    socket.emit("drop me", false);
    await lost;
    await pause(0);
    log(show(events));
  },

  async "the end: and again by itself"({ connected, log }) {
    const socket = await connected(undefined, { name: "x" }, { reconnection: true, reconnectionDelay: 5, reconnectionDelayMax: 10 });
    await ask(socket, "join", "x");
    const [reconnected, lost] = [next(socket, "connect"), next(socket, "disconnect")];
    socket.io.engine.close();
    await lost;
    socket.emit("echo", "kept");
    const seen = record(socket, "echo");
    await reconnected;
    await settled(socket);
    log(`${show(seen)}, rooms ${showAll(await ask(socket, "rooms"))}`);
  },
};
