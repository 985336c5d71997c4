// A server that says exactly what a test tells it to over HTTP, and over the WebSockets that the test lets in.

import { createServer } from "node:http";
import { WebSocketServer } from "ws";
import { queue } from "./scripted.mjs";

/** A handshake packet; `fields` take the place of the usual ones. */
export const handshake = (fields) => `0${JSON.stringify({
  sid: "S".repeat(20), upgrades: ["websocket"], pingInterval: 25000, pingTimeout: 20000, maxPayload: 1e6, ...fields,
})}`;

/**
 * `{ url, get(), post(), upgrade(), requests, close() }`. `get()` and `post()` resolve with the next such request:
 * `{ url, headers, packets, answer(body, status), ended }`, where `packets` are those of the body and `ended` becomes
 * true when the client gives up. `upgrade()` resolves with the next request for a WebSocket: `{ url, accept(), refuse() }`,
 * and `accept()` with its connection `{ receive(), send(..messages), close(), closed }`. `requests` has a line for
 * each of them all, in the order of their arrival.
 */
export async function scriptedPolling() {
  const arrived = { GET: queue(), POST: queue(), upgrade: queue() };
  const requests = [];
  const sockets = new Set();
  const http = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks).toString();
    requests.push(`${request.method} ${body}`.trim());
    const arrival = {
      url: new URL(request.url, "http://server"),
      headers: request.headers,
      body,
      packets: body.split("\x1e"),
      ended: false,
      answer: (text = "ok", status = 200) => response.writeHead(status, { "content-type": "text/plain" }).end(text),
      destroy: () => response.destroy(),
    };
    response.on("close", () => (arrival.ended = true));
    arrived[request.method].put(arrival);
  });
  const websocket = new WebSocketServer({ noServer: true });
  http.on("upgrade", (request, socket, head) => {
    requests.push("upgrade");
    sockets.add(socket);
    socket.on("error", () => {});
    arrived.upgrade.put({
      url: new URL(request.url, "http://server"),
      refuse: () => socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
      accept: () => new Promise((resolve) => websocket.handleUpgrade(request, socket, head, (connection) => {
        const messages = queue();
        const closed = new Promise((resolve) => connection.on("close", resolve));
        connection.on("message", (data, isBinary) => messages.put(isBinary ? data : data.toString()));
        connection.on("error", () => {});
        resolve({
          receive: messages.take,
          send: (...list) => list.forEach((message) => connection.send(message)),
          close: () => connection.close(),
          closed,
        });
      })),
    });
  });
  await new Promise((resolve) => http.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${http.address().port}`,
    get: arrived.GET.take,
    post: arrived.POST.take,
    upgrade: arrived.upgrade.take,
    requests,
    close() {
      for (const socket of sockets) socket.destroy();
      http.close();
      http.closeAllConnections();
    },
  };
}
