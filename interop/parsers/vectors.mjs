// Writes what npm's socket.io-msgpack-parser makes of packets, for the tests of Sockeye's:
//   node parsers/vectors.mjs > ../crates/socketio/tests/msgpack.json
import { createRequire } from "node:module";

const { Encoder } = createRequire(import.meta.url)("socket.io-msgpack-parser");
const encoder = new Encoder();
const hex = (packet) => encoder.encode(packet)[0].toString("hex");

// The default parser's packet, the attachments that follow it, and the same packet of Node's server.
const text = (length) => "x".repeat(length);
const values = [
  null, true, false, 0, 1, 127, 128, 255, 256, 65535, 65536, 4294967295, 4294967296,
  9007199254740991, -1, -32, -33, -128, -129, -32768, -32769, -2147483648, -2147483649,
  -9007199254740991, 1.5, -0.1, 1.5e-300, "", "é€😀", text(31), text(32), text(255), text(256),
  [], {}, [[1], { a: { b: [] } }],
  Array.from({ length: 15 }, (_, i) => i), Array.from({ length: 16 }, (_, i) => i),
  Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`k${i}`, i])),
  { _placeholder: true, num: 0 },
];
const server = values.map((value) => {
  const data = ["e", value];
  return [`2${JSON.stringify(data)}`, [], hex({ type: 2, data, nsp: "/" })];
});
const placeholder = (num) => `{"_placeholder":true,"num":${num}}`;
for (const length of [0, 3, 255, 256]) {
  const binary = Buffer.alloc(length, 7);
  server.push([`51-["e",${placeholder(0)}]`, [binary.toString("hex")],
    hex({ type: 2, data: ["e", binary], nsp: "/" })]);
}
const [one, two] = [Buffer.from([1]), Buffer.from([2])];
server.push(
  [`52-/a,["e",{"x":${placeholder(0)}},[${placeholder(1)}]]`, ["01", "02"],
    hex({ type: 2, data: ["e", { x: one }, [two]], nsp: "/a" })],
  [`61-7[${placeholder(0)}]`, ["01"], hex({ id: 7, type: 3, data: [one], nsp: "/" })],
  [`0{"sid":"abc"}`, [], hex({ type: 0, data: { sid: "abc", pid: undefined }, nsp: "/" })],
  [`0/a,{"sid":"abc","pid":"p"}`, [], hex({ type: 0, data: { sid: "abc", pid: "p" }, nsp: "/a" })],
  [`1/a,`, [], hex({ type: 1, nsp: "/a" })],
  [`4/a,{"message":"no"}`, [],
    hex({ type: 4, data: { message: "no", data: undefined }, nsp: "/a" })],
  [`4{"message":"no","data":{"x":1}}`, [],
    hex({ type: 4, data: { message: "no", data: { x: 1 } }, nsp: "/" })],
  [`2300["e"]`, [], hex({ type: 2, data: ["e"], id: 300, nsp: "/" })],
  [`30[]`, [], hex({ id: 0, type: 3, data: [], nsp: "/" })],
);

// What only clients send: the value, and the JSON of the arguments.
const date = (millis) => new Date(millis);
const client = [
  undefined, [undefined, 1], { a: undefined, b: 1, c: undefined }, { a: 1, b: undefined },
  NaN, Infinity, -Infinity, -0, 0.1, 1.5e-7,
  ...[0, -1, 1, 951782400000, 951868799999, 1e12, -1e13, 8.64e15, -8.64e15, -62198755200001,
    -62167219200000, 253402300800000, 1709164800000, 4107542400000].map(date),
].map((value) => [
  hex({ type: 2, data: ["e", value], options: { compress: true }, id: 1, nsp: "/" }),
  JSON.stringify(["e", value]),
]);
console.log(JSON.stringify({ server, client }));
