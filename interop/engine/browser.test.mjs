// What a real browser makes of the CORS headers: a page of another origin may talk to a server that allows it, reads its
// refusals too, and may not talk to one that does not.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { launch } from "../lib/browser.mjs";
import { engineServers } from "../lib/process.mjs";

let browser, pages, origin;
const servers = {};

before(async () => {
  pages = createServer((_request, response) => response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html><title>page</title>"));
  await new Promise((resolve) => pages.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${pages.address().port}`;
  for (const [name, start] of Object.entries(engineServers)) servers[name] = await start(0);
  browser = await launch();
});

after(async () => {
  await browser?.close();
  pages?.close();
  for (const server of Object.values(servers)) await server.stop();
});

/** Runs in the page: a handshake, a message each way, a preflight, and a refusal; one word or status for each. */
async function talk([url, credentials]) {
  const lines = [];
  const call = async (label, query, options) => {
    try {
      const response = await fetch(`${url}?EIO=4&transport=polling${query}`, { credentials, ...options });
      const text = await response.text();
      lines.push(`${label}: ${response.status} ${text.startsWith("0{") ? "open" : text}`);
      return text;
    } catch {
      lines.push(`${label}: blocked`);
      return "";
    }
  };
  const sid = /"sid":"([^"]+)"/.exec(await call("handshake", ""))?.[1];
  if (sid) {
    await call("POST", `&sid=${sid}`, { method: "POST", body: "4hello" });
    await call("poll", `&sid=${sid}`);
    await call("preflight", `&sid=${sid}`, { method: "POST", body: "4again", headers: { "x-foo": "1" } });
    await call("poll", `&sid=${sid}`);
  }
  await call("refused", "&sid=none");
  return lines;
}

const ALLOWED = [
  "handshake: 200 open", "POST: 200 ok", "poll: 200 4hello", "preflight: 200 ok", "poll: 200 4again",
  "refused: 400 {\"code\":1,\"message\":\"Session ID unknown\"}",
];
const BLOCKED = ["handshake: blocked", "refused: blocked"];

for (const server of Object.keys(engineServers)) {
  test(`a page of another origin, server ${server}`, async () => {
    const page = await browser.newPage();
    page.setDefaultTimeout(30_000);
    await page.goto(origin);
    const run = (path, credentials) => page.evaluate(talk, [servers[server].url + path, credentials]);
    assert.deepEqual(await run("/cors-any/", "omit"), ALLOWED);
    assert.deepEqual(await run("/cors-any/", "include"), BLOCKED, "any origin, with credentials");
    assert.deepEqual(await run("/cors-reflect/", "omit"), ALLOWED);
    assert.deepEqual(await run("/cors-list/", "include"), BLOCKED, "not on the list");
    assert.deepEqual(await run("/plain/", "omit"), BLOCKED, "no CORS");
    await page.close();
  });
}
