// One scenario, every pair of a client and a server, over every way the client can go: the transcripts are equal to that
// of the same official client over the same way against the npm server, except exactly for what ../differences.json lists.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { io as io31 } from "sio3";
import { io as io48 } from "socket.io-client";
import { launch, openPage } from "../lib/browser.mjs";
import { moduleSource } from "../lib/client.mjs";
import { adoptingServers, deflatingServers, scenarioServers } from "../lib/process.mjs";
import { assertSame } from "../lib/same.mjs";
import { extensions, run, WAYS } from "./scenario.mjs";

const read = (path) => readFileSync(new URL(path, import.meta.url), "utf8");
// Those with a parser are of features.test.mjs.
const differences = JSON.parse(read("../differences.json")).filter(({ parser }) => parser === undefined);

/** Version → the official client in Node.js. */
const officials = { 4.8: io48, 3.1: io31 };

/** The ways that Sockeye's client can go. */
const SOCKEYE_WAYS = ["websocket"];

let browser, files, origin;
const servers = {};
/** Those that compress. */
const deflating = {};
/** Those that adopt a raw engine's clients. */
const adopting = {};
/** "version way" → the official client's transcript against the npm server. */
const oracles = {};

before(async () => {
  const served = {
    "/scenario.mjs": read("scenario.mjs"),
    "/sockeye.mjs": moduleSource,
    "/official.mjs": read("../node_modules/socket.io-client/dist/socket.io.esm.min.js"),
  };
  files = createServer((request, response) => {
    const body = served[request.url];
    const headers = { "content-type": "text/javascript; charset=utf-8", "access-control-allow-origin": "*" };
    response.writeHead(body ? 200 : 404, headers).end(body);
  });
  await new Promise((resolve) => files.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${files.address().port}`;
  for (const [name, start] of Object.entries(scenarioServers)) servers[name] = await start(0);
  for (const [name, start] of Object.entries(deflatingServers)) deflating[name] = await start(0);
  for (const [name, start] of Object.entries(adoptingServers)) adopting[name] = await start(0);
  for (const version of Object.keys(officials)) {
    for (const way of Object.keys(WAYS)) oracles[`${version} ${way}`] = await inNode(version, way, servers.npm.url);
  }
  browser = await launch();
});

after(async () => {
  await browser?.close();
  files?.close();
  for (const started of [servers, deflating, adopting]) for (const server of Object.values(started)) await server.stop();
});

async function inNode(version, way, url) {
  const lines = [];
  await run({ io: officials[version], url, log: (line) => lines.push(line), transports: WAYS[way] });
  return lines;
}

/** What `work`, a function of scenario.mjs, comes to in the browser with the client of this module. */
async function inBrowser(module, way, url, work = "run") {
  const context = await browser.newContext();
  try {
    // A file of the server under test, shown as text: what runs there is of the server's origin, and polls without CORS.
    const page = await openPage(context, `${url}/socket.io/socket.io.js`);
    const result = await page.evaluate(async ([origin, module, transports, url, work]) => {
      const { io } = await import(origin + module);
      const scenario = await import(`${origin}/scenario.mjs`);
      const lines = [];
      return (await scenario[work]({ io, url, log: (line) => lines.push(line), transports })) ?? lines;
    }, [origin, module, WAYS[way], url, work]);
    assert.deepEqual(page.problems, []);
    return result;
  } finally {
    await context.close();
  }
}

/**
 * The transcript of the official client 4.8 (or `version`) with the listed differences of this client, way and server; an
 * entry that does not fit is an error.
 */
function expected(client, way, server, version = "4.8") {
  const lines = [...oracles[`${version} ${way}`]];
  for (const entry of differences) {
    const fits = (value, wanted) => value === "any" || [value].flat().includes(wanted);
    if (!fits(entry.client, client) || !fits(entry.way, way) || !fits(entry.server, server)) continue;
    const part = lines.indexOf(`== ${entry.part}`);
    const end = lines.findIndex((line, index) => index > part && line.startsWith("== "));
    const at = lines.indexOf(entry.line, part);
    const inPart = part >= 0 && at >= 0 && (end < 0 || at < end);
    assert.ok(inPart, `differences.json: "${entry.part}" of the oracle has no line ${JSON.stringify(entry.line)}`);
    lines.splice(at, 1, ...entry.becomes);
  }
  return lines;
}

test("the oracles' own transcripts are whole", () => {
  for (const [name, lines] of Object.entries(oracles)) {
    assert.deepEqual(lines.filter((line) => line.startsWith("!!")), [], name);
    assert.equal(lines.filter((line) => line.startsWith("== ")).length, 16, name);
  }
});

test("differences.json: every entry has its reason and belongs to Sockeye", () => {
  for (const { part, client, way, server, line, becomes, reason } of differences) {
    assert.ok(part && way && line && Array.isArray(becomes) && reason?.length > 20, `incomplete entry for "${part}"`);
    assert.ok(client === "sockeye" || server === "sockeye", `"${part}": the official pair cannot differ from itself`);
    assert.notDeepEqual(becomes, [line]);
  }
});

for (const server of Object.keys(scenarioServers)) {
  for (const version of server === "npm" ? [] : Object.keys(officials)) {
    for (const way of Object.keys(WAYS)) {
      test(`the official client ${version} in Node.js, ${way}, server ${server}`, async () => {
        assertSame(await inNode(version, way, servers[server].url), expected("official", way, server, version));
      });
    }
  }
  for (const way of Object.keys(WAYS)) {
    test(`the official client in Chromium, ${way}, server ${server}`, async () => {
      assertSame(await inBrowser("/official.mjs", way, servers[server].url), expected("official", way, server));
    });
  }
  for (const way of SOCKEYE_WAYS) {
    test(`Sockeye's client in Chromium, ${way}, server ${server}`, async () => {
      assertSame(await inBrowser("/sockeye.mjs", way, servers[server].url), expected("sockeye", way, server));
    });
  }
}

// A raw engine's clients are as the server's own.

for (const server of Object.keys(adoptingServers)) {
  for (const way of Object.keys(WAYS)) {
    test(`adopted, the official client in Node.js, ${way}, server ${server}`, async () => {
      assertSame(await inNode("4.8", way, adopting[server].url), expected("official", way, server));
    });
  }
}

// What is compressed is the same to its users: the transcripts are those of a server that compresses nothing.

for (const server of Object.keys(deflatingServers)) {
  for (const way of ["websocket", "upgrade"]) {
    test(`compressed, the official client in Node.js, ${way}, server ${server}`, async () => {
      const { url } = deflating[server];
      assert.match(await extensions({ io: io48, url, transports: WAYS[way] }), /^permessage-deflate/);
      assertSame(await inNode("4.8", way, url), expected("official", way, server));
    });
    test(`compressed, the official client in Chromium, ${way}, server ${server}`, async () => {
      const { url } = deflating[server];
      assert.match(await inBrowser("/official.mjs", way, url, "extensions"), /^permessage-deflate/);
      assertSame(await inBrowser("/official.mjs", way, url), expected("official", way, server));
    });
  }
}

test("without compression on the server, the client's offer is not answered", async () => {
  for (const { url } of Object.values(servers)) {
    assert.doesNotMatch(String(await extensions({ io: io48, url, transports: ["websocket"] })), /deflate/);
  }
});
