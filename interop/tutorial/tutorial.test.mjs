// The page of the official tutorial, unchanged, with Sockeye's client in the place of the official bundle: two tabs.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, openPage } from "../lib/browser.mjs";
import { scenarioServers } from "../lib/process.mjs";

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

for (const [name, start] of Object.entries(scenarioServers)) {
  test(`server ${name}`, async (t) => {
    const server = await start(0);
    t.after(() => server.stop());
    const context = await browser.newContext();
    t.after(() => context.close());

    await t.test("two tabs talk to each other", async () => {
      const [one, two] = await Promise.all([openPage(context, `${server.url}/tutorial/`), openPage(context, `${server.url}/tutorial/`)]);
      const shows = (page, texts) => page.waitForFunction(
        (texts) => JSON.stringify([...document.querySelectorAll("#messages > li")].map((li) => li.textContent)) === JSON.stringify(texts),
        texts,
      );
      const say = async (page, text) => {
        await page.fill("#input", text);
        await page.press("#input", "Enter");
      };
      for (const page of [one, two]) await page.waitForFunction("socket.connected");
      await say(one, "hello from one");
      await Promise.all([one, two].map((page) => shows(page, ["hello from one"])));
      await say(two, "<b>hello</b> from two, 😀");
      await Promise.all([one, two].map((page) => shows(page, ["hello from one", "<b>hello</b> from two, 😀"])));
      assert.equal(await one.inputValue("#input"), "");
      assert.deepEqual([...one.problems, ...two.problems], []);
    });

    await t.test("it is Sockeye's client that is served, with the types of the official one", async () => {
      for (const file of ["socket.io.js", "socket.io.esm.js"]) {
        const response = await fetch(`${server.url}/socket.io/${file}`);
        assert.equal(response.status, 200);
        assert.equal(response.headers.get("content-type"), "application/javascript; charset=utf-8");
        assert.match(await response.text(), /^\/\*!\n \* Sockeye's own browser client/);
      }
    });

    await t.test("the ES module connects, and sends a Blob", async () => {
      const page = await openPage(context, `${server.url}/tutorial/`);
      const seen = await page.evaluate(async () => {
        const client = await import("/socket.io/socket.io.esm.js");
        const socket = client.io({ forceNew: true });
        await new Promise((resolve, reject) => socket.on("connect", resolve).on("connect_error", reject));
        const answer = await socket.emitWithAck("types", "text", new Blob(["abc"]), { in: [new File(["de"], "f")] });
        socket.disconnect();
        return { names: Object.keys(client).sort(), answer, protocol: client.protocol, socket: socket instanceof client.Socket };
      });
      assert.deepEqual(seen, {
        names: ["Manager", "Socket", "connect", "default", "io", "protocol"], answer: ["string", "binary:3", "object"], protocol: 5, socket: true,
      });
    });
  });
}
