// The handlers that namespaces of the scenario's server on npm socket.io have in common; node-server.mjs describes them.

import { setTimeout as sleep } from "node:timers/promises";

function typeName(value) {
  if (value === null) return "null";
  // The default parser has a Buffer, the others any other type.
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return `binary:${value.byteLength}`;
  return Array.isArray(value) ? "array" : typeof value;
}

export function onEcho(socket) {
  socket.on("echo", (...args) => {
    const ack = typeof args.at(-1) === "function" ? args.pop() : undefined;
    if (ack) ack(...args);
    else socket.emit("echo", ...args);
  });
}

export function basics(socket) {
  const { auth } = socket.handshake;
  let list = [];

  onEcho(socket);
  socket.on("", (...args) => socket.emit("", ...args));
  socket.on(42, (...args) => socket.emit(42, ...args));
  socket.on("types", (...args) => args.pop()(args.map(typeName)));

  socket.on("nothing", (ack) => ack());
  socket.on("never", () => {});
  socket.on("twice", (ack) => {
    ack("first");
    ack("second");
  });
  socket.on("ask", async (event, value, timeout) => {
    try {
      socket.emit("asked", "answer", await socket.timeout(timeout).emitWithAck(event, value));
    } catch (err) {
      socket.emit("asked", "error", err.message);
    }
  });
  socket.on("ask many", async (event, n) => {
    const asked = Array.from({ length: n }, (_, i) => socket.emitWithAck(event, i));
    socket.emit("asked many", await Promise.all(asked));
  });
  socket.on("whoami", (ack) => ack(socket.id));

  socket.on("join", (rooms, ack) => {
    socket.join(rooms);
    ack();
  });
  socket.on("leave", (room, ack) => {
    socket.leave(room);
    ack();
  });
  socket.on("rooms", (ack) => ack([...socket.rooms].filter((room) => room !== socket.id).sort()));
  socket.on("relay", ({ from, to, except, local, volatile }, ...args) => {
    const ack = args.pop();
    const room = (name) => (name === "self" ? socket.id : name);
    let target = from === "socket" ? socket.broadcast : socket.nsp.except([]);
    if (to) target = target.to(to.map(room));
    if (except) target = target.except(except.map(room));
    if (local) target = target.local;
    if (volatile) target = target.volatile;
    target.emit(...args);
    ack();
  });

  socket.on("count", (n, ack) => {
    for (let i = 0; i < n; i++) socket.emit("number", i);
    ack(n);
  });
  socket.on("stream", async (from, to, batch, ack) => {
    for (let i = from; i < to; i++) {
      if (i > from && (i - from) % batch === 0) await sleep(1);
      socket.emit("number", i);
    }
    ack(to);
  });
  socket.on("collect", (value) => list.push(value));
  socket.on("collected", (ack) => {
    ack(list);
    list = [];
  });

  socket.on("drop me", (close) => socket.disconnect(close));
  socket.on("disconnect", (reason) => {
    if (typeof auth.name === "string") socket.nsp.to("observers").emit("gone", auth.name, reason);
  });
}
