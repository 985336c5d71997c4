// WebSockets on streams of Node's own HTTP/2 (RFC 8441): npm ws speaks the frames.

import { once } from "node:events";
import { connect } from "node:http2";
import { PerMessageDeflate, WebSocket, extension } from "ws";
import { within } from "../engine/transcript.mjs";
import { queue } from "./scripted.mjs";

/** What a server of Node's has to say for clients to open WebSockets on it (RFC 8441 §3). */
export const SETTINGS = { enableConnectProtocol: true };

/** Speaks WebSocket on a stream whose handshake is done. Messages wait for `next()`; `closed` resolves with code and reason. */
export function speak(stream, { isServer, extensions = "" }) {
  const socket = new WebSocket(null, undefined, { autoPong: true, closeTimeout: 5_000 });
  // npm ws takes one without an address for a server's.
  socket._isServer = isServer;
  if (extensions) {
    const deflate = new PerMessageDeflate({ isServer });
    const offers = extension.parse(extensions)["permessage-deflate"];
    deflate.accept(offers);
    socket._extensions = { "permessage-deflate": deflate };
  }
  const messages = queue();
  socket.on("message", (data, isBinary) => messages.put(isBinary ? data : data.toString()));
  socket.next = () => within(messages.take(), "a message");
  socket.closed = once(socket, "close").then(([code, reason]) => [code, reason.toString()]);
  // Of a connection that breaks off, npm ws and the stream both speak; whoever waits for `closed` hears of it.
  socket.on("error", () => {});
  const limits = { allowSynchronousEvents: true, maxPayload: 0, skipUTF8Validation: false };
  socket.setSocket(stream, Buffer.alloc(0), limits);
  return socket;
}

/** A client's connection of HTTP/2: `{ session, ask(head, body), open(path, headers) }`. */
export async function dial(url, options) {
  const session = connect(url, options);
  session.on("error", () => {});
  const [settings] = await within(once(session, "remoteSettings"), "the server's settings");

  /** Sends a request; its answer's headers and text. */
  const ask = async (head, body) => {
    const stream = session.request(head);
    stream.end(body);
    const [headers] = await within(once(stream, "response"), "an answer");
    let text = "";
    stream.setEncoding("utf8");
    for await (const chunk of stream) text += chunk;
    return { status: headers[":status"], headers, text };
  };

  /** Opens a WebSocket by an extended CONNECT. */
  const open = async (path, headers = {}) => {
    const head = { ":method": "CONNECT", ":protocol": "websocket", ":path": path, "sec-websocket-version": "13" };
    const stream = session.request({ ...head, ...headers }, { endStream: false });
    const [answer] = await within(once(stream, "response"), `an answer for ${path}`);
    if (answer[":status"] !== 200) throw new Error(`status ${answer[":status"]}`);
    const socket = speak(stream, { isServer: false, extensions: answer["sec-websocket-extensions"] });
    return Object.assign(socket, { answer, stream });
  };
  return { session, settings, ask, open };
}
