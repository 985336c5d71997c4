// What the scripts in scripts/ are written with: raw requests, websockets, the journal of the server, and a transcript
// that holds no ids, addresses or times.

import { once } from "node:events";
import { Agent, request as httpRequest } from "node:http";
import { connect } from "node:net";
import { brotliDecompressSync, gunzipSync, inflateSync } from "node:zlib";
import { WebSocket } from "ws";
import { bareCode, barePayload } from "../lib/farewells.mjs";

const PATIENCE = 30_000;

/** The headers that a transcript shows, in this order, besides `access-control-*` and `x-*`. */
const SHOWN = ["content-type", "content-length", "content-encoding", "cache-control", "vary", "set-cookie", "allow"];

/** Rejects when `promise` takes too long. */
export function within(promise, what, ms = PATIENCE) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing within ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** The same for what a script may come to await only later, or not at all once something else has failed. */
function timely(promise, what) {
  const result = within(promise, what);
  result.catch(() => {});
  return result;
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Items that are waited for, each taken once. */
function queue() {
  const items = [];
  let takers = [];
  return {
    put(item) {
      const taker = takers.find(({ fits }) => fits(item));
      if (!taker) return items.push(item);
      takers = takers.filter((other) => other !== taker);
      taker.resolve(item);
    },
    take(what, fits = () => true) {
      const at = items.findIndex(fits);
      if (at >= 0) return Promise.resolve(items.splice(at, 1)[0]);
      return within(new Promise((resolve) => takers.push({ fits, resolve })), what);
    },
  };
}

/** The journal of a server (see node-server.mjs): `put(line)`, and `take(what, fits)`. */
export function journal() {
  const lines = queue();
  return { put: (line) => lines.put(JSON.parse(line)), take: lines.take };
}

const visible = (text) => JSON.stringify(text).slice(1, -1).replaceAll("\\\"", "\"").replaceAll("\\u001e", "␞");

let tags = 0;

/** An answer without the words of a close packet, and with the length that it has then. */
function bare({ status, headers, body }) {
  const text = body.toString("latin1");
  const without = Buffer.from(barePayload(text), "latin1");
  if (without.length === body.length) return { status, headers, body };
  const length = headers["content-length"] === String(body.length) ? { "content-length": String(without.length) } : {};
  return { status, headers: { ...headers, ...length }, body: without };
}

/**
 * The tools of one run against one server. `lines` is the transcript; `end()` closes what is open.
 */
export function tools({ url, journal }) {
  const lines = [];
  const sids = new Set();
  const agent = new Agent({ keepAlive: true });
  const open = new Set();
  const { port } = new URL(url);

  const mask = (text) => {
    for (const [, sid] of text.matchAll(/"sid\\*":\\*"([\w-]{20})/g)) sids.add(sid);
    for (const sid of sids) text = text.replaceAll(sid, "<sid>");
    return text;
  };
  const log = (line) => lines.push(mask(line));

  const address = (path, query) => {
    const list = Object.entries({ EIO: "4", transport: "polling", ...query }).filter(([, value]) => value !== undefined);
    return `${path}?${list.map(([key, value]) => `${key}=${encodeURIComponent(value)}`).join("&")}`;
  };

  /** Starts a request; `answer` resolves with it, or with the error of the connection. */
  function begin(method, target, { headers = {}, body } = {}) {
    let resolve;
    const answer = new Promise((done) => (resolve = done));
    const request = httpRequest({ host: "127.0.0.1", port, agent, method, path: target, headers }, (response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("error", (err) => resolve({ error: err.code }));
      response.on("end", () => resolve(bare({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks) })));
    });
    open.add(request);
    request.on("error", (err) => resolve({ error: err.code }));
    if (body !== null) request.end(body);
    return { request, answer: timely(answer, `${method} ${target}`) };
  }

  const call = (method, path, query, options) => begin(method, address(path, query), options).answer;

  const get = (target, options) => begin("GET", target, options).answer;

  /**
   * Resolves when the server has had every occasion to read what was written before, for a poll that waits shows nothing
   * of itself: it has answered three later requests, one after the other.
   */
  async function passed() {
    for (let i = 0; i < 3; i++) await get("/nowhere/");
  }

  /**
   * One line for an answer. What is compressed is shown decoded. The header for the length is shown only with 200 and
   * without a compression: elsewhere Node sends chunks, and the client has checked the length or the chunks already.
   */
  function show({ status, headers, body, error }) {
    if (error) return "the connection is reset";
    const encoding = headers["content-encoding"];
    const decode = { gzip: gunzipSync, deflate: inflateSync, br: brotliDecompressSync }[encoding];
    const text = (decode ? decode(body) : body).toString();
    const names = [...SHOWN, ...Object.keys(headers).filter((name) => /^(access-control|x)-/.test(name)).sort()];
    const shown = names
      .filter((name) => headers[name] !== undefined && (name !== "content-length" || (status === 200 && !encoding)))
      .map((name) => `${name}: ${[headers[name]].flat().join("; and ")}`);
    const long = text.length > 500 ? `${text.slice(0, 20)}… ${text.length} characters` : visible(text);
    return [status, ...shown, long].join(" | ");
  }

  /** Logs the answer to a request. */
  async function shown(label, answer) {
    log(`${label}: ${show(await answer)}`);
  }

  /** Logs the answer to a request that is refused, and what the server's `connection_error` says of it. */
  async function refused(label, method, path, query, options) {
    const tag = `refused-${++tags}`;
    const answer = await call(method, path, { ...query, tag }, options);
    const { code, message, name } = await journal.take(`connection_error (${label})`, (line) => line.event === "connection_error" && line.tag === tag);
    log(`${label}: ${show(answer)} | connection_error ${code} ${message} ${name}`);
  }

  /** What the journal says next of a session. */
  const event = (sid, name) => journal.take(`${name} of the session`, (line) => line.event === name && line.sid === sid);
  const closed = async (sid) => (await event(sid, "close")).reason;

  /** Opens a session over polling. */
  async function session(path, query = {}, options) {
    const answer = await call("GET", path, query, options);
    // In an answer of JSONP the quotes are escaped.
    const sid = /"sid\\?":\\?"([\w-]+)/.exec(answer.body)?.[1];
    if (!sid) throw new Error(`no session: ${answer.error ?? answer.status} ${answer.body}`);
    sids.add(sid);
    const own = (extra) => ({ ...query, sid, ...extra });
    return {
      sid,
      path,
      query: own,
      poll: (options) => call("GET", path, own(), options),
      /** A poll that the server has read and that waits there; the answer is not awaited. */
      async pending() {
        const { request, answer } = begin("GET", address(path, own()));
        await within(once(request, "finish"), "the poll to be sent");
        await passed();
        return { request, answer };
      },
      post: (body, options) => call("POST", path, own(), { ...options, body }),
      /** A POST of which the server has read the head and the beginning of its body. */
      async begun(text, headers = { "transfer-encoding": "chunked" }) {
        const { request, answer } = begin("POST", address(path, own()), { headers, body: null });
        await within(new Promise((resolve) => request.write(text, resolve)), "the body to be sent");
        await passed();
        return { request, answer };
      },
      call: (method, options) => call(method, path, own(), options),
      reason: () => closed(sid),
      event: (name) => event(sid, name),
      /** Logs whether it still carries a message each way. */
      async alive(label) {
        const posted = await call("POST", path, own(), { body: "4are you there" });
        const polled = posted.status === 200 ? await call("GET", path, own()) : posted;
        log(`${label}: ${posted.status === 200 && String(polled.body) === "4are you there" ? "alive" : show(polled)}`);
      },
    };
  }

  /**
   * A websocket. `opened` resolves with the headers of the 101, or with `{ refused: line }`; `next()` resolves with a
   * message (binary as `<hex>`) or with `close CODE`.
   */
  function websocket(path, query, { headers, ...options } = {}) {
    const socket = new WebSocket(`ws://127.0.0.1:${port}${address(path, { transport: "websocket", ...query })}`, {
      headers, perMessageDeflate: false, ...options,
    });
    open.add(socket);
    const arrivals = queue();
    let upgraded = {};
    socket.on("upgrade", (response) => (upgraded = response.headers));
    socket.on("message", (data, isBinary) => arrivals.put(isBinary ? `<${data.toString("hex")}>` : data.toString()));
    socket.on("close", (code, reason) => arrivals.put(`close ${bareCode(code, String(reason))}`));
    const opened = new Promise((resolve) => {
      socket.on("open", () => resolve({ headers: upgraded }));
      socket.on("unexpected-response", (request, response) => {
        const chunks = [];
        response.on("data", (chunk) => chunks.push(chunk));
        response.on("end", () => {
          request.destroy();
          const answer = { status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks) };
          resolve({ refused: `${show(answer)} | connection: ${response.headers.connection}` });
        });
      });
      socket.on("error", (err) => resolve({ refused: err.code ?? err.message }));
    });
    return {
      opened: timely(opened, `the websocket to ${path}`),
      next: () => arrivals.take("a message of the websocket"),
      send: (...messages) => messages.forEach((message) => socket.send(message)),
      close: () => socket.close(),
      terminate: () => socket.terminate(),
    };
  }

  /** Opens a session over websocket; resolves after its handshake with the websocket, `sid` and `handshake` added. */
  async function websocketSession(path, query, options) {
    const socket = websocket(path, query, options);
    const { refused: line, headers } = await socket.opened;
    if (line) throw new Error(`no session: ${line}`);
    const handshake = await socket.next();
    const sid = /"sid":"([^"]+)"/.exec(handshake)?.[1];
    return { ...socket, headers, handshake, sid, path, reason: () => closed(sid), event: (name) => event(sid, name) };
  }

  /** Logs the refusal of a websocket: before the 101 or after it. */
  async function websocketRefused(label, path, query, options) {
    const tag = `refused-${++tags}`;
    const socket = websocket(path, { ...query, tag }, options);
    const { refused: line } = await socket.opened;
    const { code, message, name } = await journal.take(`connection_error (${label})`, (line) => line.event === "connection_error" && line.tag === tag);
    log(`${label}: ${line ?? `101, then ${await socket.next()}`} | connection_error ${code} ${message} ${name}`);
  }

  /** Writes bytes and resolves with everything that came until the peer ended the connection. */
  function raw(bytes) {
    return within(new Promise((resolve) => {
      const socket = connect(Number(port), "127.0.0.1", () => socket.write(bytes));
      open.add(socket);
      let text = "";
      socket.on("data", (chunk) => (text += chunk.toString("latin1")));
      socket.on("error", () => resolve(text));
      socket.on("close", () => resolve(text));
    }), "the end of the connection");
  }

  /** Sends a whole request and leaves at once. */
  function unanswered(method, { path, query }, body) {
    const socket = connect(Number(port), "127.0.0.1", () => {
      const head = `${method} ${address(path, query())} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n`;
      socket.end(head + body);
      socket.destroySoon();
    });
    open.add(socket);
    socket.on("error", () => {});
  }

  return {
    lines, log, show, shown, refused, passed, get, call, address, unanswered, raw, session, event,
    websocket, websocketSession, websocketRefused,
    end() {
      for (const each of open) each.terminate ? each.terminate() : each.destroy();
      agent.destroy();
    },
  };
}
