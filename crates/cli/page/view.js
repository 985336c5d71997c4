// The screen: draws the state, and opens and closes what lies above it. It never speaks to the server.
//
// Everything that came from somebody else reaches the page as text (textContent), never as HTML.

import { conversation, state } from "./state.js";

const PHONE = matchMedia("(max-width: 760px)");
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

export const $ = (id) => document.getElementById(id);

/** A refusal of the server in a person's words. */
export const errorText = (code) => ERRORS[code] ?? `The server refused it (${code}).`;

// ---- elements

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

// ---- messages

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });

function drawMeta(entry) {
  const meta = element("span", "meta");
  const time = element("time", "", entry.error ? errorText(entry.error) : clock.format(entry.at));
  time.dateTime = new Date(entry.at).toISOString();
  meta.append(time);
  if (entry.own) {
    const label = { pending: "Waiting to be sent", delivered: "Delivered", failed: "Not delivered" }[entry.state];
    const path = { pending: "M12 7v5l3 2M12 3a9 9 0 1 0 .01 0", delivered: "M4 13l5 5L20 6", failed: "M12 5v9M12 18.500v.5" }[entry.state];
    const tick = element("span", "tick");
    tick.append(svg(path), element("span", "hidden", label));
    tick.title = label;
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

/** Shows what became of one's own message. */
export function redrawEntry(entry) {
  if (!entry.node) return;
  entry.node.dataset.state = entry.state;
  entry.node.querySelector(".meta").replaceWith(drawMeta(entry));
}

const continues = (before, entry) =>
  before?.kind === "message" && entry.kind === "message" && before.own === entry.own &&
  before.name === entry.name && Math.abs(entry.at - before.at) < GROUP_WITHIN;

function nodeOf(entries, index) {
  const entry = entries[index];
  const node = entry.node ?? drawEntry(entry);
  node.classList.toggle("first", !continues(entries[index - 1], entry));
  return node;
}

/** Draws the whole conversation anew; screen readers are not made to read all of it. */
export function drawLog(toEnd = true) {
  const log = $("log");
  const { entries } = conversation(state.viewed);
  log.setAttribute("aria-live", "off");
  const nodes = entries.map((_, index) => nodeOf(entries, index));
  if (!entries.some((entry) => entry.kind === "message")) nodes.unshift(drawEmpty());
  log.replaceChildren(...nodes);
  requestAnimationFrame(() => log.setAttribute("aria-live", "polite"));
  if (toEnd) scrollDown();
}

function drawEmpty() {
  const node = element("li", "empty");
  const here = state.viewed[0] === "#" ? `This is the beginning of #${state.room}` : `Only you and ${state.viewed.slice(1)} see this`;
  node.append(element("strong", "", here), "Say something.");
  return node;
}

export function scrollDown() {
  const scroller = $("scroller");
  scroller.scrollTop = scroller.scrollHeight;
  arrivedAt(true);
}

export function isAtEnd() {
  const { scrollHeight, scrollTop, clientHeight } = $("scroller");
  return scrollHeight - scrollTop - clientHeight < 80;
}

// Who reads the end still does when the room for it changes: by the banner, a phone's keyboard, a longer draft.
let readsEnd = true;

function arrivedAt(end) {
  readsEnd = end;
  if (end) $("jump").hidden = true;
}

$("scroller").addEventListener("scroll", () => arrivedAt(isAtEnd()));
new ResizeObserver(() => {
  if (readsEnd) scrollDown();
}).observe($("scroller"));

/** Adds to the end of a conversation, unless the message is there already. */
export function addEntry(id, entry) {
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
  if (id === state.viewed) {
    const follow = entry.own || isAtEnd();
    $("log").querySelector(".empty")?.remove();
    $("log").append(nodeOf(target.entries, target.entries.length - 1));
    if (follow) scrollDown();
    else $("jump").hidden = false;
  }
  const seen = id === state.viewed && !document.hidden;
  if (!seen && entry.kind === "message" && !entry.own) {
    target.unread += 1;
    drawPeople();
    drawRooms();
    drawUnread();
  }
}

// ---- around the messages

function drawUnread() {
  let total = 0;
  for (const { unread } of state.conversations.values()) total += unread;
  const elsewhere = total - conversation(state.viewed).unread;
  $("unread").hidden = elsewhere === 0;
  $("unread").textContent = elsewhere;
  document.title = total > 0 ? `(${total}) Sockeye chat` : "Sockeye chat";
}

function badge(id) {
  const { unread } = state.conversations.get(id) ?? { unread: 0 };
  if (unread === 0 || id === state.viewed) return [];
  const node = element("span", "badge", unread);
  node.append(element("span", "hidden", " unread"));
  return [node];
}

/** Replaces a list's entries. The keyboard's focus stays on the one that has it. */
function refill(list, entries) {
  const key = ({ dataset }) => dataset.room ?? dataset.person;
  const focused = [...list.children].find((entry) => entry.contains(document.activeElement));
  list.replaceChildren(...entries);
  if (focused) entries.find((entry) => key(entry) === key(focused))?.firstChild.focus({ preventScroll: true });
}

export function drawRooms() {
  const list = state.rooms.some((each) => each.name === state.room) ? state.rooms : [...state.rooms, { name: state.room, count: state.ready ? 1 : 0 }];
  refill($("rooms"), list.map(({ name: each, count }) => {
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
    if (state.viewed === `#${each}`) button.setAttribute("aria-current", "true");
    button.disabled = !state.ready && each !== state.room; // one changes rooms only with the server
    item.append(button);
    return item;
  }));
}

export function drawPeople() {
  const known = new Set(state.people);
  for (const id of state.conversations.keys()) if (id[0] === "@") known.add(id.slice(1));
  known.delete(state.name);
  const others = [...known].sort((a, b) => a.localeCompare(b));
  if (state.people.has(state.name)) others.unshift(state.name);
  $("people-count").textContent = state.people.size;
  refill($("people"), others.map((person) => {
    const own = person === state.name;
    const item = element("li", state.people.has(person) ? "" : "offline");
    item.dataset.person = person;
    const button = element("button");
    button.type = "button";
    button.append(avatar(person), element("span", "name", person), ...badge(`@${person}`));
    if (own) {
      button.append(element("span", "you", "you"));
      button.disabled = true;
    } else {
      button.append(element("span", "hidden", state.people.has(person) ? ", write privately" : ", offline"));
    }
    if (state.viewed === `@${person}`) button.setAttribute("aria-current", "true");
    item.append(button);
    return item;
  }));
}

export function drawHeader() {
  const isRoom = state.viewed[0] === "#";
  const count = state.rooms.find((each) => each.name === state.room)?.count ?? 0;
  const other = state.viewed.slice(1);
  $("conversation-title").textContent = isRoom ? `# ${state.room}` : other;
  $("conversation-title").dataset.conversation = state.viewed;
  let detail = isRoom ? "" : "Private"; // without the server nobody knows more
  if (state.ready && isRoom) detail = `${count} ${count === 1 ? "person" : "people"} in this room`;
  if (state.ready && !isRoom) detail += state.people.has(other) ? " · online" : " · offline";
  $("conversation-detail").textContent = detail;
  $("text").placeholder = isRoom ? `Message #${state.room}` : `Message ${other} privately`;
  $("text").disabled = $("send").disabled = state.name === "";
  $("me").hidden = state.name === "";
  $("me-name").textContent = state.name;
  paintAvatar($("me-avatar"), state.name);
}

export function drawTyping() {
  const names = state.viewed[0] === "#" ? [...state.typists.keys()] : [];
  $("typing").textContent = names.length === 0 ? ""
    : names.length === 1 ? `${names[0]} is typing…`
    : names.length === 2 ? `${names[0]} and ${names[1]} are typing…`
    : `${names.length} people are typing…`;
}

/** Draws everything around the messages. */
export function draw() {
  drawRooms();
  drawPeople();
  drawHeader();
  drawTyping();
  drawUnread();
}

/** Draws everything but the messages. */
/** Shows a conversation. */
export function show(id) {
  state.viewed = id;
  conversation(id).unread = 0;
  draw();
  drawLog();
  showRoomError("");
  openSidebar(false);
  focusComposer();
}

/** On a phone it would open the keyboard, which covers half of the screen. */
export function focusComposer() {
  if (!PHONE.matches) $("text").focus();
}

/** `kind` is connecting, connected, reconnecting or offline; without a `banner` there is none. */
export function showStatus(kind, text, { transport = "", banner = "" } = {}) {
  // A screen reader hears of a change of state, not of every second of the countdown.
  if ($("status").dataset.state !== kind) $("announcer").textContent = transport ? `${text} over ${transport}` : text;
  $("status").dataset.state = kind;
  $("status-text").textContent = text;
  $("transport").textContent = transport;
  $("transport").classList.remove("changed");
  $("banner").hidden = banner === "";
  $("banner-text").textContent = banner;
}

/** The connection goes on over another transport. */
export function showTransport(name) {
  $("transport").textContent = name;
  $("transport").classList.add("changed");
  $("announcer").textContent = `Connected over ${name}`;
}

/** Why a room was not joined, or "". */
export function showRoomError(text) {
  $("room-error").textContent = text;
}

// ---- the drawer of a phone, and the dialog

export function openSidebar(open) {
  if (open && !PHONE.matches) return;
  const wasOpen = $("sidebar").classList.contains("open");
  $("sidebar").classList.toggle("open", open);
  $("scrim").hidden = !open;
  document.querySelector("main").inert = open;
  $("open-sidebar").setAttribute("aria-expanded", String(open));
  if (open) $("close-sidebar").focus();
  else if (wasOpen) $("open-sidebar").focus();
}

PHONE.addEventListener("change", () => openSidebar(false));

/** Asks for a name, `error` being what is wrong with the last one. What is being typed stays. */
export function askName(error = "", wanted = state.name) {
  const dialog = $("name-dialog");
  // Without a name there is nothing to go back to; and a second Escape closes what only cancels the "cancel" event.
  dialog.setAttribute("closedby", state.ready ? "closerequest" : "none");
  $("name-error").textContent = error;
  $("name-cancel").hidden = !state.ready;
  $("name-submit").textContent = state.ready ? "Change name" : "Start chatting";
  if (!dialog.open) {
    $("name-input").value = wanted;
    dialog.showModal();
    $("name-input").select();
  } else if (error !== "") {
    $("name-input").select();
  }
}

export function closeNameDialog() {
  if (!$("name-dialog").open) return;
  $("name-dialog").close();
  focusComposer();
}
