// What Sockeye's servers say of a session's end where npm's say nothing: the reason, in the close frame with a status code and
// in a poll behind the `1` of the close packet. The official clients ignore it (tests in client/ show that); it is
// taken out of transcripts here, in one place, if it is one of these.

const FAREWELLS = {
  "server shutting down": 1001,
  "ping timeout": 1001,
  "parse error": 1002,
  "transport error": 1002,
  "invalid packet": 1002,
  "reserved event name": 1002,
  "text instead of an attachment": 1002,
  "unexpected attachment": 1002,
  "packet for a namespace that is not joined": 1002,
  "namespace joined twice": 1002,
  "packet that only servers send": 1002,
  "too many attachments": 1008,
  "attachments too large": 1008,
  "attachment timeout": 1008,
  "too many namespaces": 1008,
  "namespace name too long": 1008,
  "no namespace joined in time": 1008,
  // Of requests.
  "overlap from client": 1002,
  "data request overlap from client": 1002,
  "payload too large": 1002,
  "invalid content": 1002,
  "unknown method": 1002,
};

const words = Object.keys(FAREWELLS).join("|");
const PACKET = new RegExp(`(^|\\x1e|")1(?:${words})(?=$|\\x1e|")`, "g");
const COUNTED = new RegExp(`(^|[^0-9])(\\d+):(1(?:${words}))`, "g");

/** The code of a close frame as npm's server would have it: none. */
export const bareCode = (code, reason) => (FAREWELLS[reason] === code ? 1005 : code);

/** A payload without the words in its close packet, in either revision. */
export function barePayload(text) {
  return text
    .replace(PACKET, "$11")
    .replace(COUNTED, (whole, before, length, packet) => (Number(length) === packet.length ? `${before}1:1` : whole));
}
