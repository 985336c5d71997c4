// A reverse proxy that understands HTTP and treats the upgrade to WebSocket as some do in practice.

import { createServer, request as send } from "node:http";

/**
 * `{ url, close() }`. `upgrade` is what becomes of the header `Upgrade`: "stripped", so that the server sees an ordinary
 * request; or "swallowed", so that the client never hears of it again.
 */
export async function proxy(target, { upgrade }) {
  const held = new Set();
  const server = createServer((request, response) => {
    const headers = { ...request.headers };
    for (const name of ["connection", "upgrade"]) delete headers[name];
    const onward = send(new URL(request.url, target), { method: request.method, headers, agent: false }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    onward.on("error", () => response.destroy());
    response.on("close", () => onward.destroy());
    request.pipe(onward);
  });
  if (upgrade === "swallowed") {
    server.on("upgrade", (_request, socket) => {
      held.add(socket);
      socket.on("error", () => {});
    });
  } // without a listener, Node treats it as an ordinary request
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    close() {
      for (const socket of held) socket.destroy();
      server.close();
      server.closeAllConnections();
    },
  };
}
