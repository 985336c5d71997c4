// Engine.IO without Socket.IO on npm engine.io: the oracle of the transcripts. Its twin in Rust is
// `sockeye-engine-server`, and can be written from this comment alone.
//
//   node engine/node-server.mjs [--port N]        N = 0 (default): a free port
//
// Its first line on stdout is `listening on http://127.0.0.1:PORT`; every later one is a line of the journal (below). It
// exits when its stdin closes.
//
// ---- Servers: one per path, all on the one port. A request belongs to the server whose path its URL begins with (so
//      `/plain/more?EIO=4…` is served by `/plain/`); anything else is answered with 404. What is not named is the default.
//
//   /plain/           the defaults: transports polling and websocket, pingInterval 25 000, pingTimeout 20 000,
//                     upgradeTimeout 10 000, maxHttpBufferSize 1 000 000, httpCompression from 1024 bytes on, no CORS, no cookie
//   /small/           maxHttpBufferSize 100
//   /fast/            pingInterval 300, pingTimeout 1500
//   /hasty/           upgradeTimeout 1000
//   /polling-only/    transports polling
//   /websocket-only/  transports websocket
//   /no-upgrades/     allowUpgrades false
//   /compressed/      httpCompression from 100 bytes on
//   /uncompressed/    httpCompression false
//   /cookie/          cookie true
//   /cookie-custom/   cookie { name: "session", path: "/custom/", domain: "a.b", maxAge: 3600, sameSite: "strict", secure: true,
//                     httpOnly: false }
//   /cors/            cors { origin: "http://a.b", credentials: true, methods: ["GET", "POST"], allowedHeaders: ["x-foo"],
//                     exposedHeaders: ["x-bar"], maxAge: 600 }
//   /cors-any/        cors { origin: "*" }
//   /cors-reflect/    cors { origin: true }: whatever the request's Origin is
//   /cors-list/       cors { origin: ["http://a.b", "http://c.d"], credentials: true }
//   /refusing/        allowRequest: with `refuse=plainly` in the query it refuses without a message, with `refuse=with words` it
//                     refuses with the message "no entry", otherwise it accepts
//   /headers/         the hook `initial_headers` sets `x-initial` to the request's method, the hook `headers` sets `x-each` to
//                     the request's method
//   /initial/         initialPacket "hello"
//   /ids/             generateId: with `id=fail` in the query it fails, with another `id=…` that is the id, otherwise the
//                     default; whichever it is, later than at once
//   /middleware/      `engine.use`, later than at once: with `middleware=fail` in the query it fails, with `middleware=answer`
//                     it answers 418 with the text `teapot`, otherwise the request goes on
//   /deflated/        perMessageDeflate { serverNoContextTakeover: true, clientNoContextTakeover: true }
//   /eio3/            allowEIO3 true
//   /eio3-fast/       the same, pingInterval 300, pingTimeout 1500
//   /eio3-small/      the same, maxHttpBufferSize 100
//   /eio3-initial/    the same, initialPacket "hello"
//   /told/            the defaults; the journal has lines of the event `told`, too
//   /eio3-told/       the same, allowEIO3 true
//
// ---- What a session does with a message
//
//   text `close`              closes the session (npm `socket.close()`)
//   text `send N`             sends the text messages `0`, `1`, … N-1
//   text `send N and close`   the same, and then closes the session
//   text `big N`              sends one text message of N times the letter x
//   text `plain N`            the same with `compress: false`
//   text `binary N`           sends one binary message of N bytes 0, 1, … 255, 0, …
//   other text, and binary    is sent back as it came (the empty text too)
//
// ---- The journal: one line of JSON on stdout for each of these, in this order of keys. `path` is the server's (such as
//      `/plain/`); `tag` is the query parameter of that name of the request (of a session: of its handshake), or null.
//
//   {"event":"connection","path":P,"tag":T,"sid":S,"transport":"polling" or "websocket"}     a session is open
//   {"event":"message","path":P,"tag":T,"sid":S,"data":D}           a message came and has been handled; D is the text,
//                                                                   or for a binary one `binary:` and its bytes in hexadecimal
//   {"event":"upgrade","path":P,"tag":T,"sid":S}                    the session has changed over to websocket
//   {"event":"told","path":P,"tag":T,"sid":S,"name":N,"packet":D}   what /told/ hears of a session once it is open: N is Node's event
//                                                                   packet, packetCreate, flush (of each packet), heartbeat,
//                                                                   upgrading, or last of all close; D is the packet's digit
//                                                                   and its data, as above, or null if it is about none
//   {"event":"close","path":P,"tag":T,"sid":S,"reason":R}           R is Node's word: "transport close", "transport error",
//                                                                   "parse error", "ping timeout", "forced close"
//   {"event":"connection_error","path":P,"tag":T,"code":C,"message":M,"name":N}
//                                     a request was refused; M is the standard text of the code C even where allowRequest gave
//                                     another, N is `context.name` (such as "TRANSPORT_MISMATCH"), or null where there is none

import { createServer } from "node:http";
import { setImmediate } from "node:timers/promises";
import { Server } from "engine.io";
import { argument } from "../lib/serve.mjs";

const OPTIONS = {
  "/plain/": {},
  "/small/": { maxHttpBufferSize: 100 },
  "/fast/": { pingInterval: 300, pingTimeout: 1500 },
  "/hasty/": { upgradeTimeout: 1000 },
  "/polling-only/": { transports: ["polling"] },
  "/websocket-only/": { transports: ["websocket"] },
  "/no-upgrades/": { allowUpgrades: false },
  "/compressed/": { httpCompression: { threshold: 100 } },
  "/uncompressed/": { httpCompression: false },
  "/cookie/": { cookie: true },
  "/cookie-custom/": {
    cookie: { name: "session", path: "/custom/", domain: "a.b", maxAge: 3600, sameSite: "strict", secure: true, httpOnly: false },
  },
  "/cors/": {
    cors: {
      origin: "http://a.b", credentials: true, methods: ["GET", "POST"], allowedHeaders: ["x-foo"], exposedHeaders: ["x-bar"],
      maxAge: 600,
    },
  },
  "/cors-any/": { cors: { origin: "*" } },
  "/cors-reflect/": { cors: { origin: true } },
  "/cors-list/": { cors: { origin: ["http://a.b", "http://c.d"], credentials: true } },
  "/refusing/": {
    allowRequest(request, done) {
      const refuse = query(request).get("refuse");
      done(refuse === "with words" ? "no entry" : null, refuse === null);
    },
  },
  "/headers/": {},
  "/initial/": { initialPacket: "hello" },
  "/ids/": {},
  "/middleware/": {},
  "/deflated/": { perMessageDeflate: { serverNoContextTakeover: true, clientNoContextTakeover: true } },
  "/eio3/": { allowEIO3: true },
  "/eio3-fast/": { allowEIO3: true, pingInterval: 300, pingTimeout: 1500 },
  "/eio3-small/": { allowEIO3: true, maxHttpBufferSize: 100 },
  "/eio3-initial/": { allowEIO3: true, initialPacket: "hello" },
  "/told/": {},
  "/eio3-told/": { allowEIO3: true },
};

const query = (request) => new URL(request.url, "http://localhost").searchParams;

const write = (line) => console.log(JSON.stringify(line));

function handle(socket, data) {
  const [, command, n, close] = /^(send|big|plain|binary) (\d+)( and close)?$/.exec(data) ?? [];
  if (data === "close") socket.close();
  else if (command === "send") {
    for (let i = 0; i < n; i++) socket.send(String(i));
    if (close) socket.close();
  } else if (command === "big") socket.send("x".repeat(n));
  else if (command === "plain") socket.send("x".repeat(n), { compress: false });
  else if (command === "binary") socket.send(Buffer.from(Array.from({ length: n }, (_, i) => i)));
  else socket.send(data);
}

const TYPES = ["open", "close", "ping", "pong", "message", "upgrade", "noop"];

const shown = (data) => (typeof data === "string" ? data : `binary:${data.toString("hex")}`);

function tell(socket, session) {
  const told = (name, packet) => {
    const text = packet && TYPES.indexOf(packet.type) + shown(packet.data ?? "");
    write({ event: "told", ...session, name, packet: text ?? null });
  };
  // npm takes a parser's error for a packet.
  socket.on("packet", (packet) => packet.type !== "error" && told("packet", packet));
  socket.on("packetCreate", (packet) => told("packetCreate", packet));
  socket.on("flush", (packets) => packets.forEach((packet) => told("flush", packet)));
  for (const name of ["heartbeat", "upgrading", "close"]) socket.on(name, () => told(name));
}

function engine(path, options) {
  const server = new Server(options);
  server.on("connection", (socket) => {
    const tag = query(socket.request).get("tag");
    const session = { path, tag, sid: socket.id };
    write({ event: "connection", ...session, transport: socket.transport.name });
    if (path.endsWith("told/")) tell(socket, session);
    socket.on("message", (data = "") => { // npm has no data at all where the text is empty
      handle(socket, data);
      write({ event: "message", ...session, data: shown(data) });
    });
    socket.on("upgrade", () => write({ event: "upgrade", ...session }));
    socket.on("close", (reason) => write({ event: "close", ...session, reason }));
  });
  server.on("connection_error", ({ req, code, message, context }) => {
    write({ event: "connection_error", path, tag: query(req).get("tag"), code, message, name: context?.name ?? null });
  });
  return server;
}

const engines = Object.entries(OPTIONS).map(([path, options]) => [path, engine(path, options)]);
const of = Object.fromEntries(engines);
of["/headers/"].on("initial_headers", (headers, request) => (headers["x-initial"] = request.method));
of["/headers/"].on("headers", (headers, request) => (headers["x-each"] = request.method));
const standardId = of["/ids/"].generateId;
of["/ids/"].generateId = async (request) => {
  await setImmediate();
  const id = query(request).get("id");
  if (id === "fail") throw new Error("no id today");
  return id ?? standardId(request);
};
of["/middleware/"].use(async (request, response, next) => {
  await setImmediate();
  const wish = query(request).get("middleware");
  if (wish === "fail") return next(new Error("as it was asked to"));
  if (wish !== "answer") return next();
  response.writeHead(418, { "Content-Type": "text/plain", "Content-Length": 6 });
  response.end("teapot");
});

const server = createServer();
const find = (request) => engines.find(([path]) => request.url.startsWith(path))?.[1];
server.on("request", (request, response) => {
  const engine = find(request);
  if (engine) engine.handleRequest(request, response);
  else response.writeHead(404).end();
});
server.on("upgrade", (request, socket, head) => {
  const engine = find(request);
  if (engine) engine.handleUpgrade(request, socket, head);
  else socket.end("HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
});
server.listen(Number(argument("--port", "0")), "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
process.on("SIGINT", () => process.exit(0));
