// Our server of plain WebSockets (described at the top of interop/server/src/websocket/main.rs) with its journal, and what
// it is expected to agree to.

import assert from "node:assert/strict";
import { within } from "../engine/transcript.mjs";
import { startWebSocketServer } from "../lib/process.mjs";

/** Whether the server speaks permessage-deflate: every test in this directory goes by it. */
export const COMPRESSION = true;

/** Checks the extensions that the server has agreed to, offered by a client that can compress. */
export function assertAgreed(extensions, withCompression = /^permessage-deflate\b/) {
  assert.match(extensions, COMPRESSION ? withCompression : /^$/);
}

/** Nothing to test where there is no Rust. */
export const skip = process.env.INTEROP_ONLY === "node";

/** Starts it: `{ url, ended(path), stop() }`; `ended` resolves with the next line of the journal about this path. */
export async function startTwin(...args) {
  const lines = [];
  const waiting = [];
  const server = await startWebSocketServer(args, (text) => {
    const line = JSON.parse(text);
    const at = waiting.findIndex(({ path }) => path === line.path);
    if (at < 0) lines.push(line);
    else waiting.splice(at, 1)[0].resolve(line);
  });
  const ended = (path) => {
    const at = lines.findIndex((line) => line.path === path);
    if (at >= 0) return lines.splice(at, 1)[0];
    return within(new Promise((resolve) => waiting.push({ path, resolve })), `the end of a connection to ${path}`);
  };
  return { url: server.url.replace("http:", "ws:"), ended, stop: server.stop };
}
