// The twin of interop/server/src/recovery/main.rs on npm socket.io.

import { createServer } from "node:http";
import { Server } from "socket.io";
import msgpack from "socket.io-msgpack-parser";
import { argument, serveUntilStdinCloses } from "../lib/serve.mjs";

const server = createServer();
const io = new Server(server, {
  connectionStateRecovery: { maxDisconnectionDuration: 120_000 },
  ...(process.argv.includes("--msgpack") && { parser: msgpack }),
});

io.use((socket, next) => next(socket.handshake.auth.refuse ? new Error("refused") : undefined));

const connected = (socket) => {
  socket.on("join", (room, done) => (socket.join(room), done()));
  socket.on("leave", (room, done) => (socket.leave(room), done()));
  socket.on("keep", (data, done) => ((socket.data.kept = data), done()));
  socket.on("state", (done) =>
    done({ id: socket.id, recovered: socket.recovered, rooms: [...socket.rooms].sort(), kept: socket.data.kept ?? null }),
  );
};
io.on("connection", connected);
io.of(/^\/room-\d+$/).on("connection", connected);

io.of("/driver").on("connection", (socket) => {
  socket.on("emit", ({ in: path = "/", to = [], except = [], volatile = false }, args, done) => {
    let target = io.of(path).to(to).except(except);
    if (volatile) target = target.volatile;
    target.emit(...args);
    done();
  });
  socket.on("is there", (path, id, done) => done(io.of(path).sockets.has(id)));
  socket.on("ask", (id, args, done) => {
    io.sockets.sockets.get(id).emit(...args, () => {});
    done();
  });
});

serveUntilStdinCloses(server, io, Number(argument("--port", "0")));
