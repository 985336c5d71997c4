let countdown;

/** `state` is connecting, connected, reconnecting or offline. */
function setStatus(state, text, banner) {
  clearInterval(countdown);
  // A screen reader hears of a change of state, not of every second of the countdown.
  if ($("status").dataset.state !== state) $("announcer").textContent = text;
  $("status").dataset.state = state;
  $("status-text").textContent = text;
  $("transport").textContent = state === "connected" ? socket.io.engine.transport.name : "";
  $("banner").hidden = !banner;
  $("banner-text").textContent = banner ?? "";
}

function setReady(value) {
  state.ready = value;
  document.body.dataset.ready = value;
  if (value) return;
  for (const timer of state.typists.values()) clearTimeout(timer);
  state.typists.clear();
  draw();
}

socket.on("connect", () => {
  setStatus("connected", "Connected");
  if (state.name === "") askName();
  else sayHello(state.name);
});

socket.on("disconnect", (reason) => {
  setReady(false);
  setStatus("reconnecting", "Reconnecting…", "The connection was lost.");
  // The client does not come back by itself when the server closed the socket on purpose.
  if (reason === "io server disconnect") setTimeout(() => socket.connect(), 1000);
});

// Sockeye's own client says when it will try again; the official one keeps it to itself.
socket.io.on("reconnect_scheduled", (_attempt, delay) => {
  const until = Date.now() + delay;
  const show = () => {
    const seconds = Math.max(1, Math.ceil((until - Date.now()) / 1000));
    const line = navigator.onLine ? "Cannot reach the server." : "This device is offline.";
    const [state, text] = navigator.onLine ? ["reconnecting", `Reconnecting in ${seconds} s`] : ["offline", "Offline"];
    if ($("status-text").textContent === text) return;
    setStatus(state, text, `${line} Trying again in ${seconds} s. What you write is kept.`);
    countdown = setInterval(show, 250);
  };
  show();
});

socket.io.on("reconnect_attempt", () => setStatus("reconnecting", "Reconnecting…", "Trying to reach the server…"));

const retry = () => {
  // Also takes the place of an attempt that is scheduled.
  if (socket.active) socket.io.open();
  else socket.connect();
};
$("retry").addEventListener("click", retry);
addEventListener("online", retry);

/** An event whose answer is `{ ok, .. }`. It is asked again when none comes, until the connection is lost. */
function ask(event, argument, done) {
  socket.timeout(ACK_TIMEOUT).emit(event, argument, (err, answer) => {
    if (!err) done(answer);
    else if (socket.connected) ask(event, argument, done);
  });
}

function sayHello(wanted) {
  ask("hello", { name: wanted, key }, (answer) => {
    if (!answer.ok) return askName(wanted, errorText(answer.error));
    const renamed = state.ready;
    state.name = answer.name;
    store("sockeye.name", state.name);
    state.people.clear();
    for (const person of answer.people) state.people.add(person);
    state.rooms = answer.rooms;
    draw();
    if ($("name-dialog").open) {
      $("name-dialog").close();
      if (!PHONE.matches) $("text").focus();
    }
    if (!renamed) joinRoom(state.room);
  });
}

function joinRoom(wanted) {
  ask("join", { room: wanted }, (answer) => {
    if (!answer.ok) {
      if (!state.ready && wanted !== "lobby") return joinRoom("lobby");
      $("room-error").textContent = errorText(answer.error);
      return;
    }
    const moved = state.room !== answer.room;
    state.room = answer.room;
    store("sockeye.room", state.room);
    $("room-error").textContent = "";
    for (const timer of state.typists.values()) clearTimeout(timer);
    state.typists.clear();
    merge(`#${state.room}`, answer.history);
    setReady(true);
    if (moved) {
      view(`#${state.room}`);
    } else {
      draw();
      if (state.viewed === `#${state.room}`) drawLog(isAtEnd());
    }
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

// -------------------------------------------------------------------------------------------------
// Sending: an entry stays in the outbox, marked pending, until the server acknowledged it
// -------------------------------------------------------------------------------------------------

function write(text) {
  const entry = { kind: "message", own: true, mid: randomId(16), state.name, text, at: Date.now(), state: "pending", to: state.viewed };
  state.outbox.push(entry);
  addEntry(state.viewed, entry);
  flush();
}

function flush() {
  if (!state.ready) return;
  for (const entry of [...outbox]) {
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
  if (!entry.node) return;
  entry.node.dataset.state = entry.state;
  entry.node.querySelector(".meta").replaceWith(drawMeta(entry));
}

// -------------------------------------------------------------------------------------------------
// What the server says
// -------------------------------------------------------------------------------------------------

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
  addEntry(`#${where}`, { kind: "system", text: `${person} ${kind === "joined" ? "joined" : "left"} the state.room`, at });
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

function forgetTypist(person) {
  clearTimeout(state.typists.get(person));
  if (state.typists.delete(person)) drawTyping();
}

// -------------------------------------------------------------------------------------------------
