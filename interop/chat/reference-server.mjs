// The server side of crates/cli/page/PROTOCOL.md on npm socket.io: the oracle for the chat of `sockeye serve`.
//
//   node chat/reference-server.mjs [--port N]
//
// Prints `listening on http://127.0.0.1:PORT` first and exits when its stdin closes.

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { Server } from "socket.io";
import { argument, intercept, serveUntilStdinCloses } from "../lib/serve.mjs";

const MAX_ROOMS = 50;
const HISTORY = 50;
const PEOPLE = "#people";

const page = new URL("../../crates/cli/page/", import.meta.url);
const files = {
  "/": [new URL("index.html", page), "text/html; charset=utf-8"],
  "/chat.css": [new URL("chat.css", page), "text/css; charset=utf-8"],
  ...Object.fromEntries(["chat.js", "connection.js", "view.js", "state.js"].map(
    (name) => [`/${name}`, [new URL(name, page), "text/javascript; charset=utf-8"]],
  )),
  "/favicon.svg": [new URL("favicon.svg", page), "image/svg+xml"],
  "/socket.io/socket.io.js": [
    new URL("../../crates/server/client/socket.io.js", import.meta.url),
    "application/javascript; charset=utf-8",
  ],
};

const server = createServer((_request, response) => response.writeHead(404).end());
const io = new Server(server, { serveClient: false });
intercept(server, async (request, response) => {
  const file = files[request.url.split("?")[0]];
  if (!file) return false;
  response.writeHead(200, {
    "content-type": file[1],
    "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  });
  response.end(await readFile(file[0]));
  return true;
});

/** Lower-case name → { name, key, room, socket }. */
const people = new Map();
/** Room → { members: Set of people, history: [message] }. */
const rooms = new Map([["lobby", { members: new Set(), history: [] }]]);

const isString = (value) => typeof value === "string";
const isMid = (value) => isString(value) && /^[A-Za-z0-9_-]{1,32}$/.test(value);
const length = (text) => [...text].length;
const fold = (name) => name.trim().toLowerCase();

function roomList() {
  return [...rooms]
    .map(([name, { members }]) => ({ name, count: members.size }))
    .sort((a, b) => (a.name === "lobby" ? -1 : b.name === "lobby" ? 1 : a.name < b.name ? -1 : 1));
}

function leaveRoom(person) {
  const { room, socket, name } = person;
  if (room === null) return;
  socket.leave(`room:${room}`);
  io.to(`room:${room}`).except(socket.id).emit("notice", { room, kind: "left", name, at: Date.now() });
  const { members } = rooms.get(room);
  members.delete(person);
  if (members.size === 0 && room !== "lobby") rooms.delete(room);
  person.room = null;
}

io.on("connection", (socket) => {
  let me = null;

  const hello = ({ name, key }) => {
    if (!isString(name) || !isString(key) || !/^[A-Za-z0-9_-]{16,64}$/.test(key)) return "bad-request";
    name = name.trim();
    if (length(name) < 1 || length(name) > 32 || /\p{Cc}/u.test(name)) return "bad-name";
    const holder = people.get(fold(name));
    if (me) {
      if (holder && holder !== me) return "name-taken";
      if (name !== me.name) {
        const from = me.name;
        people.delete(fold(from));
        me.name = name;
        people.set(fold(name), me);
        io.to(PEOPLE).emit("renamed", { from, to: name });
      }
    } else {
      if (holder && holder.key !== key) return "name-taken";
      if (holder) {
        leaveRoom(holder);
        people.delete(fold(name));
        holder.socket.disconnect(true);
      }
      me = { name, key, room: null, socket };
      people.set(fold(name), me);
      socket.join(PEOPLE);
      if (!holder) socket.to(PEOPLE).emit("joined", { name });
      else io.to(PEOPLE).emit("rooms", roomList());
    }
    return { name, people: [...people.values()].map((person) => person.name), rooms: roomList() };
  };

  const join = ({ room }) => {
    if (!isString(room)) return "bad-request";
    if (!me) return "hello-first";
    if (!/^[a-z0-9][a-z0-9-]{0,23}$/.test(room)) return "bad-room";
    if (room !== me.room) {
      if (!rooms.has(room)) {
        if (rooms.size >= MAX_ROOMS) return "too-many-rooms";
        rooms.set(room, { members: new Set(), history: [] });
      }
      leaveRoom(me);
      me.room = room;
      rooms.get(room).members.add(me);
      socket.join(`room:${room}`);
      socket.to(`room:${room}`).emit("notice", { room, kind: "joined", name: me.name, at: Date.now() });
      io.to(PEOPLE).emit("rooms", roomList());
    }
    return { room, history: rooms.get(room).history };
  };

  const message = ({ room, mid, text }) => {
    if (!isString(room) || !isMid(mid) || !isString(text)) return "bad-request";
    if (!me) return "hello-first";
    if (room !== me.room) return "not-in-room";
    text = text.trim();
    if (length(text) < 1 || length(text) > 2000) return "bad-text";
    const { history } = rooms.get(room);
    const known = history.find((each) => each.mid === mid);
    if (known) return { at: known.at };
    const sent = { room, mid, name: me.name, text, at: Date.now() };
    history.push(sent);
    if (history.length > HISTORY) history.shift();
    socket.to(`room:${room}`).emit("message", sent);
    return { at: sent.at };
  };

  const privately = ({ to, mid, text }) => {
    if (!isString(to) || !isMid(mid) || !isString(text)) return "bad-request";
    if (!me) return "hello-first";
    text = text.trim();
    if (length(text) < 1 || length(text) > 2000) return "bad-text";
    const person = people.get(fold(to));
    if (!person || person === me) return "no-such-person";
    const at = Date.now();
    person.socket.emit("private", { from: me.name, mid, text, at });
    return { at };
  };

  for (const [event, handle] of Object.entries({ hello, join, message, private: privately })) {
    socket.on(event, (argument, ack) => {
      const isObject = argument !== null && typeof argument === "object" && !Array.isArray(argument);
      const result = isObject ? handle(argument) : "bad-request";
      const answer = isString(result) ? { ok: false, error: result } : { ok: true, ...result };
      if (typeof ack === "function") ack(answer);
    });
  }

  socket.on("typing", (argument) => {
    if (!me || me.room === null || argument?.room !== me.room || typeof argument.on !== "boolean") return;
    socket.to(`room:${me.room}`).volatile.emit("typing", { room: me.room, name: me.name, on: argument.on });
  });

  socket.on("disconnect", () => {
    // Replaced by the same page's newer socket: the name and the room are not this one's any more.
    if (!me || people.get(fold(me.name)) !== me) return;
    leaveRoom(me);
    people.delete(fold(me.name));
    io.to(PEOPLE).emit("left", { name: me.name });
    io.to(PEOPLE).emit("rooms", roomList());
  });
});

serveUntilStdinCloses(server, io, Number(argument("--port", "0")));
