// Our client of plain WebSockets (described at the top of interop/server/src/client/main.rs).

import { createInterface } from "node:readline";
import { within } from "../engine/transcript.mjs";
import { run } from "../lib/process.mjs";

/** The path of the program. */
export function clientProgram() {
  const program = process.env.SOCKEYE_WEBSOCKET_CLIENT;
  if (!program) throw new Error("SOCKEYE_WEBSOCKET_CLIENT is not set: it must hold the path of the binary sockeye-websocket-client");
  return program;
}

/** Starts it: `line()` resolves with the next line that it writes, or with undefined behind the last one. */
export function startClient(...args) {
  const { child, errors, stop } = run(clientProgram(), args);
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const line = async () => {
    const { value } = await within(lines.next(), "a line of our client");
    if (value === undefined && errors() !== "") throw new Error(errors());
    return value && JSON.parse(value);
  };
  return { line, stop };
}
