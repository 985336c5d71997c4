// One scenario, every pair of a client and a server: the transcripts are equal to that of the official pair, except
// exactly for what ../differences.json lists.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { io } from "socket.io-client";
import { launch, openPage } from "../lib/browser.mjs";
import { moduleSource } from "../lib/client.mjs";
import { scenarioServers } from "../lib/process.mjs";
import { run } from "./scenario.mjs";

const read = (path) => readFileSync(new URL(path, import.meta.url), "utf8");
const differences = JSON.parse(read("../differences.json"));

let browser, files, origin, oracle;
const servers = {};

before(async () => {
  const served = {
    "/": ["text/html", "<!doctype html><title>scenario</title>"],
    "/scenario.mjs": ["text/javascript", read("scenario.mjs")],
    "/sockeye.mjs": ["text/javascript", moduleSource],
    "/official.mjs": ["text/javascript", read("../node_modules/socket.io-client/dist/socket.io.esm.min.js")],
  };
  files = createServer((request, response) => {
    const [type, body] = served[request.url] ?? [];
    response.writeHead(type ? 200 : 404, { "content-type": `${type}; charset=utf-8` }).end(body);
  });
  await new Promise((resolve) => files.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${files.address().port}`;
  for (const [name, start] of Object.entries(scenarioServers)) servers[name] = await start(0);
  oracle = await inNode(servers.npm.url);
  browser = await launch();
});

after(async () => {
  await browser?.close();
  files?.close();
  for (const server of Object.values(servers)) await server.stop();
});

async function inNode(url) {
  const lines = [];
  await run({ io, url, log: (line) => lines.push(line) });
  return lines;
}

async function inBrowser(module, url) {
  const context = await browser.newContext();
  try {
    const page = await openPage(context, origin);
    const lines = await page.evaluate(async ([module, url]) => {
      const { io } = await import(module);
      const { run } = await import("/scenario.mjs");
      const lines = [];
      await run({ io, url, log: (line) => lines.push(line) });
      return lines;
    }, [module, url]);
    assert.deepEqual(page.problems, []);
    return lines;
  } finally {
    await context.close();
  }
}

/** The oracle's transcript with the listed differences of this pair; an entry that does not fit is an error. */
function expected(client, server) {
  const lines = [...oracle];
  for (const entry of differences) {
    const applies = ["any", client].includes(entry.client) && ["any", server].includes(entry.server);
    if (!applies) continue;
    const part = lines.indexOf(`== ${entry.part}`);
    const end = lines.findIndex((line, index) => index > part && line.startsWith("== "));
    const at = lines.indexOf(entry.line, part);
    const inPart = part >= 0 && at >= 0 && (end < 0 || at < end);
    assert.ok(inPart, `differences.json: "${entry.part}" of the oracle has no line ${JSON.stringify(entry.line)}`);
    lines.splice(at, 1, ...entry.becomes);
  }
  return lines;
}

/** Fails with the lines that differ only. */
function assertSame(actual, expected) {
  const [has, wants] = [new Set(actual), new Set(expected)];
  const report = [
    ...expected.filter((line) => !has.has(line)).map((line) => `  missing: ${line}`),
    ...actual.filter((line) => !wants.has(line)).map((line) => `  instead: ${line}`),
  ];
  if (report.length > 0) throw new Error(`the transcript differs\n${report.join("\n")}`);
  const at = actual.findIndex((line, index) => line !== expected[index]);
  if (at >= 0 || actual.length !== expected.length) {
    throw new Error(`the transcript is in another order from line ${at + 1}: ${actual[at]}, expected ${expected[at]}`);
  }
}

test("the oracle's own transcript is whole", () => {
  assert.deepEqual(oracle.filter((line) => line.startsWith("!!")), []);
  assert.equal(oracle.filter((line) => line.startsWith("== ")).length, 16);
});

test("differences.json: every entry has its reason and belongs to Sockeye", () => {
  for (const { part, client, server, line, becomes, reason } of differences) {
    assert.ok(part && line && Array.isArray(becomes) && reason?.length > 20, `incomplete entry for "${part}"`);
    assert.ok(client === "sockeye" || server === "sockeye", `"${part}": the official pair cannot differ from itself`);
    assert.notDeepEqual(becomes, [line]);
  }
});

for (const server of Object.keys(scenarioServers)) {
  if (server !== "npm") {
    test(`the official client in Node.js, server ${server}`, async () => {
      assertSame(await inNode(servers[server].url), expected("official", server));
    });
  }
  test(`the official client in Chromium, server ${server}`, async () => {
    assertSame(await inBrowser("/official.mjs", servers[server].url), expected("official", server));
  });
  test(`Sockeye's client in Chromium, server ${server}`, async () => {
    assertSame(await inBrowser("/sockeye.mjs", servers[server].url), expected("sockeye", server));
  });
}
