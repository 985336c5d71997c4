// What the fixtures on npm socket.io have in common.

/** The value after `name` on the command line. */
export function argument(name, fallback) {
  const at = process.argv.indexOf(name);
  return at < 0 ? fallback : process.argv[at + 1];
}

/**
 * Lets `handle(request, response)` see each request first; the listeners of `server` (npm socket.io's own among
 * them, which claims everything under its path) get what it does not answer with true.
 */
export function intercept(server, handle) {
  const listeners = server.listeners("request").slice();
  server.removeAllListeners("request");
  server.on("request", async (request, response) => {
    if (await handle(request, response)) return;
    for (const listener of listeners) listener.call(server, request, response);
  });
}

/** Listens, says where, and ends cleanly at Ctrl-C or with the process that started it. */
export function serveUntilStdinCloses(server, io, port) {
  server.listen(port, "127.0.0.1", () => {
    console.log(`listening on http://127.0.0.1:${server.address().port}`);
  });
  const end = () => io.close(() => process.exit(0));
  process.stdin.resume();
  process.stdin.on("end", end);
  process.on("SIGINT", end);
}
