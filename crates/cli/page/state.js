// What the page knows. connection.js and chat.js change it, view.js shows it.

export const state = {
  /** One's own name, or "" before there is one. */
  name: readStored("sockeye.name"),
  /** Whether hello and join are done on this connection. */
  ready: false,
  /** The room one is in, or wants to be in. */
  room: readStored("sockeye.room") || "lobby",
  /** All rooms: `{ name, count }`. */
  rooms: [],
  /** The names of who is online, oneself included. */
  people: new Set(),
  /** Conversation id ("#room" or "@name") → `{ entries, mids, unread }`. */
  conversations: new Map(),
  /** The id of the conversation on the screen. */
  viewed: "",
  /** Entries that the server has not acknowledged yet, in the order of writing. */
  outbox: [],
  /** Who is typing in the room: name → the timer that forgets it. */
  typists: new Map(),
};
state.viewed = `#${state.room}`;

/** A conversation, which begins by being asked for. */
export function conversation(id) {
  let found = state.conversations.get(id);
  if (!found) state.conversations.set(id, (found = { entries: [], mids: new Map(), unread: 0 }));
  return found;
}

/** So many characters of PROTOCOL.md's alphabet for keys and mids. */
export function randomId(length) {
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

/** Keeps a value for the next visit. */
export function store(item, value) {
  try {
    localStorage.setItem(item, value);
  } catch {
    // not remembered
  }
}
