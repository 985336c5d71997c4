// The chat page of `sockeye serve`: PROTOCOL.md beside this file says what it exchanges with the server.
// Everything that came from somebody else reaches the page as text (textContent), never as HTML.
//
// In order: state, drawing, the connection, sending, what the server says, what the person does.
"use strict";

(() => {
  const $ = (id) => document.getElementById(id);
  const PHONE = matchMedia("(max-width: 760px)");
  const ACK_TIMEOUT = 10_000;
  const TYPING_REPEAT = 2_000;
  const TYPING_FORGET = 4_000;
  const GROUP_WITHIN = 5 * 60_000; // messages of one author are drawn together
  const KEPT_ENTRIES = 500; // per conversation

  const ERRORS = {
    "bad-name": "A name has 1 to 32 characters.",
    "name-taken": "Somebody who is online has this name. Please choose another.",
    "bad-room": "A room’s name has 1 to 24 letters a–z, digits and hyphens.",
    "too-many-rooms": "There are too many rooms already.",
    "bad-text": "Too long",
    "no-such-person": "Not online",
    "not-in-room": "You left the room",
  };
  const errorText = (code) => ERRORS[code] ?? `The server refused it (${code}).`;

  // -------------------------------------------------------------------------------------------------
  // State
  // -------------------------------------------------------------------------------------------------

  const socket = io();
  const key = randomId(24);

  let name = readStored("sockeye.name");
  let ready = false; // hello and join are done on this connection
  let room = readStored("sockeye.room") || "lobby"; // the room one is in, or wants to be in
  let rooms = [];
  const people = new Set(); // names, oneself included
  /** Conversation id ("#room" or "@name") → { entries, mids, unread }. */
  const conversations = new Map();
  let viewed = `#${room}`;
  /** Entries that the server has not acknowledged yet, in the order of writing. */
  let outbox = [];
  const typists = new Map(); // name → timer
  let typingSentAt = 0;

  function conversation(id) {
    let found = conversations.get(id);
    if (!found) conversations.set(id, (found = { entries: [], mids: new Map(), unread: 0 }));
    return found;
  }

  function randomId(length) {
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    return Array.from(crypto.getRandomValues(new Uint8Array(length)), (byte) => alphabet[byte & 63]).join("");
  }

  // Storage may be forbidden; the chat works without.
  function readStored(item) {
    try {
      return localStorage.getItem(item) ?? "";
    } catch {
      return "";
    }
  }

  function store(item, value) {
    try {
      localStorage.setItem(item, value);
    } catch {
      // not remembered
    }
  }

  // -------------------------------------------------------------------------------------------------
  // Drawing
  // -------------------------------------------------------------------------------------------------

  function element(tag, className, text) {
    const node = document.createElement(tag);
    if (className) node.className = className;
    if (text !== undefined) node.textContent = text;
    return node;
  }

  function svg(path) {
    const namespace = "http://www.w3.org/2000/svg";
    const node = document.createElementNS(namespace, "svg");
    node.setAttribute("viewBox", "0 0 24 24");
    node.setAttribute("aria-hidden", "true");
    const line = document.createElementNS(namespace, "path");
    line.setAttribute("d", path);
    node.append(line);
    return node;
  }

  function paintAvatar(node, person) {
    const words = person.split(/\s+/).filter(Boolean);
    const letters = words.length > 1 ? [words[0], words[1]].map((word) => [...word][0]) : [...(words[0] ?? "")].slice(0, 2);
    node.textContent = letters.join("").toUpperCase();
    let hash = 0;
    for (const char of person.toLowerCase()) hash = (hash * 31 + char.codePointAt(0)) >>> 0;
    node.dataset.hue = hash % 8;
  }

  function avatar(person) {
    const node = element("span", "avatar");
    node.setAttribute("aria-hidden", "true");
    paintAvatar(node, person);
    return node;
  }

  const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

  function drawMeta(entry) {
    const meta = element("span", "meta");
    const time = element("time", "", entry.error ? errorText(entry.error) : clock.format(entry.at));
    time.dateTime = new Date(entry.at).toISOString();
    meta.append(time);
    if (entry.own) {
      const state = { pending: "Waiting to be sent", delivered: "Delivered", failed: "Not delivered" }[entry.state];
      const path = { pending: "M12 7v5l3 2M12 3a9 9 0 1 0 .01 0", delivered: "M4 13l5 5L20 6", failed: "M12 5v9M12 18.500v.5" }[entry.state];
      const tick = element("span", "tick");
      tick.append(svg(path), element("span", "hidden", state));
      tick.title = state;
      meta.append(tick);
    }
    return meta;
  }

  function drawEntry(entry) {
    if (entry.kind === "system") return (entry.node = element("li", "system", entry.text));
    const node = element("li", entry.own ? "message own" : "message");
    node.dataset.mid = entry.mid;
    node.dataset.author = entry.name;
    if (entry.own) node.dataset.state = entry.state;
    const author = element("span", entry.own ? "hidden" : "author", entry.name);
    const bubble = element("div", "bubble", entry.text);
    bubble.append(drawMeta(entry));
    node.append(avatar(entry.name), author, bubble);
    return (entry.node = node);
  }

  const continues = (before, entry) =>
    before?.kind === "message" && entry.kind === "message" && before.own === entry.own &&
    before.name === entry.name && Math.abs(entry.at - before.at) < GROUP_WITHIN;

  function appendNode(entries, index) {
    const entry = entries[index];
    const node = entry.node ?? drawEntry(entry);
    node.classList.toggle("first", !continues(entries[index - 1], entry));
    return node;
  }

  /** Draws the whole conversation anew; screen readers are not made to read all of it. */
  function drawLog(toEnd = true) {
    const log = $("log");
    const { entries } = conversation(viewed);
    log.setAttribute("aria-live", "off");
    const nodes = entries.map((_, index) => appendNode(entries, index));
    if (!entries.some((entry) => entry.kind === "message")) nodes.unshift(drawEmpty());
    log.replaceChildren(...nodes);
    requestAnimationFrame(() => log.setAttribute("aria-live", "polite"));
    if (toEnd) scrollDown();
  }

  function drawEmpty() {
    const node = element("li", "empty");
    const here = viewed[0] === "#" ? `This is the beginning of #${room}` : `Only you and ${viewed.slice(1)} see this`;
    node.append(element("strong", "", here), "Say something.");
    return node;
  }

  function scrollDown() {
    const scroller = $("scroller");
    scroller.scrollTop = scroller.scrollHeight;
    $("jump").hidden = true;
  }

  const isAtEnd = () => {
    const { scrollHeight, scrollTop, clientHeight } = $("scroller");
    return scrollHeight - scrollTop - clientHeight < 80;
  };

  /** Adds to the end of a conversation, unless the message is there already. */
  function addEntry(id, entry) {
    const target = conversation(id);
    if (entry.mid !== undefined) {
      if (target.mids.has(entry.mid)) return;
      target.mids.set(entry.mid, entry);
    }
    target.entries.push(entry);
    while (target.entries.length > KEPT_ENTRIES) {
      const old = target.entries.shift();
      target.mids.delete(old.mid);
      old.node?.remove();
    }
    if (id === viewed) {
      const follow = entry.own || isAtEnd();
      $("log").querySelector(".empty")?.remove();
      $("log").append(appendNode(target.entries, target.entries.length - 1));
      if (follow) scrollDown();
      else $("jump").hidden = false;
    }
    const seen = id === viewed && !document.hidden;
    if (!seen && entry.kind === "message" && !entry.own) {
      target.unread += 1;
      drawPeople();
      drawRooms();
      drawUnread();
    }
  }

  function drawUnread() {
    let total = 0;
    for (const { unread } of conversations.values()) total += unread;
    const elsewhere = total - conversation(viewed).unread;
    $("unread").hidden = elsewhere === 0;
    $("unread").textContent = elsewhere;
    document.title = total > 0 ? `(${total}) Sockeye chat` : "Sockeye chat";
  }

  function badge(id) {
    const { unread } = conversations.get(id) ?? { unread: 0 };
    if (unread === 0 || id === viewed) return [];
    const node = element("span", "badge", unread);
    node.append(element("span", "hidden", " unread"));
    return [node];
  }

  function drawRooms() {
    const list = rooms.some((each) => each.name === room) ? rooms : [...rooms, { name: room, count: ready ? 1 : 0 }];
    $("rooms").replaceChildren(...list.map(({ name: each, count }) => {
      const item = element("li");
      item.dataset.room = each;
      item.dataset.count = count;
      const button = element("button");
      button.type = "button";
      const hash = element("span", "hash", "#");
      hash.setAttribute("aria-hidden", "true");
      const number = element("span", "count", count || "");
      number.append(element("span", "hidden", count === 1 ? " person" : " people"));
      button.append(hash, element("span", "name", each), ...badge(`#${each}`), number);
      if (viewed === `#${each}`) button.setAttribute("aria-current", "true");
      button.disabled = !ready && each !== room; // one changes rooms only with the server
      button.addEventListener("click", () => (each === room ? view(`#${each}`) : joinRoom(each)));
      item.append(button);
      return item;
    }));
  }

  function drawPeople() {
    const known = new Set(people);
    for (const id of conversations.keys()) if (id[0] === "@") known.add(id.slice(1));
    known.delete(name);
    const others = [...known].sort((a, b) => a.localeCompare(b));
    if (people.has(name)) others.unshift(name);
    $("people-count").textContent = people.size;
    $("people").replaceChildren(...others.map((person) => {
      const own = person === name;
      const item = element("li", people.has(person) ? "" : "offline");
      item.dataset.person = person;
      const button = element("button");
      button.type = "button";
      button.append(avatar(person), element("span", "name", person), ...badge(`@${person}`));
      if (own) {
        button.append(element("span", "you", "you"));
        button.disabled = true;
      } else {
        button.append(element("span", "hidden", people.has(person) ? ", write privately" : ", offline"));
      }
      if (viewed === `@${person}`) button.setAttribute("aria-current", "true");
      button.addEventListener("click", () => view(`@${person}`));
      item.append(button);
      return item;
    }));
  }

  function drawHeader() {
    const isRoom = viewed[0] === "#";
    const count = rooms.find((each) => each.name === room)?.count ?? 0;
    const other = viewed.slice(1);
    $("conversation-title").textContent = isRoom ? `# ${room}` : other;
    $("conversation-title").dataset.conversation = viewed;
    $("conversation-detail").textContent = isRoom && count === 0 ? ""
      : isRoom ? `${count} ${count === 1 ? "person" : "people"} in this room`
      : `Private · ${people.has(other) ? "online" : "offline"}`;
    $("text").placeholder = isRoom ? `Message #${room}` : `Message ${other} privately`;
    $("text").disabled = $("send").disabled = name === "";
    $("me").hidden = name === "";
    $("me-name").textContent = name;
    paintAvatar($("me-avatar"), name);
  }

  function drawTyping() {
    const names = viewed[0] === "#" ? [...typists.keys()] : [];
    $("typing").textContent = names.length === 0 ? ""
      : names.length === 1 ? `${names[0]} is typing…`
      : names.length === 2 ? `${names[0]} and ${names[1]} are typing…`
      : `${names.length} people are typing…`;
  }

  function draw() {
    drawRooms();
    drawPeople();
    drawHeader();
    drawTyping();
    drawUnread();
  }

  /** Shows a conversation. */
  function view(id) {
    viewed = id;
    conversation(id).unread = 0;
    draw();
    drawLog();
    openSidebar(false);
    if (!PHONE.matches) $("text").focus();
  }

  // -------------------------------------------------------------------------------------------------
  // The connection
  // -------------------------------------------------------------------------------------------------

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
    ready = value;
    document.body.dataset.ready = value;
    if (value) return;
    for (const timer of typists.values()) clearTimeout(timer);
    typists.clear();
    draw();
  }

  socket.on("connect", () => {
    setStatus("connected", "Connected");
    if (name === "") askName();
    else sayHello(name);
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
      const renamed = ready;
      name = answer.name;
      store("sockeye.name", name);
      people.clear();
      for (const person of answer.people) people.add(person);
      rooms = answer.rooms;
      draw();
      if ($("name-dialog").open) {
        $("name-dialog").close();
        if (!PHONE.matches) $("text").focus();
      }
      if (!renamed) joinRoom(room);
    });
  }

  function joinRoom(wanted) {
    ask("join", { room: wanted }, (answer) => {
      if (!answer.ok) {
        if (!ready && wanted !== "lobby") return joinRoom("lobby");
        $("room-error").textContent = errorText(answer.error);
        return;
      }
      const moved = room !== answer.room;
      room = answer.room;
      store("sockeye.room", room);
      $("room-error").textContent = "";
      for (const timer of typists.values()) clearTimeout(timer);
      typists.clear();
      merge(`#${room}`, answer.history);
      setReady(true);
      if (moved) {
        view(`#${room}`);
      } else {
        draw();
        if (viewed === `#${room}`) drawLog(isAtEnd());
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
      const entry = { ...message, kind: "message", own: message.name === name, state: "delivered" };
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
    const entry = { kind: "message", own: true, mid: randomId(16), name, text, at: Date.now(), state: "pending", to: viewed };
    outbox.push(entry);
    addEntry(viewed, entry);
    flush();
  }

  function flush() {
    if (!ready) return;
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
    outbox = outbox.filter((each) => each !== entry);
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
    rooms = list;
    drawRooms();
    drawHeader();
  });

  socket.on("joined", ({ name: person }) => {
    people.add(person);
    drawPeople();
    drawHeader();
  });

  socket.on("left", ({ name: person }) => {
    people.delete(person);
    forgetTypist(person);
    drawPeople();
    drawHeader();
  });

  socket.on("renamed", ({ from, to }) => {
    people.delete(from);
    people.add(to);
    forgetTypist(from);
    const text = from === name || to === name ? `You are now ${to}` : `${from} is now ${to}`;
    if (from === name) name = to;
    addEntry(`#${room}`, { kind: "system", text, at: Date.now() });
    const thread = conversations.get(`@${from}`);
    if (thread) {
      conversations.delete(`@${from}`);
      conversations.set(`@${to}`, thread);
      for (const entry of outbox) if (entry.to === `@${from}`) entry.to = `@${to}`;
      if (viewed === `@${from}`) viewed = `@${to}`;
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
    if (on && where === room) typists.set(person, setTimeout(() => forgetTypist(person), TYPING_FORGET));
    drawTyping();
  });

  function forgetTypist(person) {
    clearTimeout(typists.get(person));
    if (typists.delete(person)) drawTyping();
  }

  // -------------------------------------------------------------------------------------------------
  // What the person does
  // -------------------------------------------------------------------------------------------------

  const text = $("text");

  function fitText() {
    text.style.height = "auto";
    text.style.height = `${text.scrollHeight}px`;
  }

  function sayTyping(on) {
    const now = Date.now();
    if (!ready || viewed[0] !== "#" || (on && now - typingSentAt < TYPING_REPEAT)) return;
    if (!on && typingSentAt === 0) return;
    typingSentAt = on ? now : 0;
    socket.volatile.emit("typing", { room, on });
  }

  text.addEventListener("input", () => {
    fitText();
    sayTyping(text.value.trim() !== "");
  });

  text.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    $("composer").requestSubmit();
  });

  $("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    const value = text.value.trim();
    if (value === "" || name === "") return;
    sayTyping(false);
    text.value = "";
    fitText();
    write(value);
    text.focus();
  });

  $("room-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const wanted = $("room-input").value.trim().toLowerCase().replace(/^#\s*/, "").replace(/\s+/g, "-");
    if (wanted === "") return;
    if (!ready) {
      $("room-error").textContent = "You can change rooms when you are connected again.";
      return;
    }
    $("room-input").value = "";
    if (wanted === room) view(`#${room}`);
    else joinRoom(wanted);
  });

  function askName(wanted = name, error = "") {
    const dialog = $("name-dialog");
    $("name-input").value = wanted;
    $("name-error").textContent = error;
    $("name-cancel").hidden = !ready;
    $("name-submit").textContent = ready ? "Change name" : "Start chatting";
    if (!dialog.open) dialog.showModal();
    $("name-input").select();
  }

  $("rename").addEventListener("click", () => {
    openSidebar(false);
    askName();
  });
  $("name-cancel").addEventListener("click", () => $("name-dialog").close());
  $("name-dialog").addEventListener("cancel", (event) => {
    if (!ready) event.preventDefault(); // without a name there is nothing to go back to
  });
  $("name-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const wanted = $("name-input").value.trim();
    if (wanted === "") {
      $("name-error").textContent = errorText("bad-name");
    } else if (ready && wanted === name) {
      $("name-dialog").close();
    } else if (socket.connected) {
      sayHello(wanted);
    } else {
      // The next connection says hello with it.
      name = wanted;
      $("name-dialog").close();
      draw();
    }
  });

  function openSidebar(open) {
    if (open && !PHONE.matches) return;
    const wasOpen = $("sidebar").classList.contains("open");
    $("sidebar").classList.toggle("open", open);
    $("scrim").hidden = !open;
    document.querySelector("main").inert = open;
    $("open-sidebar").setAttribute("aria-expanded", String(open));
    if (open) $("close-sidebar").focus();
    else if (wasOpen) $("open-sidebar").focus();
  }

  $("open-sidebar").addEventListener("click", () => openSidebar(true));
  $("close-sidebar").addEventListener("click", () => openSidebar(false));
  $("scrim").addEventListener("click", () => openSidebar(false));
  PHONE.addEventListener("change", () => openSidebar(false));
  addEventListener("keydown", (event) => {
    if (event.key === "Escape") openSidebar(false);
  });

  $("jump").addEventListener("click", scrollDown);
  $("scroller").addEventListener("scroll", () => {
    if (isAtEnd()) $("jump").hidden = true;
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    conversation(viewed).unread = 0;
    draw();
  });

  setReady(false);
  view(viewed);
  if (name === "") askName();
})();
