// What the scenario's server has beyond `/` (features-server.mjs), for the official clients from 2.5 on and with each
// parser. As in scenario.mjs a transcript holds no ids, addresses, or times, and what a client has no method for is left
// out of its transcript.
//
// Each part has namespaces of its own, so that many run at once; the transcript is in their order all the same.

import { EVENTS } from "./features-events.mjs";
import { LIFE } from "./features-life.mjs";
import { ROOMS } from "./features-rooms.mjs";
import { ask, next, PATIENCE, settled, show, showAll } from "./scenario.mjs";

export const PARTS = { ...EVENTS, ...ROOMS, ...LIFE };

const AT_ONCE = 12;

/**
 * `version` is the client's, as a number; `options` are for each of its managers. `only` takes those parts whose titles it
 * is a part of.
 * @param {{ io: Function, version: number, url: string, transports: string[] | null, options?: object, only?: string }} tools
 */
export async function run({ io, version, url, transports, options = {}, only = "" }) {
  const parts = Object.entries(PARTS).filter(([title]) => title.includes(only));
  const transcripts = parts.map(() => []);
  let started = 0;
  const work = async () => {
    while (started < parts.length) {
      const at = started++;
      const [title, part] = parts[at];
      await runPart({ io, version, url, transports, options, title, part, lines: transcripts[at] });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return transcripts.flat();
}

async function runPart({ io, version, url, transports, options, title, part, lines }) {
  const way = { forceNew: true, reconnection: false, ...options, ...(transports && { transports }) };
  const unique = `${Date.now().toString(36)}${Math.random().toString(36).slice(2)}`;
  const managers = new Set();
  const log = (line) => lines.push(line);
  const tools = {
    io, version, url, way, log, unique,
    /** The namespace of this part that begins like this. */
    named: (kind) => `/${kind}-${unique}`,
    /** A socket on a connection of its own; `auth` goes the way that this client has for it. */
    socketTo(namespace = tools.named("lab"), auth = undefined, more = {}) {
      const socket = io(url + namespace, { ...way, ...tools.credentials(auth), ...more });
      managers.add(socket.io);
      if (version < 3) sendBuffers(socket);
      return socket;
    },
    credentials: (auth) => auth && (version < 3 ? { query: auth } : { auth }),
    async connected(...args) {
      const socket = tools.socketTo(...args);
      await next(socket, "connect");
      return socket;
    },
    /** Sockets with these names, in the same namespace, in data and auth. */
    async people(...names) {
      return Promise.all(names.map(async (name) => {
        const socket = await tools.connected(undefined, { name });
        await ask(socket, "set data", name);
        return socket;
      }));
    },
    /** What the sockets hear of `event` because of `act`: sorted. */
    async heard(sockets, event, act) {
      const lines = [];
      const stop = Object.entries(sockets).map(([name, socket]) => {
        const listener = (...args) => lines.push(`${name} ${showAll(args.filter((arg) => typeof arg !== "function"))}`);
        socket.on(event, listener);
        return () => socket.off(event, listener);
      });
      await act();
      await Promise.all(Object.values(sockets).map(settled));
      for (const each of stop) each();
      return lines.sort().join("; ") || "nobody";
    },
    /** Why the server does not let a socket in. */
    refusal: (socket) => new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no refusal within ${PATIENCE} ms`)), PATIENCE);
      const refused = (err) => {
        clearTimeout(timer);
        resolve(err instanceof Error ? `${err.message}, data ${show(err.data)}` : show(err));
      };
      socket.once("connect_error", refused);
      if (version < 3) socket.once("error", refused);
      socket.once("connect", () => reject(new Error("it is let in")));
    }),
  };
  log(`== ${title}`);
  try {
    await part(tools);
  } catch (err) {
    log(`!! ${err.message}`);
  }
  for (const manager of managers) {
    manager.reconnection(false);
    for (const socket of Object.values(manager.nsps)) socket.disconnect();
    manager.engine?.close();
  }
}

/** Clients 2.x take only Buffers and ArrayBuffers for binary. */
function sendBuffers(socket) {
  const { emit } = socket;
  const buffers = (value) => {
    if (ArrayBuffer.isView(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    if (Array.isArray(value)) return value.map(buffers);
    if (value?.constructor !== Object) return value;
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, buffers(each)]));
  };
  socket.emit = (...args) => emit.apply(socket, args.map(buffers));
}
