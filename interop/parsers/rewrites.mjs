// Writes what npm's socket.io-parser makes of packets with a replacer or a reviver, for the tests of Sockeye's:
//   node parsers/rewrites.mjs > ../crates/socketio/tests/rewrite.json
import { createRequire } from "node:module";

const { Encoder, Decoder } = createRequire(import.meta.url)("socket.io-parser");

/** The same functions are in `crates/socketio/tests/rewrite.rs`, by the same names. */
const REWRITES = {
  same: (_, value) => value,
  drop: (key, value) => (key === "secret" || value === "secret" ? undefined : value),
  digits: (_, value) => (typeof value === "number" ? `${value}n` : value),
  numbers: (_, value) => (/^\d+n$/.test(value) ? Number(value.slice(0, -1)) : value),
  // What is within has a key of the same name.
  wrap: (key, value) => (key === "wrap" && typeof value === "number" && value > 0 ? { wrap: value - 1, x: [value] } : value),
  flat: (key, value) => (Array.isArray(value) && key !== "" ? value.length : value),
  rename: (key, value) => (key === "0" && value === "old" ? "new" : value),
  reserve: (key, value) => (key === "0" ? "connect" : value),
  second: (key, value) => (key === "0" ? 42 : value),
  nameless: (key, value) => (key === "0" ? undefined : value),
  more: (key, value) => (key === "" && Array.isArray(value) ? [...value, "more", { secret: 1 }] : value),
  object: (key, value) => (key === "" ? { value } : value),
  nothing: (key, value) => (key === "" ? undefined : value),
  unplaced: (_, value) => (value?._placeholder ? "a file" : value),
  replaced: (_, value) => (value?._placeholder ? { _placeholder: true, num: 1 } : value),
};

const placeholder = (num) => ({ _placeholder: true, num });
const PACKETS = [
  { type: 0, nsp: "/", data: { sid: "abc", secret: "p" } },
  { type: 0, nsp: "/a", data: { sid: "abc", wrap: 2 } },
  { type: 0, nsp: "/a" },
  { type: 1, nsp: "/a" },
  { type: 2, nsp: "/", data: ["old"] },
  { type: 2, nsp: "/", data: ["e", "secret", 1, { secret: 1, b: "secret", a: { z: null, y: [1, "secret", true] } }, []] },
  { type: 2, nsp: "/a", id: 7, data: ["e", { wrap: 2 }, [[1], [[]]], "12n", -1] },
  { type: 2, nsp: "/", data: ["e", "€\u2028\"\\\n", { "": 1, "é": { "": "" } }] },
  { type: 3, nsp: "/", id: 0, data: [] },
  { type: 3, nsp: "/a", id: 12, data: [null, { secret: 1, wrap: 1 }] },
  { type: 4, nsp: "/a", data: { message: "no", data: { secret: [1] } } },
  { type: 4, nsp: "/", data: "secret" },
  { type: 5, nsp: "/", attachments: 1, id: 3, data: ["e", placeholder(0)] },
  { type: 5, nsp: "/a", attachments: 2, data: ["e", { x: placeholder(0), secret: [placeholder(1)] }] },
  { type: 6, nsp: "/", attachments: 1, id: 5, data: [placeholder(0), 1] },
];

/** The function, and what keys it was called with. */
const told = (name) => {
  const keys = [];
  return [keys, (key, value) => (keys.push(key), REWRITES[name](key, value))];
};
const result = (make) => {
  try {
    return make();
  } catch {
    return null;
  }
};
const rows = (each) => Object.keys(REWRITES).flatMap((name) => PACKETS.map((packet) => {
  const text = new Encoder().encodeAsString(packet);
  const [keys, rewrite] = told(name);
  return [name, text, result(() => each(packet, text, rewrite)), keys];
}));
console.log(JSON.stringify({
  // The text; or null where a client would not take it.
  replaced: rows((packet, _, replacer) => {
    const text = new Encoder(replacer).encodeAsString(packet);
    new Decoder().decodeString(text);
    return text;
  }),
  // The JSON of the data, or null.
  revived: rows((_, text, reviver) => JSON.stringify(new Decoder({ reviver }).decodeString(text).data) ?? ""),
}));
