// The chat's side of PROTOCOL.md: the connection, what is said to the server, and what the server says.

import { conversation, randomId, state, store } from "./state.js";
import {
  addEntry, askName, closeNameDialog, draw, drawHeader, drawLog, drawPeople, drawRooms, drawTyping,
  errorText, isAtEnd, redrawEntry, show, showRoomError, showStatus, showTransport,
} from "./view.js";

const ACK_TIMEOUT = 10_000;
const TYPING_REPEAT = 2_000;
const TYPING_FORGET = 4_000;

// The server is where its client came from. Its transports are named where they are not the usual ones.
const client = document.querySelector('script[src$="/socket.io.js"]');
const socket = io({
  path: new URL(".", client.src).pathname,
  ...(client.dataset.transports && { transports: client.dataset.transports.split(" ") }),
});
const key = randomId(24);

// ---- connected or not

let countdown;

function setStatus(kind, text, details) {
  clearInterval(countdown);
  showStatus(kind, text, details);
}

/** Whether rooms and messages are the server's. Until then, what is written waits in the outbox. */
function setReady(value) {
  state.ready = value;
  document.body.dataset.ready = value;
  if (!value) forgetTypists();
  draw();
}

socket.on("connect", () => {
  setStatus("connected", "Connected", { transport: socket.io.engine.transport.name });
  if (state.name === "") askName();
  else sayHello(state.name);
});

// Each connection has an engine of its own. It may move to a websocket before the socket has joined, or long after.
socket.io.on("open", () => {
  socket.io.engine.on("upgrade", ({ name }) => {
    if (socket.connected) showTransport(name);
  });
});

socket.on("disconnect", (reason) => {
  setReady(false);
  setStatus("reconnecting", "Reconnecting…", { banner: "The connection was lost." });
  // The client does not come back by itself when the server closed the socket on purpose.
  if (reason === "io server disconnect") setTimeout(() => socket.connect(), 1000);
});

// Sockeye's own client says when it will try again; the official one keeps it to itself.
socket.io.on("reconnect_scheduled", (_attempt, delay) => {
  const until = Date.now() + delay;
  const tick = () => {
    const seconds = Math.max(1, Math.ceil((until - Date.now()) / 1000));
    if (navigator.onLine) showStatus("reconnecting", `Reconnecting in ${seconds} s`, { banner: "Cannot reach the server. What you write is kept." });
    else showStatus("offline", "Offline", { banner: `This device is offline. Trying again in ${seconds} s. What you write is kept.` });
  };
  clearInterval(countdown);
  countdown = setInterval(tick, 250);
  tick();
});

socket.io.on("reconnect_attempt", () => {
  setStatus("reconnecting", "Reconnecting…", { banner: "Trying to reach the server…" });
});

/** Tries now, in the place of an attempt that is scheduled. */
export function retry() {
  if (socket.active) socket.io.open();
  else socket.connect();
}
addEventListener("online", retry);

// ---- a name and a room

/** An event whose answer is `{ ok, .. }`. It is asked again when none comes, until the connection is lost. */
function ask(event, argument, done) {
  socket.timeout(ACK_TIMEOUT).emit(event, argument, (err, answer) => {
    if (!err) done(answer);
    else if (socket.connected) ask(event, argument, done);
  });
}

/** Takes a name: now, or with the hello of the next connection. */
export function takeName(wanted) {
  if (socket.connected) return sayHello(wanted);
  state.name = wanted;
  closeNameDialog();
  draw();
}

function sayHello(wanted) {
  ask("hello", { name: wanted, key }, (answer) => {
    if (!answer.ok) return askName(errorText(answer.error), wanted);
    const renamed = state.ready;
    state.name = answer.name;
    store("sockeye.name", state.name);
    state.people.clear();
    for (const person of answer.people) state.people.add(person);
    state.rooms = answer.rooms;
    draw();
    closeNameDialog();
    if (!renamed) joinRoom(state.room);
  });
}

export function joinRoom(wanted) {
  ask("join", { room: wanted }, (answer) => {
    if (!answer.ok) {
      if (!state.ready && wanted !== "lobby") return joinRoom("lobby");
      return showRoomError(errorText(answer.error));
    }
    const moved = state.room !== answer.room;
    state.room = answer.room;
    store("sockeye.room", state.room);
    showRoomError("");
    forgetTypists();
    merge(`#${state.room}`, answer.history);
    setReady(true);
    if (moved) show(`#${state.room}`);
    else if (state.viewed === `#${state.room}`) drawLog(isAtEnd());
    flush();
  });
}

/** Takes the room's history into the conversation: what was missed, and what did arrive after all. */
function merge(id, history) {
  const target = conversation(id);
  for (const message of history) {
    const known = target.mids.get(message.mid);
    if (known) {
      if (known.state === "pending") settle(known, { ok: true, at: message.at });
      continue;
    }
    const entry = { ...message, kind: "message", own: message.name === state.name, state: "delivered" };
    target.mids.set(message.mid, entry);
    target.entries.push(entry);
  }
  const rank = (entry) => (entry.state === "pending" ? Infinity : entry.at);
  target.entries.sort((a, b) => (rank(a) === rank(b) ? 0 : rank(a) - rank(b)));
}

// ---- sending: an entry stays in the outbox, marked pending, until the server acknowledged it

export function write(text) {
  const entry = { kind: "message", own: true, mid: randomId(16), name: state.name, text, at: Date.now(), state: "pending", to: state.viewed };
  state.outbox.push(entry);
  addEntry(state.viewed, entry);
  flush();
}

function flush() {
  if (!state.ready) return;
  for (const entry of [...state.outbox]) {
    if (!entry.sent) transmit(entry);
  }
}

function transmit(entry) {
  const { to, mid, text } = entry;
  entry.sent = true;
  const [event, argument] = to[0] === "#"
    ? ["message", { room: to.slice(1), mid, text }]
    : ["private", { to: to.slice(1), mid, text }];
  socket.timeout(ACK_TIMEOUT).emit(event, argument, (err, answer) => {
    if (err) {
      entry.sent = false; // sent again with the next connection, or now if this one is only slow
      flush();
    } else {
      settle(entry, answer);
    }
  });
}

function settle(entry, { ok, at, error }) {
  state.outbox = state.outbox.filter((each) => each !== entry);
  entry.state = ok ? "delivered" : "failed";
  entry.error = error;
  if (ok) entry.at = at;
  redrawEntry(entry);
}

// ---- typing

let typingSentAt = 0;

/** Says whether one is typing; while one is, from time to time. */
export function sayTyping(on) {
  const now = Date.now();
  if (!state.ready || state.viewed[0] !== "#" || (on && now - typingSentAt < TYPING_REPEAT)) return;
  if (!on && typingSentAt === 0) return;
  typingSentAt = on ? now : 0;
  socket.volatile.emit("typing", { room: state.room, on });
}

function forgetTypist(person) {
  clearTimeout(state.typists.get(person));
  if (state.typists.delete(person)) drawTyping();
}

function forgetTypists() {
  for (const person of [...state.typists.keys()]) forgetTypist(person);
}

// ---- what the server says

socket.on("rooms", (list) => {
  state.rooms = list;
  drawRooms();
  drawHeader();
});

socket.on("joined", ({ name: person }) => {
  state.people.add(person);
  drawPeople();
  drawHeader();
});

socket.on("left", ({ name: person }) => {
  state.people.delete(person);
  forgetTypist(person);
  drawPeople();
  drawHeader();
});

socket.on("renamed", ({ from, to }) => {
  state.people.delete(from);
  state.people.add(to);
  forgetTypist(from);
  const text = from === state.name || to === state.name ? `You are now ${to}` : `${from} is now ${to}`;
  if (from === state.name) state.name = to;
  addEntry(`#${state.room}`, { kind: "system", text, at: Date.now() });
  const thread = state.conversations.get(`@${from}`);
  if (thread) {
    state.conversations.delete(`@${from}`);
    state.conversations.set(`@${to}`, thread);
    for (const entry of state.outbox) if (entry.to === `@${from}`) entry.to = `@${to}`;
    if (state.viewed === `@${from}`) state.viewed = `@${to}`;
  }
  draw();
});

socket.on("notice", ({ room: where, kind, name: person, at }) => {
  addEntry(`#${where}`, { kind: "system", text: `${person} ${kind === "joined" ? "joined" : "left"} the room`, at });
});

socket.on("message", (message) => {
  forgetTypist(message.name);
  addEntry(`#${message.room}`, { ...message, kind: "message", own: false });
});

socket.on("private", ({ from, mid, text, at }) => {
  addEntry(`@${from}`, { kind: "message", own: false, mid, name: from, text, at });
  drawPeople();
});

socket.on("typing", ({ room: where, name: person, on }) => {
  forgetTypist(person);
  if (on && where === state.room) state.typists.set(person, setTimeout(() => forgetTypist(person), TYPING_FORGET));
  drawTyping();
});
