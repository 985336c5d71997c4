// The official engine.io-client 3.5, which speaks revision 3 of Engine.IO, against the raw servers.

import assert from "node:assert/strict";
import { test } from "node:test";
import connect from "eio3-client";
import { next, serversOfThisFile, testHeartbeats, testMessages, testServerCloses } from "../lib/engine-client.mjs";

const CLIENT = "engine.io-client 3.5";
const servers = serversOfThisFile();

for (const name of servers.names) {
  const open = (path, options) => connect(servers.url(name), { path, ...options });

  testMessages(CLIENT, name, (options) => open("/eio3/", options));
  testHeartbeats(CLIENT, name, (options) => open("/eio3-fast/", options), "pong");
  testServerCloses(CLIENT, name, (options) => open("/eio3/", options));

  test(`${CLIENT}: a client that does not ping is given up, server ${name}`, { timeout: 60_000 }, async () => {
    const socket = open("/eio3-fast/", { transports: ["websocket"] });
    await next(socket, "open");
    clearTimeout(socket.pingIntervalTimer);
    socket.ping = () => {};
    assert.equal(await next(socket, "close"), "transport close");
  });

  test(`${CLIENT}: a server that does not allow it, server ${name}`, { timeout: 60_000 }, async () => {
    const socket = open("/plain/", { transports: ["polling"] });
    const error = await next(socket, "error");
    assert.deepEqual([error.message, error.description], ["xhr poll error", 400]);
  });
}
