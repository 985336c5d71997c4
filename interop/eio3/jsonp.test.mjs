// Polling by scripts (JSONP): the official client 2.5 in Chromium, on a page of another origin than the server's, where
// CORS allows nothing.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { launch } from "../lib/browser.mjs";
import { scenarioServers } from "../lib/process.mjs";

const bundle = readFileSync(new URL("../node_modules/sio2/dist/socket.io.js", import.meta.url));
let browser, files;

before(async () => {
  files = createServer((request, response) => {
    const script = request.url === "/socket.io.js";
    response.writeHead(200, { "content-type": script ? "text/javascript" : "text/html" });
    response.end(script ? bundle : '<!doctype html><title>JSONP</title><script src="/socket.io.js"></script>');
  });
  await new Promise((resolve) => files.listen(0, "127.0.0.1", resolve));
  browser = await launch();
});

after(async () => {
  await browser?.close();
  files?.close();
});

for (const [name, start] of Object.entries(scenarioServers)) {
  test(`a conversation by scripts, server ${name}`, { timeout: 60_000 }, async () => {
    const server = await start(0);
    const page = await browser.newPage();
    try {
      const scripts = [];
      page.on("request", (request) => scripts.push(`${request.resourceType()} ${request.method()}`));
      await page.goto(`http://localhost:${files.address().port}/`);
      const result = await page.evaluate((url) => new Promise((resolve, reject) => {
        const socket = io(url, { forceJSONP: true, transports: ["polling"], query: { flavour: "script" } });
        const seen = [];
        socket.on("error", reject);
        socket.on("connect_error", reject);
        socket.on("welcome", ({ flavour }) => seen.push(flavour));
        socket.on("echo", (...args) => {
          seen.push(...args);
          socket.emit("echo", new Uint8Array([1, 2, 255]), (bytes) => {
            seen.push(Object.values(bytes));
            socket.emit("count", 100, (n) => {
              socket.close();
              resolve([...seen, n]);
            });
          });
        });
        socket.emit("echo", "line\nbreak \\n \\\\n \" ' </script> \u2028 € 😀");
      }), server.url);
      assert.deepEqual(result, ["script", "line\nbreak \\n \\\\n \" ' </script> \u2028 € 😀", [1, 2, 255], 100]);
      const polls = scripts.filter((line) => line === "script GET").length;
      assert.ok(polls > 2 && scripts.includes("document POST") && !scripts.some((line) => line.startsWith("xhr")), scripts.join(", "));
    } finally {
      await page.close();
      await server.stop();
    }
  });
}
