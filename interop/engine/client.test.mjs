// The official engine.io-client 6.6 against the raw servers.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Socket } from "engine.io-client";
import { echoed, messages, next, serversOfThisFile, testHeartbeats, testMessages, testServerCloses } from "../lib/engine-client.mjs";

const CLIENT = "engine.io-client";
const servers = serversOfThisFile();

for (const name of servers.names) {
  const open = (path, options) => new Socket(servers.url(name), { path, ...options });

  testMessages(CLIENT, name, (options) => open("/plain/", options));
  testHeartbeats(CLIENT, name, (options) => open("/fast/", options), "ping");
  testServerCloses(CLIENT, name, (options) => open("/plain/", options));

  test(`engine.io-client: compressed websockets, server ${name}`, { timeout: 60_000 }, async () => {
    const socket = open("/deflated/", { transports: ["websocket"], perMessageDeflate: { threshold: 0 } });
    try {
      await next(socket, "open");
      assert.match(socket.transport.ws.extensions, /^permessage-deflate/);
      const text = "compressible ".repeat(1000);
      const back = messages(socket, 2);
      socket.send(text);
      socket.send(text, { compress: false });
      assert.deepEqual(await back, [text, text]);
    } finally {
      socket.close();
    }
  });

  test(`engine.io-client: a first packet of the server's, server ${name}`, { timeout: 60_000 }, async () => {
    for (const transports of [["polling"], ["websocket"]]) {
      const socket = open("/initial/", { transports });
      const first = messages(socket, 1);
      assert.deepEqual(await first, ["hello"]);
      socket.close();
    }
  });

  test(`engine.io-client: cookies are kept by who asks for it, server ${name}`, { timeout: 60_000 }, async () => {
    const socket = open("/cookie/", { transports: ["polling"], withCredentials: true });
    try {
      await next(socket, "open");
      await echoed(socket, "with a cookie");
      assert.equal(socket._cookieJar._cookies.get("io").value, socket.id);
    } finally {
      socket.close();
    }
  });

  test(`engine.io-client: another transport where the first is refused, server ${name}`, { timeout: 60_000 }, async () => {
    const socket = open("/websocket-only/", { tryAllTransports: true });
    try {
      await next(socket, "open");
      assert.equal(socket.transport.name, "websocket");
    } finally {
      socket.close();
    }
  });

  test(`engine.io-client: refused, server ${name}`, { timeout: 60_000 }, async () => {
    const polling = open("/refusing/", { transports: ["polling"], query: { refuse: "plainly" } });
    const error = await next(polling, "error");
    assert.deepEqual([error.type, error.message, error.description], ["TransportError", "xhr poll error", 403]);
    const websocket = open("/refusing/", { transports: ["websocket"], query: { refuse: "plainly" } });
    assert.equal((await next(websocket, "error")).message, "websocket error");
  });

  test(`engine.io-client: a message that is too long, server ${name}`, { timeout: 60_000 }, async () => {
    const socket = open("/small/", { transports: ["websocket"] });
    await next(socket, "open");
    const closed = next(socket, "close");
    socket.send("x".repeat(200));
    assert.equal(await closed, "transport close");
  });
}
