// Sockeye's browser client: its source as the servers serve it, and loaded into Node.js.

import { readFileSync } from "node:fs";
import { WebSocket } from "ws";

const read = (name) => readFileSync(new URL(`../../crates/server/client/${name}`, import.meta.url), "utf8");

/** What /socket.io/socket.io.js and /socket.io/socket.io.esm.js hold. */
export const classicSource = read("socket.io.js");
export const moduleSource = classicSource + read("esm-tail.js");

/** A fresh `io` of the classic file, with its own cache of managers; `globals` take the place of a browser's. */
export function loadClient(globals = {}) {
  const scope = { WebSocket, ...globals };
  return new Function(...Object.keys(scope), `${classicSource}\nreturn io;`)(...Object.values(scope));
}
