// More namespaces of the scenario's server on npm socket.io: the oracle of features.mjs. The twin in Rust is
// interop/server/src/scenario/features.rs. Words in capitals are as in node-server.mjs; an ACK without words has no arguments.
//
// ---- Namespaces `/lab-…` (whatever follows is no `/`), which come to be by a regular expression: one for each part of
//      features.mjs, so that nobody else is in it. They have what `/` does with `echo`, ``, 42, `types`, `nothing`, `never`,
//      `twice`, `ask`, `ask many`, `whoami`, `join`, `leave`, `rooms`, `relay`, `count`, `stream`, `collect`, `collected`,
//      `drop me`, `headers`, and `gone`; and:
//
//   A packet middleware refuses the event `forbidden` with the error "not allowed".
//
//   `namespace` ACK                  acks with the name of the socket's namespace
//   `exists` (name) ACK              acks with whether there is a namespace of this name
//   `query` (names) ACK              acks with an array of the handshake's query parameters of these names, null for what it has not
//   `set data` (value) ACK           keeps the value as the socket's data { name: value }
//   `fetch` (ROUTE) ACK              acks with the sockets that ROUTE (see `relay`) selects: an array of [data.name or null, the
//                                    sorted names of its rooms without its own id], sorted by name
//   `fetch handshake` ACK            acks with what a fetched socket tells of this socket's handshake: [the sorted names of its
//                                    fields, xdomain, secure, auth, the query's `flavour` or null]
//   `select` (ROUTE, what, rooms) ACK   does to the selected sockets: "join" rooms, "leave" rooms, "disconnect", or
//                                    "disconnect all", which closes their connections. The ack comes before that
//   `ask them` (ROUTE, ms, event, ..args) ACK   emits `event` (..args) to the selected, who are to answer within `ms`; acks with
//                                    [null or the error's message, the answers, sorted as JSON]
//   `server side` ACK                emits `told` to the other servers, of which there are none; acks with how often this one
//                                    was told within 20 ms
//   `listen` ACK                     from now on every event of this socket is written into its journal, as "in EVENT ARGUMENTS",
//                                    or "out EVENT ARGUMENTS", where ARGUMENTS are an array in JSON
//   `watch` (event, once) ACK        adds a listener for this event of this socket, or for only one of them: its journal gets
//                                    "watched EVENT ARGUMENT"
//   `unwatch` (event) ACK            takes off all listeners that `watch` added for it
//   `doubled` (value)                has two handlers: the journal gets "one VALUE", and "two VALUE"
//   `journal` ACK                    acks with the journal, and empties it. "error MESSAGE" tells of what the middleware refused
//   `slow answer` (ms, value) ACK    acks with value after ms
//   `flaky` (n) ACK                  acks each n-th time, with the number of times
//   `message` (..args)               sends `message` (..args) back
//
// ---- Namespaces `/crowd-…`: acks `echo`; `everywhere` (event) ACK emits `event` to everybody in all of them.
//
// ---- Namespaces `/guarded-…`: three middlewares, of which the second takes 5 ms, write down "first", "second", "third". If
//      auth.refuse is that word it refuses with "refused by WORD"; auth.data names the data: "object", "array", "string",
//      "number", "false", "null", or "none". On connection it emits `order` with what was written down. Acks `echo`.
//
// ---- Namespaces `/member-…`, which come to be by a function: for who asks first with auth.ticket === "valid". Acks `echo`.

import { setTimeout as sleep } from "node:timers/promises";
import { basics, onEcho } from "./handlers.mjs";

/** In an order that all servers have: that of the values as JSON. */
const byJson = (values) => {
  const keyed = values.map((value) => [JSON.stringify(value), value]);
  return keyed.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, value]) => value);
};

/** The sockets that a ROUTE selects. */
function selected(socket, { from, to, except, timeout }) {
  let target = from === "socket" ? socket.broadcast : socket.nsp.except([]);
  if (timeout !== undefined) target = target.timeout(timeout);
  for (const rooms of to ?? []) target = target.to(rooms);
  for (const rooms of except ?? []) target = target.except(rooms);
  return target;
}

function rooms(socket, io) {
  socket.on("namespace", (ack) => ack(socket.nsp.name));
  socket.on("exists", (name, ack) => ack(io._nsps.has(name)));
  socket.on("query", (names, ack) => ack(names.map((name) => socket.handshake.query[name] ?? null)));
  socket.on("headers", (names, ack) => ack(names.map((name) => socket.handshake.headers[name] ?? null)));
  socket.on("set data", (name, ack) => {
    socket.data = { name };
    ack();
  });
  socket.on("fetch", async (route, ack) => {
    const found = await selected(socket, route).fetchSockets();
    const name = ({ data }) => data.name ?? null;
    ack(byJson(found.map((each) => [name(each), [...each.rooms].filter((room) => room !== each.id).sort()])));
  });
  socket.on("fetch handshake", async (ack) => {
    const [{ handshake }] = await socket.nsp.in(socket.id).fetchSockets();
    const { xdomain, secure, auth, query } = handshake;
    ack([Object.keys(handshake).sort(), xdomain, secure, auth, query.flavour ?? null]);
  });
  socket.on("select", (route, what, rooms, ack) => {
    ack();
    const target = selected(socket, route);
    if (what === "join") target.socketsJoin(rooms);
    else if (what === "leave") target.socketsLeave(rooms);
    else target.disconnectSockets(what === "disconnect all");
  });
  socket.on("ask them", (route, timeout, ...event) => {
    const ack = event.pop();
    selected(socket, { ...route, timeout }).emit(...event, (err, answers) => ack([err ? err.message : null, byJson(answers)]));
  });
  socket.on("server side", async (ack) => {
    let told = 0;
    const count = () => told++;
    socket.nsp.on("told", count);
    socket.nsp.serverSideEmit("told");
    await sleep(20);
    socket.nsp.off("told", count);
    ack(told);
  });
}

function listeners(socket) {
  let journal = [];
  let times = 0;
  const watching = new Map();
  const without = (args) => JSON.stringify(args.filter((arg) => typeof arg !== "function"));
  socket.use(([event], next) => next(event === "forbidden" ? new Error("not allowed") : undefined));
  socket.on("error", (err) => journal.push(`error ${err.message}`));
  socket.on("listen", (ack) => {
    socket.onAny((event, ...args) => journal.push(`in ${event} ${without(args)}`));
    socket.onAnyOutgoing((event, ...args) => journal.push(`out ${event} ${without(args)}`));
    ack();
  });
  socket.on("watch", (event, once, ack) => {
    const listener = (value) => journal.push(`watched ${event} ${value}`);
    watching.set(event, [...(watching.get(event) ?? []), listener]);
    socket[once ? "once" : "on"](event, listener);
    ack();
  });
  socket.on("unwatch", (event, ack) => {
    for (const listener of watching.get(event) ?? []) socket.off(event, listener);
    ack();
  });
  socket.on("doubled", (value) => journal.push(`one ${value}`));
  socket.on("doubled", (value) => journal.push(`two ${value}`));
  socket.on("journal", (ack) => {
    ack(journal);
    journal = [];
  });
  socket.on("slow answer", async (ms, value, ack) => {
    await sleep(ms);
    ack(value);
  });
  socket.on("flaky", (n, ack) => {
    if (++times % n === 0) ack?.(times);
  });
  socket.on("message", (...args) => socket.send(...args));
}

const DATA = { object: { a: [1, { b: null }] }, array: [1, "two"], string: "why", number: 7, false: false, null: null };

export function features(io) {
  const lab = io.of(/^\/lab-[^/]+$/);
  lab.on("connection", (socket) => {
    basics(socket);
    rooms(socket, io);
    listeners(socket);
  });

  const crowd = io.of(/^\/crowd-[^/]+$/);
  crowd.on("connection", (socket) => {
    onEcho(socket);
    socket.on("everywhere", (event, ack) => {
      crowd.emit(event);
      ack();
    });
  });

  const guarded = io.of(/^\/guarded-[^/]+$/);
  for (const word of ["first", "second", "third"]) {
    guarded.use(async (socket, next) => {
      if (word === "second") await sleep(5);
      const { refuse, data } = socket.handshake.auth;
      socket.data.order = [...(socket.data.order ?? []), word];
      if (refuse !== word) return next();
      const err = new Error(`refused by ${word}`);
      if (data !== "none") err.data = DATA[data];
      next(err);
    });
  }
  guarded.on("connection", (socket) => {
    socket.emit("order", socket.data.order);
    onEcho(socket);
  });

  const member = io.of((name, auth, next) => next(null, name.startsWith("/member-") && auth.ticket === "valid"));
  member.on("connection", onEcho);
}
