// The chat page in Chromium, two and three tabs, against the reference server and against `sockeye serve`.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { after, before, test } from "node:test";
import { launch, openPage } from "../lib/browser.mjs";
import { chatServers } from "../lib/process.mjs";

const SCREENSHOTS = new URL("../screenshots/", import.meta.url).pathname;
const DESKTOP = { viewport: { width: 1280, height: 800 } };
const PHONE = { viewport: { width: 375, height: 812 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true };

let browser;
before(async () => {
  mkdirSync(SCREENSHOTS, { recursive: true });
  browser = await launch();
});
after(() => browser?.close());

// ---- what a person sees and does

const status = (page, state) => page.waitForSelector(`#status[data-state="${state}"]`);
const transport = (page, name) => page.waitForSelector(`#status[data-state="connected"] #transport:text-is("${name}")`);
const ready = (page) => page.waitForSelector('body[data-ready="true"]');
const viewing = (page, id) => page.waitForSelector(`#conversation-title[data-conversation="${id}"]`);
const system = (page, text) => page.waitForSelector(`#log .system:text-is(${JSON.stringify(text)})`);
const inRoom = (page, room, count) => page.waitForSelector(`#rooms [data-room="${room}"][data-count="${count}"]`);
const isTyping = (page, text) => page.waitForFunction((text) => document.getElementById("typing").textContent === text, text);

/** Waits until the people online are these. */
const online = (page, ...names) => page.waitForFunction(
  (names) => JSON.stringify([...document.querySelectorAll("#people li:not(.offline)")].map((li) => li.dataset.person).sort()) === names,
  JSON.stringify(names.sort()),
);

/** Waits for a message by its text; an author other than oneself, or the state of one's own. */
const message = (page, text, { author, state } = {}) => page.waitForFunction(
  ([text, author, state]) => [...document.querySelectorAll("#log .message")].some((node) =>
    node.querySelector(".bubble").firstChild.textContent === text &&
    (author === undefined || node.dataset.author === author) && (state === undefined || node.dataset.state === state)),
  [text, author, state],
);

const atEnd = (page) => page.waitForFunction(() => {
  const { scrollHeight, scrollTop, clientHeight } = document.getElementById("scroller");
  return scrollHeight - scrollTop - clientHeight < 2;
});

const texts = (page) => page.$$eval("#log .message .bubble", (nodes) => nodes.map((node) => node.firstChild.textContent));

// ---- what runs in a page before everything else

function withoutWebSocket() {
  window.WebSocket = class {
    constructor() {
      throw new DOMException("blocked", "SecurityError");
    }
  };
}

/** Keeps the probe back until the test calls `letUpgrade()`. */
function heldUpgrade() {
  const released = new Promise((resolve) => (window.letUpgrade = resolve));
  const { send } = WebSocket.prototype;
  WebSocket.prototype.send = function (data) {
    if (data === "2probe") released.then(() => send.call(this, data));
    else send.call(this, data);
  };
}

async function enter(page, name) {
  await page.fill("#name-input", name);
  await page.click("#name-submit");
  await ready(page);
}

async function write(page, text) {
  await page.fill("#text", text);
  await page.press("#text", "Enter");
}

async function goTo(page, room) {
  await page.fill("#room-input", room);
  await page.press("#room-input", "Enter");
  await viewing(page, `#${room}`);
}

for (const [name, start] of Object.entries(chatServers)) {
  test(`server ${name}`, async (t) => {
    let server = await start(0);
    t.after(() => server.stop());
    const contexts = [];
    const pages = [];
    t.after(() => Promise.all(contexts.map((context) => context.close())));
    /** Each person has a browser profile of their own. */
    const person = async (options = DESKTOP, script) => {
      const context = await browser.newContext(options);
      contexts.push(context);
      if (script) await context.addInitScript(script);
      const page = await openPage(context, `${server.url}/`);
      pages.push(page);
      return page;
    };
    const leave = (page) => contexts[pages.indexOf(page)].close();

    let ann, ben;

    await t.test("a name is asked for, checked and kept", async () => {
      ann = await person();
      await status(ann, "connected");
      await transport(ann, "websocket");
      assert.ok(await ann.isVisible("#name-dialog"));
      await enter(ann, "  Ann  ");
      assert.equal(await ann.textContent("#me-name"), "Ann");
      await online(ann, "Ann");

      // Where Ben sits no websocket gets through: all that follows works over polling as well.
      ben = await person({ ...DESKTOP, colorScheme: "dark" }, withoutWebSocket);
      await ben.fill("#name-input", "ann");
      await ben.click("#name-submit");
      await ben.waitForFunction(() => document.getElementById("name-error").textContent.includes("online has this name"));
      await enter(ben, "Ben");
      await Promise.all([online(ann, "Ann", "Ben"), online(ben, "Ann", "Ben"), inRoom(ann, "lobby", 2), inRoom(ben, "lobby", 2)]);
      await system(ann, "Ben joined the room");
      await transport(ben, "polling");
    });

    await t.test("messages both ways, as text, with ticks", async () => {
      const sharp = `<img src=x onerror="document.title='broken'"> & "quotes" 😀`;
      await write(ann, sharp);
      await message(ann, sharp, { author: "Ann", state: "delivered" });
      await message(ben, sharp, { author: "Ann" });
      await write(ben, "two\nlines");
      await message(ann, "two\nlines", { author: "Ben" });
      assert.equal(await ben.$$eval("#log img", (nodes) => nodes.length), 0);
      assert.deepEqual(await texts(ann), await texts(ben));
    });

    await t.test("the transport is shown, and changes with the upgrade", async () => {
      const tom = await person(PHONE, heldUpgrade);
      await transport(tom, "polling");
      assert.equal(await tom.textContent("#announcer"), "Connected over polling");
      await enter(tom, "Tom");
      await write(tom, "by polling");
      await message(ann, "by polling", { author: "Tom" });
      await tom.screenshot({ path: `${SCREENSHOTS}${name}-phone-polling.png` });
      await tom.evaluate(() => letUpgrade());
      await transport(tom, "websocket");
      assert.equal(await tom.textContent("#announcer"), "Connected over websocket");
      assert.ok(await tom.isVisible("#transport"));
      const wide = await tom.evaluate(() => document.documentElement.scrollWidth > innerWidth);
      assert.equal(wide, false, "the page scrolls sideways");
      await write(tom, "by websocket");
      await message(ann, "by websocket", { author: "Tom" });
      await leave(tom);
      await Promise.all([online(ann, "Ann", "Ben"), online(ben, "Ann", "Ben")]);
    });

    await t.test("typing is shown, and ends with the message", async () => {
      await ben.locator("#text").pressSequentially("hm");
      await isTyping(ann, "Ben is typing…");
      await ben.press("#text", "Enter");
      await message(ann, "hm", { author: "Ben" });
      await isTyping(ann, "");
    });

    await t.test("a name is changed and remembered", async () => {
      await ben.click("#rename");
      await ben.fill("#name-input", "Benjamin");
      await ben.click("#name-submit");
      await Promise.all([online(ann, "Ann", "Benjamin"), system(ann, "Ben is now Benjamin"), system(ben, "You are now Benjamin")]);
      await ben.reload();
      await ready(ben);
      assert.equal(await ben.textContent("#me-name"), "Benjamin");
      await online(ann, "Ann", "Benjamin");
      await message(ben, "hm"); // from the room's history
      assert.equal(await ben.isVisible("#name-dialog"), false);
    });

    await t.test("rooms: created, listed with counts, joined, with their history, forgotten", async () => {
      await goTo(ann, "engines");
      await Promise.all([inRoom(ben, "engines", 1), inRoom(ben, "lobby", 1), system(ben, "Ann left the room")]);
      await write(ann, "anybody here?");
      await message(ann, "anybody here?", { state: "delivered" });
      await write(ben, "in the lobby");
      await message(ben, "in the lobby", { state: "delivered" });
      await ben.click('#rooms [data-room="engines"] button');
      await viewing(ben, "#engines");
      await Promise.all([message(ben, "anybody here?", { author: "Ann" }), inRoom(ann, "engines", 2), system(ann, "Benjamin joined the room")]);
      await write(ben, "I am");
      await message(ann, "I am", { author: "Benjamin" });
      assert.equal((await texts(ann)).includes("in the lobby"), false);
      await Promise.all([goTo(ann, "lobby"), goTo(ben, "lobby")]);
      await Promise.all([ann, ben].map((page) => page.waitForFunction(() => !document.querySelector('[data-room="engines"]'))));
      await message(ann, "in the lobby", { author: "Benjamin" });
      await ann.fill("#room-input", "no/slashes");
      await ann.press("#room-input", "Enter");
      await ann.waitForFunction(() => document.getElementById("room-error").textContent.includes("letters"));
    });

    await t.test("a private message is seen by two", async () => {
      const eve = await person();
      await enter(eve, "Eve");
      await online(ann, "Ann", "Benjamin", "Eve");
      await ann.click('[data-person="Benjamin"] button');
      await viewing(ann, "@Benjamin");
      await write(ann, "for your eyes only");
      await message(ann, "for your eyes only", { state: "delivered" });
      await ben.waitForSelector('[data-person="Ann"] .badge');
      await ben.click('[data-person="Ann"] button');
      await message(ben, "for your eyes only", { author: "Ann" });
      await write(ben, "seen");
      await message(ann, "seen", { author: "Benjamin" });
      await write(eve, "nothing to see for me");
      await message(eve, "nothing to see for me", { state: "delivered" });
      assert.equal((await eve.textContent("#app")).includes("for your eyes only"), false);
      await leave(eve);
      await Promise.all([online(ann, "Ann", "Benjamin"), online(ben, "Ann", "Benjamin")]);
      for (const page of [ann, ben]) {
        await page.click('[data-room="lobby"] button');
        await viewing(page, "#lobby");
      }
    });

    await t.test("the server goes away and comes back: seen, and nothing is lost", async () => {
      await Promise.all([goTo(ann, "harbour"), goTo(ben, "harbour")]);
      await inRoom(ann, "harbour", 2);
      const long = "a\nmessage\nof\nmore\nlines\nthan\nthe\nwindow\nholds";
      await write(ann, long);
      await message(ann, long, { state: "delivered" });
      await ann.setViewportSize({ width: 1280, height: 360 });
      await ann.waitForFunction(() => document.getElementById("scroller").scrollTop > 0);
      const { port } = server;
      await server.stop();
      await Promise.all([status(ann, "reconnecting"), status(ben, "reconnecting")]);
      await ann.waitForFunction(() => /^Reconnecting in \d+ s$/.test(document.getElementById("status-text").textContent));
      assert.ok(await ann.isVisible("#banner"));
      await atEnd(ann); // though the banner took some of the place
      await ann.setViewportSize(DESKTOP.viewport);
      await write(ann, "written while away 1");
      await write(ann, "written while away 2");
      await message(ann, "written while away 2", { state: "pending" });
      server = await start(port);
      await Promise.all([ann, ben].map((page) => page.evaluate(() => document.getElementById("retry").click()))); // hidden if it was quicker
      await Promise.all([ready(ann), ready(ben), status(ann, "connected"), status(ben, "connected")]);
      await Promise.all([transport(ann, "websocket"), transport(ben, "polling")]);
      assert.equal(await ann.isVisible("#banner"), false);
      await Promise.all([online(ann, "Ann", "Benjamin"), online(ben, "Ann", "Benjamin"), inRoom(ann, "harbour", 2)]);
      await message(ann, "written while away 2", { state: "delivered" });
      await message(ben, "written while away 2", { author: "Ann" });
      await write(ben, "welcome back");
      await message(ann, "welcome back", { author: "Benjamin" });
      const away = (await texts(ben)).filter((text) => text.startsWith("written while away"));
      assert.deepEqual(away, ["written while away 1", "written while away 2"]);
    });

    await t.test("Ctrl-C ends the server cleanly, and the page reconnects without being asked", async () => {
      const { port } = server;
      const newcomer = await person();
      await status(newcomer, "connected");
      await newcomer.fill("#name-input", "half a na");
      assert.equal(await server.stop("SIGINT"), 0);
      await status(ann, "reconnecting");
      server = await start(port);
      await Promise.all([ready(ann), ready(ben), status(newcomer, "connected")]);
      assert.equal(await newcomer.inputValue("#name-input"), "half a na");
      for (const _ of [1, 2]) await newcomer.keyboard.press("Escape");
      assert.ok(await newcomer.isVisible("#name-dialog"), "without a name there is nothing behind the dialog");
      await leave(newcomer);
      await write(ann, "again");
      await message(ben, "again", { author: "Ann" });
    });

    await t.test("on a phone, rooms and people are a drawer", async () => {
      const phone = await person(PHONE);
      await enter(phone, "Phoebe");
      assert.equal(await phone.isVisible("#sidebar"), false);
      await phone.click("#open-sidebar");
      await phone.click('#rooms [data-room="harbour"] button');
      await viewing(phone, "#harbour");
      await phone.waitForSelector("#sidebar", { state: "hidden" });
      await write(phone, "Hello from a very small screen, with a message that is long enough to need three lines on it.");
      await message(ben, "Hello from a very small screen, with a message that is long enough to need three lines on it.", { author: "Phoebe" });
      const wide = await phone.evaluate(() => document.documentElement.scrollWidth > innerWidth);
      assert.equal(wide, false, "the page scrolls sideways");
      for (const [page, device] of [[phone, "phone"], [ann, "desktop"]]) {
        for (const colorScheme of ["light", "dark"]) {
          await page.emulateMedia({ colorScheme });
          await page.screenshot({ path: `${SCREENSHOTS}${name}-${device}-${colorScheme}.png` });
        }
      }
      await phone.click("#open-sidebar");
      await phone.waitForSelector("#sidebar.open");
      await phone.screenshot({ path: `${SCREENSHOTS}${name}-phone-drawer.png`, animations: "disabled" });
    });

    await t.test("no exception, and nothing that the content security policy forbids", async () => {
      const response = await fetch(`${server.url}/`);
      assert.match(response.headers.get("content-security-policy"), /^default-src 'self'/);
      for (const page of pages) assert.deepEqual(page.problems, []);
    });
  });
}
