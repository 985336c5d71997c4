// A server that says exactly what a test tells it to: WebSocket text and binary messages, no Socket.IO behind them.

import { createServer } from "node:http";
import { WebSocketServer } from "ws";

export const OPEN = `0${JSON.stringify({ sid: "S".repeat(20), upgrades: [], pingInterval: 25000, pingTimeout: 20000, maxPayload: 1e6 })}`;
export const CONNECTED = `40{"sid":"${"P".repeat(20)}"}`;

/**
 * `{ url, connection(), close() }`. Each `connection()` resolves with the next client:
 * `{ url, send(..messages), receive(), received, close() }`, where `receive()` resolves with the next message.
 */
export async function scriptedServer() {
  const http = createServer();
  const websocket = new WebSocketServer({ server: http });
  const arrivals = queue();
  websocket.on("connection", (socket, request) => {
    const messages = queue();
    const received = [];
    socket.on("message", (data, isBinary) => {
      const message = isBinary ? data : data.toString();
      received.push(message);
      messages.put(message);
    });
    socket.on("error", () => {});
    arrivals.put({
      url: request.url,
      received,
      receive: messages.take,
      send: (...list) => list.forEach((message) => socket.send(message)),
      close: (code, words) => socket.close(code, words),
      terminate: () => socket.terminate(),
    });
  });
  await new Promise((resolve) => http.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${http.address().port}`,
    connection: arrivals.take,
    close() {
      for (const client of websocket.clients) client.terminate();
      websocket.close();
      http.close();
    },
  };
}

/** What is put in is taken out in order; `take` waits for what is not there yet. */
export function queue() {
  const items = [];
  const takers = [];
  return {
    put: (item) => (takers.length > 0 ? takers.shift()(item) : items.push(item)),
    take: () => new Promise((resolve) => (items.length > 0 ? resolve(items.shift()) : takers.push(resolve))),
  };
}
