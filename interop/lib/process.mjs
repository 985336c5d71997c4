// Servers as child processes: started, found by the line they print, and ended whatever happens.

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

const alive = new Set();
process.on("exit", () => {
  for (const child of alive) child.kill("SIGKILL");
});
// A signal's default would end this process without its "exit" event.
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1));

/** Starts a program that ends with this one: `{ child, ended, errors(), stop(signal) }`; `ended` and `stop` resolve with its exit code. */
export function run(command, args) {
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"] });
  alive.add(child);
  const ended = new Promise((resolve) => {
    child.once("error", resolve);
    child.once("exit", (code) => {
      alive.delete(child);
      resolve(code);
    });
  });
  let errors = "";
  child.stderr.on("data", (chunk) => (errors += chunk));
  const stop = (signal = "SIGKILL") => {
    child.kill(signal);
    return ended;
  };
  return { child, ended, errors: () => errors, stop };
}

/**
 * Starts a server and waits for the line that holds `http://127.0.0.1:PORT`; `onLine` gets every later one.
 * Returns `{ url, port, stop(signal), closeInput() }`; `stop` waits for its end and returns its exit code.
 */
export async function start(command, args, onLine = () => {}) {
  const { child, ended, errors, stop } = run(command, args);
  const url = await new Promise((resolve, reject) => {
    let listening = false;
    createInterface(child.stdout).on("line", (line) => {
      if (listening) return onLine(line);
      const match = /http:\/\/127\.0\.0\.1:\d+/.exec(line);
      if (match) resolve(match[0]);
      listening = match !== null;
    });
    ended.then((end) => reject(new Error(`${command} ended (${end}) before it listened\n${errors()}`)));
  });
  return { url, port: Number(new URL(url).port), stop, closeInput: () => child.stdin.end() };
}

const NODE_ONLY = process.env.INTEROP_ONLY === "node";

function binary(variable, what) {
  const path = process.env[variable];
  if (!path) throw new Error(`${variable} is not set: it must hold the path of ${what} (INTEROP_ONLY=node tests without it)`);
  return path;
}

const node = (script, ...flags) => (port, onLine) =>
  start(process.execPath, [new URL(`../${script}`, import.meta.url).pathname, "--port", String(port), ...flags], onLine);

const startScenario = (...flags) => (port) =>
  start(binary("SOCKEYE_INTEROP_SERVER", "the binary sockeye-interop-server"), ["--port", String(port), ...flags]);

/** Name → a function that starts that server on a port (0: a free one). What is tested against what is here. */
export const scenarioServers = {
  npm: node("scenario/node-server.mjs"),
  ...(!NODE_ONLY && { sockeye: startScenario() }),
};

/** The same, compressing every message over websockets for clients that offer it. */
export const deflatingServers = {
  npm: node("scenario/node-server.mjs", "--deflate"),
  ...(!NODE_ONLY && { sockeye: startScenario("--deflate") }),
};

/** The same, whose clients are those of a raw engine. */
export const adoptingServers = NODE_ONLY ? {} : { sockeye: startScenario("--adopt") };

/** The same with a replacer and a reviver, see parsers/digits.test.mjs. */
export const digitServers = NODE_ONLY ? {} : { sockeye: startScenario("--digits") };

/** The same for the parts of features.mjs; npm's server speaks one parser, so there are two of it. */
const FEATURES = ["--connect-timeout", "2000"];
export const featureServers = {
  npm: node("scenario/node-server.mjs", ...FEATURES),
  msgpack: node("scenario/node-server.mjs", "--msgpack", ...FEATURES),
  ...(!NODE_ONLY && { sockeye: startScenario(...FEATURES) }),
};

/** These take a function for the lines of their journal as well. */
export const engineServers = {
  npm: node("engine/node-server.mjs"),
  ...(!NODE_ONLY && {
    sockeye: (port, onLine) =>
      start(binary("SOCKEYE_ENGINE_SERVER", "the binary sockeye-engine-server"), ["--port", String(port)], onLine),
  }),
};

/** Starts our server of plain WebSockets; there is no other to compare it with. */
export const startWebSocketServer = (args, onLine) =>
  start(binary("SOCKEYE_WEBSOCKET_SERVER", "the binary sockeye-websocket-server"), args, onLine);

/** Starts a server of ours that speaks HTTP/2, described at the top of interop/server/src/http2/main.rs. */
export const startHttp2Server = (args, onLine) => start(binary("SOCKEYE_HTTP2", "the binary sockeye-http2"), args, onLine);

/** Runs its client. */
export const runHttp2Client = (args) => run(binary("SOCKEYE_HTTP2", "the binary sockeye-http2"), args);
/** Starts `sockeye serve` on a free port. */
export const serve = (flags) => start(binary("SOCKEYE_BIN", "the binary sockeye"), ["serve", "--port", "0", ...flags]);

/** Their clients can be recovered; ours takes further arguments, and a function for what it prints. npm's speaks one parser. */
export const recoveryServers = {
  npm: node("recovery/node-server.mjs"),
  msgpack: node("recovery/node-server.mjs", "--msgpack"),
  ...(!NODE_ONLY && {
    sockeye: (port, onLine, args = []) =>
      start(binary("SOCKEYE_RECOVERY_SERVER", "the binary sockeye-recovery-server"), ["--port", String(port), ...args], onLine),
  }),
};

export const chatServers = {
  npm: node("chat/reference-server.mjs"),
  ...(!NODE_ONLY && {
    sockeye: (port) => start(binary("SOCKEYE_BIN", "the binary sockeye"), ["serve", "--port", String(port)]),
  }),
};

/** Starts the server of the example `shared-room`, if Rust's are under test. */
export const sharedRoom = NODE_ONLY ? undefined : () => start(binary("SOCKEYE_SHARED_ROOM", "the example shared-room"), ["0"]);
