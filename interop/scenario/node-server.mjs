// The scenario's server side on npm socket.io: the oracle. Its twin in Rust is `sockeye-interop-server` (interop/server).
//
//   node scenario/node-server.mjs [--port N] [--deflate] [--msgpack] [--connect-timeout MS]        N = 0 (default): a free port
//
// With --deflate it agrees to permessage-deflate, and compresses every message.
//
// Its first line on stdout is `listening on http://127.0.0.1:PORT`. It exits when its stdin closes.
//
// With --msgpack it speaks the msgpack parser; Sockeye speaks all, and needs no telling. It allows EIO3, for the clients 2.x,
// and dynamic namespaces are gone when they are empty. What follows is described here; features-server.mjs describes more
// namespaces.
//
// ---- What it serves over HTTP (besides Socket.IO under /socket.io/)
//
//   /socket.io/socket.io.js, /socket.io/socket.io.esm.js    Sockeye's browser client
//   /tutorial/                                              interop/tutorial/index.html
//
// ---- Namespace `/`: accepts everybody. ROOM below is a string, ACK means that the client asked for an ack.
//
// On connection (after the CONNECT answer, in this order):
//   emits `welcome` with { auth, flavour }: `auth` as the client sent it (an empty object if it sent none), `flavour` the
//     query parameter of that name of the handshake, or null
//   emits `second` with no arguments
//
// On disconnection, if the client sent a string as auth.name:
//   emits `gone` (auth.name, reason) to the room `observers`; the reason in Node's words
//
// Events from the client:
//   `echo` (..args)                  emits `echo` back to this socket with the same arguments. With ACK: acks with the same
//                                    arguments instead
//   `` (the empty name) (..args)     emits the event with the empty name back, with the same arguments
//   42 (the number) (..args)         emits the event 42 (number) back, with the same arguments
//   `types` (..args) ACK             acks with an array of strings, one per argument: "null", "boolean", "number", "string",
//                                    "array", "object", or "binary:LENGTH"
//   `nothing` ACK                    acks with no arguments
//   `never` ACK                      never acks
//   `twice` ACK                      acks with "first", and then with "second" (which the library must drop)
//   `ask` (event, value, timeout)    emits `event` (value) to this socket, asking for an ack within `timeout` ms; then emits
//                                    `asked` ("answer", the ack's first argument) or `asked` ("error", "operation has timed out")
//   `ask many` (event, n)            emits `event` (i) for i in 0..n asking for acks, without waiting in between; when all
//                                    came, emits `asked many` (array of the n answers in order of i)
//   `whoami` ACK                     acks with the socket's id
//   `join` (ROOM or [ROOM]) ACK      joins; acks with no arguments
//   `leave` (ROOM) ACK               leaves; acks with no arguments
//   `rooms` ACK                      acks with the sorted names of the socket's rooms, without its own id
//   `relay` ({ from, to, except, local, volatile }, event, ..args) ACK
//                                    broadcasts `event` (..args); all fields but `from` may be missing. `from`: "server" (io) or
//                                    "socket" (everybody but the sender); `to`, `except`: arrays of rooms, where the string
//                                    "self" stands for the sender's own id; `local`, `volatile`: true sets that flag. Acks with
//                                    no arguments after it was emitted
//   `count` (n) ACK                  emits `number` (i) for i in 0..n, then acks with n
//   `stream` (from, to, batch) ACK   emits `number` (i) for i in from..to, `batch` of them at a time with 1 ms in between, then
//                                    acks with to; other events of the socket are handled meanwhile
//   `collect` (value)                appends the value to this socket's list
//   `collected` ACK                  acks with the list and empties it
//   `headers` (names) ACK            acks with an array of the handshake request's headers of these names, null for what it has
//                                    not
//   `drop me` (close)                disconnects the socket; with close = true its whole connection
//   `chat message` (text)            emits `chat message` (text) to everybody, the sender included (the tutorial)
//
// ---- Namespace `/admin`: a guard that waits 20 ms and then accepts who sent auth.token === "letmein"
//
//   refused: CONNECT_ERROR { message: "not authorized", data: { code: 42, retry: false } }
//   `echo` as in `/`, `whoami` as in `/`, `drop me` as in `/`
//
// ---- Namespace `/slow`: accepts everybody; its connect handler takes 50 ms and then emits `ready` with no arguments
//
//   `ping` ACK                       acks with "pong": after the connect handler where the library lets events wait for it,
//                                    during it on Node
//
// ---- Namespace `/имя` (Cyrillic): accepts everybody; `echo` as in `/`
//
// Any other namespace: "Invalid namespace".

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";
import { Server } from "socket.io";
import { argument, intercept, serveUntilStdinCloses } from "../lib/serve.mjs";
import { features } from "./features-server.mjs";
import { basics, onEcho } from "./handlers.mjs";

const server = createServer((_request, response) => response.writeHead(404).end());
const perMessageDeflate = process.argv.includes("--deflate") && { threshold: 0 };
const parser = process.argv.includes("--msgpack") ? createRequire(import.meta.url)("socket.io-msgpack-parser") : undefined;
const connectTimeout = Number(argument("--connect-timeout", "45000"));
const io = new Server(server, {
  serveClient: false, allowEIO3: true, cleanupEmptyChildNamespaces: true, connectTimeout, perMessageDeflate, ...(parser && { parser }),
});

const client = new URL("../../crates/server/client/", import.meta.url);
const read = async (...names) => (await Promise.all(names.map((name) => readFile(new URL(name, client), "utf8")))).join("");
const javascript = "application/javascript; charset=utf-8";
const files = {
  "/socket.io/socket.io.js": [javascript, () => read("socket.io.js")],
  "/socket.io/socket.io.esm.js": [javascript, () => read("socket.io.js", "esm-tail.js")],
  "/tutorial/": ["text/html; charset=utf-8", () => readFile(new URL("../tutorial/index.html", import.meta.url))],
};
intercept(server, async (request, response) => {
  const file = files[request.url.split("?")[0]];
  if (!file) return false;
  response.writeHead(200, { "content-type": file[0] });
  response.end(await file[1]());
  return true;
});

io.on("connection", (socket) => {
  const { auth, query } = socket.handshake;

  socket.emit("welcome", { auth, flavour: query.flavour ?? null });
  socket.emit("second");

  basics(socket);
  socket.on("headers", (names, ack) => ack(names.map((name) => socket.handshake.headers[name] ?? null)));
  socket.on("chat message", (text) => io.emit("chat message", text));
});

io.of("/admin").use(async (socket, next) => {
  await sleep(20);
  if (socket.handshake.auth.token === "letmein") return next();
  next(Object.assign(new Error("not authorized"), { data: { code: 42, retry: false } }));
});
io.of("/admin").on("connection", (socket) => {
  onEcho(socket);
  socket.on("whoami", (ack) => ack(socket.id));
  socket.on("drop me", (close) => socket.disconnect(close));
});

io.of("/slow").on("connection", async (socket) => {
  socket.on("ping", (ack) => ack("pong"));
  await sleep(50);
  socket.emit("ready");
});

io.of("/имя").on("connection", onEcho);

features(io);

serveUntilStdinCloses(server, io, Number(argument("--port", "0")));
