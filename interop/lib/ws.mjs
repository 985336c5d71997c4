// What the tests with npm ws share, whichever end of the connection it is: the other one sends everything back.

import assert from "node:assert/strict";
import { once } from "node:events";
import { within } from "../engine/transcript.mjs";
import { queue } from "./scripted.mjs";

/** A socket whose messages wait to be taken by `next()`: strings and buffers. `closed` resolves with `[code, reason]`. */
export function taking(socket) {
  const messages = queue();
  socket.on("message", (data, isBinary) => messages.put(isBinary ? data : data.toString()));
  socket.next = () => within(messages.take(), "a message");
  socket.closed = once(socket, "close").then(([code, reason]) => [code, reason.toString()]);
  return socket;
}

/** Closes normally, and waits for the other end's answer. */
export async function close(socket) {
  socket.close(1000);
  assert.deepEqual(await within(socket.closed, "the close"), [1000, ""]);
}

/** Messages come back with their types, whatever their length. */
export async function lengths(socket) {
  for (const length of [0, 1, 125, 126, 65_535, 65_536, 1_000_000]) {
    const text = "x".repeat(length);
    socket.send(text);
    assert.ok((await socket.next()) === text, `text of ${length}`);
    const bytes = Buffer.alloc(length, "0123456789");
    socket.send(bytes);
    assert.ok(bytes.equals(await socket.next()), `${length} bytes`);
  }
  socket.send("雪 😀 \0");
  assert.equal(await socket.next(), "雪 😀 \0");
}

/** Fragments make one message, with a ping in between. */
export async function fragments(socket) {
  const pong = once(socket, "pong");
  // More than ASCII, and cut in the middle of a character.
  const bytes = Buffer.from("fragments: 雪 😀");
  for (let i = 0; i < bytes.length; i++) {
    socket.send(bytes.subarray(i, i + 1), { binary: false, fin: i === bytes.length - 1 });
    if (i === 12) socket.ping("in between");
  }
  assert.equal(String((await within(pong, "a pong"))[0]), "in between");
  assert.equal(await socket.next(), "fragments: 雪 😀");
  for (const last of [false, false, true]) socket.send(Buffer.from([1, 2]), { fin: last });
  assert.deepEqual(await socket.next(), Buffer.from([1, 2, 1, 2, 1, 2]));
}

/** What is sent before a close comes back before the close. */
export async function lastWords(socket) {
  socket.send("last words");
  socket.send("and more");
  socket.close(4000, "and gone");
  assert.equal(await socket.next(), "last words");
  assert.equal(await socket.next(), "and more");
  assert.deepEqual(await within(socket.closed, "the close"), [4000, ""]);
}

/** What to close with, and the code that is answered. */
export const CLOSES = [
  [undefined, undefined, 1005], [1000, "", 1000], [1001, "bye", 1001], [1011, "雪", 1011], [3000, "x".repeat(123), 3000], [4999, "y", 4999],
];

export const COMPRESSIBLE = "compressible ".repeat(5_000);

/** Text and binary that compress well come back, several times; `sent(cost)` judges what a text has cost, if `bytes()` tells. */
export async function compressible(socket, bytes = () => 0, sent = () => {}) {
  for (let i = 0; i < 3; i++) {
    const before = bytes();
    socket.send(COMPRESSIBLE + i);
    assert.ok((await socket.next()) === COMPRESSIBLE + i);
    sent(bytes() - before);
    socket.send(Buffer.from(COMPRESSIBLE));
    assert.ok(Buffer.from(COMPRESSIBLE).equals(await socket.next()));
  }
}
