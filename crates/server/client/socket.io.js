/*!
 * Sockeye's own browser client for Socket.IO protocol 5 over Engine.IO protocol 4.
 * Licensed under MIT OR Apache-2.0. Not the official socket.io-client, and no line of it.
 *
 * It has the API of the official 4.x client as far as a page needs it, with the same events, reasons
 * and messages. Plain JavaScript (ES2022) that browsers load as it is:
 *
 *   <script src="/socket.io/socket.io.js"></script>                 defines the global `io`
 *   import { io } from "/socket.io/socket.io.esm.js";               the same code as an ES module
 *
 * What it lacks against the official client:
 *   - the webtransport transport (ignored in a `transports` list that has another), and transports as
 *     classes;
 *   - parsers other than the default one (`parser`);
 *   - delivery with retries (`retries`, `ackTimeout`);
 *   - options that only Node.js can honour (`agent`, certificates, `perMessageDeflate`, ..), and a cookie
 *     jar: with `withCredentials` the browser's cookies are used;
 *   - the engine's events other than open, data, ping, error, close, upgrading, upgrade, upgradeError;
 *   - XMLHttpRequest: polling uses fetch(), and the `context` of its errors is a plain object with `status`
 *     and `responseText`. The messages are the official ones ("xhr poll error", ..) all the same;
 *   - debug output, CommonJS and AMD.
 * An option that it does not support throws an Error that names the option.
 *
 * What it has beyond the official client:
 *   - in the details of a disconnect, `reason`: why the server ended the connection ("too slow a consumer",
 *     "invalid packet", "server shutting down", ..), or "" if it did not say;
 *   - the manager's event `reconnect_scheduled(attempt, delay)`: the next attempt starts in `delay` ms;
 *   - a server that closes the WebSocket before its handshake is a `connect_error` at once, instead of
 *     after `timeout`;
 *   - a probe that is not answered ends after 10 s, and one that fails although it was answered leaves
 *     polling alive;
 *   - what is written in one go over polling is one request, attachments included;
 *   - any number of attachments in a packet that arrives (the official limit is 10).
 *
 * The sections follow the way of a byte: Emitter (used by all), transports (polling and WebSocket), Engine
 * (an Engine.IO session over one and then the other), packets (Socket.IO's text and attachments), Manager
 * (one connection, its reconnection), Socket (one namespace), io() (the cache of managers).
 */
var io = (() => {
  "use strict";

  // ---------------------------------------------------------------------------------------------
  // Emitter: what `on`, `once` and `off` mean everywhere below.
  // ---------------------------------------------------------------------------------------------

  class Emitter {
    #listeners = new Map();

    on(event, listener) {
      const key = String(event);
      const list = this.#listeners.get(key);
      if (list) list.push(listener);
      else this.#listeners.set(key, [listener]);
      return this;
    }

    once(event, listener) {
      const wrapper = (...args) => {
        this.off(event, wrapper);
        listener.apply(this, args);
      };
      wrapper.listener = listener;
      return this.on(event, wrapper);
    }

    /** `off()` removes everything, `off(event)` that event's listeners, `off(event, listener)` one. */
    off(event, listener) {
      if (arguments.length === 0) {
        this.#listeners.clear();
        return this;
      }
      const key = String(event);
      const list = this.#listeners.get(key);
      if (!list) return this;
      if (arguments.length > 1) {
        const at = list.findIndex((each) => each === listener || each.listener === listener);
        if (at >= 0) list.splice(at, 1);
      }
      if (arguments.length === 1 || list.length === 0) this.#listeners.delete(key);
      return this;
    }

    listeners(event) {
      return [...(this.#listeners.get(String(event)) ?? [])];
    }

    hasListeners(event) {
      return this.#listeners.has(String(event));
    }

    /** Calls the local listeners. `emit` means the same here, but sends on a Socket. */
    _fire(event, ...args) {
      // A copy: a listener may add or remove listeners while it runs.
      for (const listener of this.listeners(event)) listener.apply(this, args);
      return this;
    }

    emit(event, ...args) {
      return this._fire(event, ...args);
    }
  }

  Object.assign(Emitter.prototype, {
    addEventListener: Emitter.prototype.on,
    removeListener: Emitter.prototype.off,
    removeAllListeners: Emitter.prototype.off,
    removeEventListener: Emitter.prototype.off,
  });

  // ---------------------------------------------------------------------------------------------
  // Options: a name that is not in this list is refused, so that nothing is ignored silently.
  // ---------------------------------------------------------------------------------------------

  const SUPPORTED_OPTIONS = new Set([
    "addTrailingSlash", "auth", "autoConnect", "closeOnBeforeunload", "extraHeaders", "forceBase64",
    "forceNew", "multiplex", "path", "protocols", "query", "randomizationFactor", "reconnection",
    "reconnectionAttempts", "reconnectionDelay", "reconnectionDelayMax", "rememberUpgrade",
    "requestTimeout", "timeout", "timestampParam", "timestampRequests", "transportOptions", "transports",
    "tryAllTransports", "upgrade", "withCredentials",
  ]);

  function checkOptions(opts) {
    for (const [name, value] of Object.entries(opts)) {
      // `undefined` and `false` ask for nothing that could be missing.
      if (!SUPPORTED_OPTIONS.has(name) && value !== undefined && value !== false) {
        throw new Error(`Sockeye's client does not support the option "${name}"`);
      }
    }
    const { transports } = opts;
    if (transports === undefined) return;
    const known = (name) => Object.hasOwn(TRANSPORTS, name);
    const valid = Array.isArray(transports) && transports.some(known) &&
      transports.every((name) => known(name) || name === "webtransport");
    if (!valid) {
      throw new Error(
        `Sockeye's client supports "polling" and "websocket" in the option "transports" (got ${JSON.stringify(transports)})`,
      );
    }
  }

  // ---------------------------------------------------------------------------------------------
  // Transports: they carry Engine.IO packets, text with its type in front ("4hello") or bytes (a message).
  // What they have in common:
  //   open(), close(), send(packets)   to be called only while `ready`
  //   ready                            nothing is being sent; `ondrain` is called when it is true again
  //   writable                         whether a packet given now would leave at once
  //   sid                              of the session; set by the engine as soon as it is known
  //   onopen(), onpacket(packet), ondrain(), onerror(err), onclose(details)   set by the engine
  // ---------------------------------------------------------------------------------------------

  function transportError(message, description, context) {
    return Object.assign(new Error(message), { type: "TransportError", description, context });
  }

  /** The address of a transport; parameters that are undefined are left out. */
  function transportUrl(scheme, { address, opts }, params) {
    const path = opts.path.replace(/\/$/, "") + (opts.addTrailingSlash === false ? "" : "/");
    const query = new URLSearchParams(address.query || opts.query || "");
    for (const [name, value] of Object.entries({ EIO: "4", ...params })) {
      if (value !== undefined) query.set(name, value);
    }
    const encoded = String(query).replaceAll("+", "%20"); // a plus that was meant is %2B by now
    return `${scheme}${address.secure ? "s" : ""}://${address.authority}${path}?${encoded}`;
  }

  /** The parameter that makes each address one that no cache has seen. */
  function timestamp({ timestampParam = "t" }) {
    return { [timestampParam]: Date.now().toString(36) + Math.random().toString(36).slice(2, 5) };
  }

  const isBlob = (value) => typeof Blob === "function" && value instanceof Blob;

  const isBinary = (value) => value instanceof ArrayBuffer || ArrayBuffer.isView(value) || isBlob(value);

  /** Packets as text, bytes in base64 behind a `b`. A promise when there is a Blob, which is read first. */
  function asText(packets) {
    if (!packets.some(isBlob)) return packets.map((packet) => (typeof packet === "string" ? packet : toBase64(packet)));
    return Promise.all(packets.map((packet) => (isBlob(packet) ? packet.arrayBuffer() : packet))).then(asText);
  }

  function toBase64(bytes) {
    const view = ArrayBuffer.isView(bytes)
      ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
      : new Uint8Array(bytes);
    let chars = "";
    // In pieces: each byte is an argument, and engines limit their number (65 536 is the smallest limit known).
    for (let at = 0; at < view.length; at += 0x8000) chars += String.fromCharCode(...view.subarray(at, at + 0x8000));
    return "b" + btoa(chars);
  }

  const fromBase64 = (text) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0)).buffer;

  /** The bytes that a packet takes in the body of a request. */
  function encodedLength(packet) {
    if (typeof packet === "string") return new TextEncoder().encode(packet).length;
    return 1 + 4 * Math.ceil((packet.byteLength ?? packet.size) / 3);
  }

  // Between the packets of one body. JSON escapes it, so that no packet of Socket.IO's holds one.
  const SEPARATOR = "\x1e";

  /** Engine.IO's HTTP long-polling: one GET always waits for packets, and one POST at a time brings them. */
  class Polling {
    name = "polling";
    ready = true;
    sid = undefined;
    #session;
    #polling = false;
    #closed = false;
    #paused = undefined; // what to call when nothing is under way, once it is asked to pause
    #requests = new Set();

    constructor(session) {
      this.#session = session;
    }

    get writable() {
      return this.ready;
    }

    open() {
      this.#poll();
    }

    async send(packets) {
      this.ready = false;
      try {
        const body = (await asText(packets)).join(SEPARATOR);
        if (this.#closed) return;
        await this.#request("POST", body);
      } catch (err) {
        this.ready = true;
        if (!this.#closed) this.onerror(err);
        return;
      }
      this.ready = true;
      if (this.#closed) return;
      this.ondrain();
      this.#settle();
    }

    /** Starts no further requests, and calls `done` when those that are under way have ended. */
    pause(done) {
      this.#paused = done;
      this.#settle();
    }

    resume() {
      this.#paused = undefined;
      if (!this.#polling) this.#poll();
    }

    /** With `farewell`, the server is told: without, it knows already, or its session goes on elsewhere. */
    async close(farewell = true) {
      if (this.#closed) return;
      this.#closed = true;
      // A second POST beside one that is under way would be an offence. And the GET is only given up when the
      // server has read the farewell: to it, a GET that breaks off is an error.
      if (farewell && this.sid && this.ready) await this.#request("POST", "1").catch(() => {});
      for (const request of this.#requests) request.abort();
    }

    async #poll() {
      this.#polling = true;
      let text;
      try {
        text = await this.#request("GET");
      } catch (err) {
        if (this.#closed) return;
        this.sid = undefined; // there is nobody to say farewell to
        return this.onerror(err);
      }
      for (const packet of text.split(SEPARATOR)) {
        if (this.#closed) return;
        try {
          this.onpacket(packet);
        } catch (err) {
          // A listener's own, reported as the browser does it for a WebSocket's: polling goes on.
          queueMicrotask(() => { throw err; });
        }
      }
      this.#polling = false;
      if (this.#closed) return;
      if (this.sid === undefined) this.onerror(new Error("server error")); // no handshake: a poll would ask for another
      else if (this.#paused) this.#settle();
      else this.#poll();
    }

    #settle() {
      if (!this.#paused || this.#polling || !this.ready) return;
      const done = this.#paused;
      this.#paused = undefined;
      done();
    }

    /** The body of the answer, or an error as the official client's XMLHttpRequest would make it. */
    async #request(method, body) {
      const { opts } = this.#session;
      const headers = new Headers(opts.extraHeaders ?? {});
      if (method === "POST") headers.set("Content-Type", "text/plain;charset=UTF-8");
      const controller = new AbortController();
      this.#requests.add(controller);
      const timer = opts.requestTimeout && setTimeout(() => controller.abort(), opts.requestTimeout);
      const context = { status: 0, responseText: "" };
      try {
        const response = await fetch(this.#url(), {
          method,
          headers,
          body,
          credentials: opts.withCredentials ? "include" : "same-origin",
          signal: controller.signal,
          keepalive: body === "1", // the farewell outlives the page
        });
        const text = await response.text();
        if (response.status === 200) return text;
        Object.assign(context, { status: response.status, responseText: text });
      } catch (err) {
        context.cause = err; // a browser does not say whether it was refused, broke off or was forbidden
      } finally {
        clearTimeout(timer);
        this.#requests.delete(controller);
      }
      throw transportError(`xhr ${method === "POST" ? "post" : "poll"} error`, context.status, context);
    }

    #url() {
      const { opts } = this.#session;
      return transportUrl("http", this.#session, {
        transport: "polling",
        ...(opts.timestampRequests !== false && timestamp(opts)),
        b64: opts.forceBase64 && !this.sid ? "1" : undefined,
        sid: this.sid,
      });
    }
  }

  /** One packet a message, and bytes as they are unless base64 is forced. */
  class WebSocketTransport {
    name = "websocket";
    ready = true;
    sid = undefined;
    #session;
    #ws = undefined;

    constructor(session) {
      this.#session = session;
    }

    /** False while it is not open or the browser still holds bytes of earlier packets. */
    get writable() {
      return this.ready && this.#ws?.readyState === 1 && this.#ws.bufferedAmount === 0;
    }

    open() {
      const { opts } = this.#session;
      try {
        this.#ws = new WebSocket(this.#url(), opts.protocols ?? []);
      } catch (err) {
        // Reported like every other failure: later, when there are listeners.
        queueMicrotask(() => this.onerror(err));
        return;
      }
      this.#ws.binaryType = "arraybuffer";
      this.#ws.onopen = () => this.onopen();
      this.#ws.onmessage = ({ data }) => this.onpacket(data);
      this.#ws.onerror = (event) => this.onerror(transportError("websocket error", event));
      this.#ws.onclose = (event) => {
        this.onclose({ description: "websocket connection closed", context: event, reason: event.reason });
      };
    }

    send(packets) {
      const encoded = this.#session.opts.forceBase64 ? asText(packets) : packets;
      if (Array.isArray(encoded)) return encoded.forEach((packet) => this.#ws.send(packet));
      this.ready = false;
      encoded.then((texts) => {
        texts.forEach((text) => this.#ws.send(text));
        this.ready = true;
        this.ondrain();
      }).catch((err) => this.onerror(err));
    }

    /** What was sent before is still delivered. */
    close() {
      this.onopen = this.onpacket = this.ondrain = this.onerror = this.onclose = () => {};
      this.#ws?.close();
    }

    #url() {
      const { opts } = this.#session;
      return transportUrl("ws", this.#session, {
        transport: "websocket",
        sid: this.sid,
        ...(opts.timestampRequests && timestamp(opts)),
        b64: opts.forceBase64 ? "1" : undefined,
      });
    }
  }

  const TRANSPORTS = { polling: Polling, websocket: WebSocketTransport };

  // ---------------------------------------------------------------------------------------------
  // Engine: one Engine.IO session, on its first transport and then on the one it upgrades to. Emits open,
  // data, ping, upgrading(transport), upgrade(transport), upgradeError(err), error(err) and
  // close(reason, details); after `close` it is never used again.
  //
  // No packet is lost, doubled or reordered by an upgrade, because each is taken out of `writeBuffer` once,
  // in order, and given to one transport; because from the answer to the probe until the switch none is
  // given to any; and because the switch waits until polling's last request was answered.
  // ---------------------------------------------------------------------------------------------

  // The server's default `upgradeTimeout`: it forgets a probe after that.
  const PROBE_TIMEOUT = 10_000;

  // Whether the last WebSocket of this page worked, for `rememberUpgrade`.
  let websocketWorked = false;

  class Engine extends Emitter {
    #opts;
    #maxPayload = Infinity;
    #flushing = false; // a flush is due at the end of this turn
    #probe = undefined; // the transport that is being tried
    #probeTimer = undefined;

    constructor(address, opts) {
      super();
      this.id = null;
      this.readyState = "opening";
      this.hostname = address.hostname;
      this.transports = (opts.transports ?? ["polling", "websocket"]).filter((name) => name in TRANSPORTS);
      this.writeBuffer = [];
      this.upgrading = false;
      this.#opts = opts;
      this._address = address;
      this._pingDelay = 0;
      this._pingTimer = undefined;
      this._pingDeadline = Infinity;
      this._listenToWindow(opts);
      this._open();
    }

    _open() {
      const remembered = this.#opts.rememberUpgrade && websocketWorked && this.transports.includes("websocket");
      this._use(this._create(remembered ? "websocket" : this.transports[0]));
      this.transport.open();
    }

    _create(name) {
      const opts = { ...this.#opts, ...this.#opts.transportOptions?.[name] };
      return new TRANSPORTS[name]({ address: this._address, opts });
    }

    /** Makes a transport the one that the session is on. */
    _use(transport) {
      this.transport = transport;
      transport.onopen = () => {};
      transport.onpacket = (packet) => this._receive(packet);
      transport.ondrain = () => this._flush();
      transport.onerror = (err) => this._fail(err);
      transport.onclose = (details) => {
        if (this.readyState === "opening") this._fail(transportError("websocket error", details.context));
        else this._close("transport close", details);
      };
    }

    /** Sends one Engine.IO message: text, or bytes (ArrayBuffer, view, Blob). */
    write(message) {
      if (this.readyState === "open") this._send(typeof message === "string" ? "4" + message : message);
    }

    /** Whether a message written now would be on its way at once. */
    get writable() {
      return this.readyState === "open" && this.writeBuffer.length === 0 && this.transport.writable;
    }

    /** Closes the session when all that was written is delivered to the transport and no upgrade is half done. */
    close() {
      if (this.readyState === "opening") this._close("forced close");
      if (this.readyState !== "open") return this;
      this.readyState = "closing";
      this._closeWhenIdle();
      return this;
    }

    /**
     * True when the server's ping is overdue although the timer has not fired: a browser stops the
     * timers of a sleeping or throttled page. What is sent then would be lost, so the caller keeps it.
     */
    hasPingExpired() {
      if (Date.now() <= this._pingDeadline) return false;
      queueMicrotask(() => this._close("ping timeout"));
      return true;
    }

    // ---- packets out

    _send(packet) {
      this.writeBuffer.push(packet);
      if (this.transport.name === "websocket") return this._flush();
      // A request is dear: it takes along what else is written in this turn, such as attachments.
      if (this.#flushing) return;
      this.#flushing = true;
      queueMicrotask(() => {
        this.#flushing = false;
        this._flush();
      });
    }

    _flush() {
      if (this.readyState === "closed" || this.upgrading || !this.transport.ready) return;
      if (this.writeBuffer.length > 0) this.transport.send(this._takeBatch());
      this._closeWhenIdle();
    }

    /** Takes what goes out together: for polling no more than the server reads in one request, but one packet. */
    _takeBatch() {
      let count = this.writeBuffer.length;
      if (this.transport.name === "polling") {
        let size = encodedLength(this.writeBuffer[0]);
        for (let next = 1; next < count; next++) {
          size += SEPARATOR.length + encodedLength(this.writeBuffer[next]);
          if (size > this.#maxPayload) count = next;
        }
      }
      return this.writeBuffer.splice(0, count);
    }

    // ---- packets in

    _receive(packet) {
      if (this.readyState === "closed") return;
      if (typeof packet !== "string") return this._fire("data", packet);
      switch (packet[0]) {
        case "0": return this._handshake(packet.slice(1));
        case "1": {
          const details = { description: "transport closed by the server", reason: packet.slice(1) };
          return this._close("transport close", details, false);
        }
        case "2":
          this._send("3");
          this._expectPing();
          return this._fire("ping");
        case "4": return this._fire("data", packet.slice(1));
        case "b": return this._receiveBase64(packet.slice(1));
        case "3": case "5": case "6": return; // of no use outside of a probe, except to end a poll
        default: this._fail(new Error("server error"));
      }
    }

    _receiveBase64(text) {
      let bytes;
      try {
        bytes = fromBase64(text);
      } catch {
        return this._fail(new Error("server error"));
      }
      this._fire("data", bytes);
    }

    _handshake(json) {
      if (this.readyState !== "opening") return;
      let handshake;
      try {
        handshake = JSON.parse(json);
      } catch {
        // judged below
      }
      const delay = handshake?.pingInterval + handshake?.pingTimeout;
      if (!(delay > 0)) return this._fail(new Error("server error"));
      this.id = this.transport.sid = handshake.sid;
      this.#maxPayload = handshake.maxPayload || Infinity;
      this._pingDelay = Math.min(delay, 2 ** 31 - 1); // a longer timer would fire at once
      this.readyState = "open";
      websocketWorked = this.transport.name === "websocket";
      this._expectPing();
      this._fire("open");
      const upgrades = Array.isArray(handshake.upgrades) ? handshake.upgrades : [];
      const upgradable = this.transport.name === "polling" && this.#opts.upgrade !== false &&
        upgrades.includes("websocket") && this.transports.includes("websocket");
      if (upgradable && this.readyState === "open") this._probe();
    }

    _expectPing() {
      clearTimeout(this._pingTimer);
      this._pingDeadline = Date.now() + this._pingDelay;
      this._pingTimer = setTimeout(() => this._close("ping timeout"), this._pingDelay);
    }

    // ---- from polling to a websocket

    /** Tries a WebSocket beside polling, which goes on meanwhile, and moves the session there if it works. */
    _probe() {
      websocketWorked = false;
      const probe = (this.#probe = this._create("websocket"));
      probe.sid = this.id;
      this.#probeTimer = setTimeout(() => this._endProbe("probe error: timeout"), PROBE_TIMEOUT);
      probe.onopen = () => probe.send(["2probe"]);
      probe.onerror = (err) => this._endProbe(`probe error: ${err}`);
      probe.onclose = () => this._endProbe("probe error: transport closed");
      probe.onpacket = (packet) => {
        // Until it is told to switch, the server says nothing else here.
        if (packet !== "3probe" || this.upgrading) return this._endProbe("probe error");
        // One that is about to close stays where it is.
        if (this.readyState !== "open") return this._endProbe("probe error: socket closed");
        this.upgrading = true;
        try {
          this._fire("upgrading", probe);
        } finally {
          this.transport.pause(() => {
            if (this.#probe === probe) this._upgrade(probe);
          });
        }
      };
      probe.open();
    }

    _upgrade(probe) {
      clearTimeout(this.#probeTimer);
      this.#probe = undefined;
      this.transport.close(false); // its session lives on
      this._use(probe);
      probe.send(["5"]);
      websocketWorked = true;
      this.upgrading = false;
      this._flush();
      this._fire("upgrade", probe);
    }

    /** Gives up the probe. The session stays on polling, if there is still one. */
    _endProbe(message) {
      const probe = this.#probe;
      if (!probe) return;
      clearTimeout(this.#probeTimer);
      this.#probe = undefined;
      probe.close();
      if (this.upgrading) {
        this.upgrading = false;
        if (this.readyState !== "closed") this.transport.resume();
        this._flush();
      }
      this._fire("upgradeError", Object.assign(new Error(message), { transport: probe.name }));
    }

    // ---- the end

    _fail(err) {
      if (this.readyState === "closed") return;
      websocketWorked = false;
      const rest = this.transports.filter((name) => name !== this.transport.name);
      if (this.#opts.tryAllTransports && this.readyState === "opening" && rest.length > 0) {
        this.transport.close();
        this.transports = rest;
        return this._open();
      }
      this._fire("error", err);
      this._close("transport error", err);
    }

    _closeWhenIdle() {
      const idle = this.writeBuffer.length === 0 && this.transport.ready && !this.upgrading;
      if (this.readyState === "closing" && idle) this._close("forced close");
    }

    _close(reason, details, farewell) {
      if (this.readyState === "closed") return;
      this.readyState = "closed";
      this.id = null;
      this.writeBuffer = [];
      clearTimeout(this._pingTimer);
      this._unlistenToWindow?.();
      this.transport.close(farewell);
      this._fire("close", reason, details);
      this._endProbe("probe error: socket closed");
    }

    _listenToWindow(opts) {
      if (typeof addEventListener !== "function") return;
      // The network is gone: do not wait for the ping timeout. The loopback stays reachable.
      const offline = () => this._close("transport close", { description: "network connection lost" });
      // Firefox closes sockets before the page is told to unload, Chromium after: with this option the
      // page hears of no disconnection in either.
      const beforeunload = () => {
        this.#probe?.close();
        this.transport.close();
      };
      if (this.hostname !== "localhost") addEventListener("offline", offline);
      if (opts.closeOnBeforeunload) addEventListener("beforeunload", beforeunload);
      this._unlistenToWindow = () => {
        removeEventListener("offline", offline);
        removeEventListener("beforeunload", beforeunload);
      };
    }
  }

  // ---------------------------------------------------------------------------------------------
  // Packets: `<type>[<attachments>-][<namespace>,][<ack id>][<JSON>]`, then the attachments.
  // ---------------------------------------------------------------------------------------------

  const protocol = 5;
  const CONNECT = 0, DISCONNECT = 1, EVENT = 2, ACK = 3, CONNECT_ERROR = 4, BINARY_EVENT = 5, BINARY_ACK = 6;

  // Names that the library itself emits: refused from the user and from the peer.
  const RESERVED_EVENTS = new Set([
    "connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener",
  ]);

  const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

  /** One packet as the Engine.IO messages that carry it: its text and then its attachments. */
  function encodePacket({ type, nsp, id, data }) {
    const attachments = [];
    const json = data === undefined ? "" : JSON.stringify(data, function (key, value) {
      // `this[key]` is the value before its `toJSON`, which Node's Buffer has.
      const bytes = isBinary(this[key]) ? this[key] : value;
      if (!isBinary(bytes)) return value;
      attachments.push(bytes);
      return { _placeholder: true, num: attachments.length - 1 };
    });
    const head = attachments.length > 0 ? `${type + BINARY_EVENT - EVENT}${attachments.length}-` : `${type}`;
    return [`${head}${nsp === "/" ? "" : nsp + ","}${id ?? ""}${json}`, ...attachments];
  }

  const PACKET_TEXT = /^([0-6])(?:(\d+)-)?(?:(\/[^,]*)(?:,|$))?(\d+)?(.*)$/s;

  /** Puts text and attachments together again. `add` returns a packet when one is complete, or throws. */
  class Decoder {
    #partial = null;

    add(message) {
      if (typeof message !== "string") return this.#addAttachment(message);
      if (this.#partial) throw new Error("got plaintext data when reconstructing a packet");
      const match = PACKET_TEXT.exec(message);
      if (!match) throw new Error("unknown packet type " + message[0]);
      const type = Number(match[1]);
      const binary = type === BINARY_EVENT || type === BINARY_ACK;
      const count = Number(match[2]);
      if (binary ? !(count >= 1) : match[2] !== undefined) throw new Error("Illegal attachments");
      const packet = {
        type: binary ? type - BINARY_EVENT + EVENT : type,
        nsp: match[3] ?? "/",
        id: match[4] === undefined ? undefined : Number(match[4]),
      };
      if (binary) {
        this.#partial = { packet, json: match[5], count, attachments: [] };
        return undefined;
      }
      return finishPacket(packet, match[5]);
    }

    #addAttachment(bytes) {
      const partial = this.#partial;
      if (!partial) throw new Error("got binary data when not reconstructing a packet");
      if (partial.attachments.push(bytes) < partial.count) return undefined;
      this.#partial = null;
      return finishPacket(partial.packet, partial.json, (_key, value) => {
        if (value?._placeholder !== true) return value;
        const { num } = value;
        if (!(Number.isInteger(num) && num >= 0 && num < partial.count)) throw new Error("illegal attachments");
        return partial.attachments[num];
      });
    }

    /** Forgets a packet whose attachments will never come. */
    reset() {
      this.#partial = null;
    }
  }

  function finishPacket(packet, json, reviver) {
    if (json !== "") packet.data = JSON.parse(json, reviver);
    const { type, data } = packet;
    const valid = (data === undefined && type !== EVENT) ||
      (type === CONNECT && isObject(data)) ||
      (type === EVENT && Array.isArray(data) && isEventName(data[0])) ||
      (type === ACK && Array.isArray(data)) ||
      (type === CONNECT_ERROR && (isObject(data) || typeof data === "string"));
    if (!valid) throw new Error("invalid payload");
    return packet;
  }

  const isEventName = (name) =>
    typeof name === "number" || (typeof name === "string" && !RESERVED_EVENTS.has(name));

  // ---------------------------------------------------------------------------------------------
  // Manager: one connection, shared by the sockets of several namespaces, and its reconnection.
  // Events: open, error(err), close(reason, details), packet, ping, reconnect_scheduled(attempt, delay),
  // reconnect_attempt(attempt), reconnect(attempt), reconnect_error(err), reconnect_failed.
  // ---------------------------------------------------------------------------------------------

  class Manager extends Emitter {
    constructor(uri, opts) {
      super();
      if (isObject(uri)) [uri, opts] = [undefined, uri];
      this.opts = { ...opts, path: opts?.path || "/socket.io" };
      checkOptions(this.opts);
      this.uri = uri;
      this.nsps = {};
      this.engine = undefined;
      this._readyState = "closed";
      this._reconnecting = false;
      this._skipReconnect = false;
      this._attempts = 0;
      this._timer = undefined; // the next reconnection, or the limit of the current attempt
      this._decoder = new Decoder();

      const { reconnection, timeout } = this.opts;
      this.reconnection(reconnection !== false);
      this.reconnectionAttempts(this.opts.reconnectionAttempts || Infinity);
      this.reconnectionDelay(this.opts.reconnectionDelay || 1000);
      this.reconnectionDelayMax(this.opts.reconnectionDelayMax || 5000);
      this.randomizationFactor(this.opts.randomizationFactor ?? 0.5);
      this.timeout(timeout ?? 20000);

      this._autoConnect = this.opts.autoConnect !== false;
      if (this._autoConnect) this.open();
    }

    // Each reads without, and writes with an argument.
    reconnection(value) {
      if (value === false) this._skipReconnect = true;
      return this.#option("_reconnection", value);
    }
    reconnectionAttempts(value) { return this.#option("_reconnectionAttempts", value); }
    reconnectionDelay(value) { return this.#option("_reconnectionDelay", value); }
    reconnectionDelayMax(value) { return this.#option("_reconnectionDelayMax", value); }
    randomizationFactor(value) { return this.#option("_randomizationFactor", value); }
    timeout(value) { return this.#option("_timeout", value); }

    #option(field, value) {
      if (value === undefined) return this[field];
      this[field] = value;
      return this;
    }

    /** The socket of a namespace. Sockets are kept: asking again returns, and reconnects, the same. */
    socket(nsp, opts) {
      const existing = this.nsps[nsp];
      if (existing) {
        if (this._autoConnect && !existing.active) existing.connect();
        return existing;
      }
      return (this.nsps[nsp] = new Socket(this, nsp, opts));
    }

    /** Opens the connection now. With `done(err)`, which hears of this attempt only, it is not repeated. */
    open(done) {
      if (this._readyState !== "closed") return this;
      this.#reset(); // it takes the place of a scheduled attempt
      this._reconnecting = false;
      this.#open(done);
      return this;
    }

    #open(done) {
      this._readyState = "opening";
      this._skipReconnect = false;
      const engine = (this.engine = new Engine(parseAddress(this.uri), this.opts));
      const fail = (err) => {
        this.#reset();
        this._readyState = "closed";
        this.#onError(err);
        if (done) done(err);
        else if (this._reconnection) this.#reconnect();
      };
      const current = () => this.engine === engine;
      engine.on("open", () => {
        if (this._readyState !== "opening" || !current()) return;
        this.#onOpen();
        done?.();
      });
      engine.on("error", (err) => {
        if (!current()) return;
        if (this._readyState === "opening") fail(err);
        else if (this._readyState === "open") this.#onError(err);
      });
      engine.on("close", (reason, details) => {
        if (current() && this._readyState === "open") this.#onClose(reason, details);
      });
      engine.on("data", (message) => {
        if (current() && this._readyState === "open") this.#onData(message);
      });
      engine.on("ping", () => this._fire("ping"));
      if (this._timeout !== false) {
        this._timer = setTimeout(() => {
          fail(new Error("timeout"));
          engine.close();
        }, this._timeout);
      }
    }

    connect(done) {
      return this.open(done);
    }

    /** Closes the connection for all namespaces, without reconnection. */
    disconnect() {
      this._skipReconnect = true;
      this._reconnecting = false;
      this.#onClose("forced close");
    }

    /** Called by a socket that left: the last one takes the connection with it. */
    _release() {
      if (!Object.values(this.nsps).some((socket) => socket.active)) this.disconnect();
    }

    _send(packet) {
      for (const message of encodePacket(packet)) this.engine.write(message);
    }

    #onOpen() {
      this.#reset();
      this._readyState = "open";
      for (const socket of this.#activeSockets()) socket._onOpen();
      this._fire("open");
    }

    #onError(err) {
      for (const socket of this.#activeSockets()) socket._onError(err);
      this._fire("error", err);
    }

    #onData(message) {
      let packet;
      try {
        packet = this._decoder.add(message);
      } catch (err) {
        return this.#onClose("parse error", err);
      }
      if (!packet) return;
      const socket = this.nsps[packet.nsp];
      if (socket?.active) socket._onPacket(packet);
      this._fire("packet", packet);
    }

    #onClose(reason, details) {
      this.#reset();
      this._readyState = "closed";
      this.engine?.close();
      this._attempts = 0;
      for (const socket of this.#activeSockets()) socket._onClose(reason, details);
      this._fire("close", reason, details);
      if (this._reconnection && !this._skipReconnect) this.#reconnect();
    }

    #activeSockets() {
      return Object.values(this.nsps).filter((socket) => socket.active);
    }

    #reset() {
      clearTimeout(this._timer);
      this._decoder.reset();
    }

    #reconnect() {
      // A listener may have opened it again meanwhile.
      if (this._reconnecting || this._skipReconnect || this._readyState !== "closed") return;
      if (this._attempts >= this._reconnectionAttempts) {
        this._attempts = 0;
        this._fire("reconnect_failed");
        return;
      }
      const delay = this.#nextDelay();
      this._reconnecting = true;
      this._timer = setTimeout(() => {
        this._fire("reconnect_attempt", this._attempts);
        // A listener may have called disconnect() or open().
        if (this._skipReconnect || this._readyState !== "closed") return;
        this.#open((err) => {
          this._reconnecting = false;
          if (err) {
            this.#reconnect();
            this._fire("reconnect_error", err);
          } else {
            const attempt = this._attempts;
            this._attempts = 0;
            this._fire("reconnect", attempt);
          }
        });
      }, delay);
      this._fire("reconnect_scheduled", this._attempts, delay);
    }

    /** Doubles from `reconnectionDelay`, each randomised around its value, up to `reconnectionDelayMax`. */
    #nextDelay() {
      const base = this._reconnectionDelay * 2 ** this._attempts++;
      const spread = (Math.random() * 2 - 1) * this._randomizationFactor * base;
      return Math.floor(Math.min(base + spread, this._reconnectionDelayMax));
    }
  }

  // ---------------------------------------------------------------------------------------------
  // Socket: one namespace. What is emitted while it is disconnected waits in `sendBuffer`; what arrives
  // before the namespace is joined waits in `receiveBuffer`. Both are emptied before `connect` fires.
  // ---------------------------------------------------------------------------------------------

  class Socket extends Emitter {
    #pid = undefined;
    #offset = undefined;

    constructor(manager, nsp, opts) {
      super();
      this.io = manager;
      this.nsp = nsp;
      this.auth = opts?.auth;
      this.id = undefined;
      this.connected = false;
      this.recovered = false;
      /** Whether it takes part in (re)connections of its manager. */
      this.active = false;
      this.sendBuffer = [];
      this.receiveBuffer = [];
      this.flags = {};
      this._acks = new Map();
      this._nextAck = 0;
      this._anyListeners = [];
      this._anyOutgoingListeners = [];
      if (manager._autoConnect) this.connect();
    }

    get disconnected() {
      return !this.connected;
    }

    connect() {
      if (this.connected) return this;
      // An active socket has sent its CONNECT with the connection it has; a second one would be refused.
      const joining = this.active && this.io._readyState === "open";
      this.active = true;
      if (!this.io._reconnecting) this.io.open();
      if (this.io._readyState === "open" && !joining) this._onOpen();
      return this;
    }

    open() {
      return this.connect();
    }

    disconnect() {
      if (this.connected) this.io._send({ type: DISCONNECT, nsp: this.nsp });
      this.#leave();
      if (this.connected) this._onClose("io client disconnect");
      return this;
    }

    close() {
      return this.disconnect();
    }

    // ---- out

    get volatile() {
      this.flags.volatile = true;
      return this;
    }

    timeout(ms) {
      this.flags.timeout = ms;
      return this;
    }

    /** Has no effect: whether messages are compressed is between the browser and the server. */
    compress(_compress) {
      return this;
    }

    send(...args) {
      return this.emit("message", ...args);
    }

    emit(event, ...args) {
      if (RESERVED_EVENTS.has(event)) throw new Error(`"${event}" is a reserved event name`);
      const { flags } = this;
      this.flags = {};
      const packet = { type: EVENT, nsp: this.nsp, data: [event, ...args] };
      if (typeof args[args.length - 1] === "function") {
        packet.id = this._nextAck++;
        this.#expectAck(packet, packet.data.pop(), flags.timeout);
      }
      const { engine } = this.io;
      if (flags.volatile && !engine?.writable) return this;
      if (this.connected && !engine.hasPingExpired()) this.#sendEvent(packet);
      else this.sendBuffer.push(packet);
      return this;
    }

    emitWithAck(event, ...args) {
      return new Promise((resolve, reject) => {
        const callback = (err, value) => (err ? reject(err) : resolve(value));
        callback.withError = true;
        this.emit(event, ...args, callback);
      });
    }

    #sendEvent(packet) {
      for (const listener of [...this._anyOutgoingListeners]) listener.apply(this, packet.data);
      this.io._send(packet);
    }

    /** `withError` callbacks take an error first and are always called; plain ones may never be. */
    #expectAck(packet, callback, timeout) {
      const ack = { callback, withError: callback.withError === true || timeout !== undefined, timer: undefined };
      if (timeout !== undefined) {
        ack.timer = setTimeout(() => {
          this._acks.delete(packet.id);
          this.sendBuffer = this.sendBuffer.filter((each) => each !== packet);
          callback.call(this, new Error("operation has timed out"));
        }, timeout);
      }
      this._acks.set(packet.id, ack);
    }

    // ---- in, called by the manager

    _onOpen() {
      const { engine } = this.io;
      const join = (data) => {
        // An `auth` function may answer when this connection is gone, or the socket was closed.
        if (this.active && this.io.engine === engine) this.io._send({ type: CONNECT, nsp: this.nsp, data });
      };
      // What it knows of the connection before this one, for the server to recover it.
      const resume = (data) => join(this.#pid ? { pid: this.#pid, offset: this.#offset, ...data } : data);
      if (typeof this.auth === "function") this.auth(resume);
      else resume(this.auth);
    }

    _onPacket({ type, id, data }) {
      switch (type) {
        case CONNECT: return this.#onConnect(data);
        case EVENT: return this.#onEvent(id, data);
        case ACK: return this.#onAck(id, data ?? []);
        case DISCONNECT:
          this.#leave();
          return this._onClose("io server disconnect");
        case CONNECT_ERROR: {
          this.#leave();
          const err = new Error(data?.message ?? data);
          err.data = data?.data;
          this._fire("connect_error", err);
        }
      }
    }

    _onError(err) {
      if (!this.connected) this._fire("connect_error", err);
    }

    _onClose(reason, details) {
      const buffered = new Set(this.sendBuffer.map((packet) => packet.id));
      this.connected = false;
      this.id = undefined;
      this._fire("disconnect", reason, details);
      for (const [id, ack] of [...this._acks]) {
        if (buffered.has(id)) continue; // not sent yet: its answer can still come
        this._acks.delete(id);
        clearTimeout(ack.timer);
        if (ack.withError) ack.callback.call(this, new Error("socket has been disconnected"));
      }
    }

    #onConnect(data) {
      if (!data?.sid) {
        this._fire("connect_error", new Error("It seems you are trying to reach a Socket.IO server in v2.x with a v3.x client, but they are not compatible (more information here: https://socket.io/docs/v3/migrating-from-2-x-to-3-0/)"));
        return;
      }
      this.id = data.sid;
      this.recovered = data.pid !== undefined && data.pid === this.#pid;
      this.#pid = data.pid; // absent where the server does not recover
      this.connected = true;
      const received = this.receiveBuffer;
      this.receiveBuffer = [];
      for (const args of received) this.#deliver(args);
      const waiting = this.sendBuffer;
      this.sendBuffer = [];
      for (const packet of waiting) this.#sendEvent(packet);
      this._fire("connect");
    }

    #onEvent(id, args) {
      if (id !== undefined) args.push(this.#answer(id));
      if (this.connected) this.#deliver(args);
      else this.receiveBuffer.push(args);
    }

    #deliver(args) {
      for (const listener of [...this._anyListeners]) listener.apply(this, args);
      this._fire(...args);
      // Where the server recovers, it tells with each event how far this one has come.
      const last = args[args.length - 1];
      if (this.#pid && typeof last === "string") this.#offset = last;
    }

    #answer(id) {
      let sent = false;
      const { engine } = this.io;
      return (...data) => {
        if (sent) return;
        sent = true;
        // The id means nothing on a later connection.
        if (this.active && this.io.engine === engine) this.io._send({ type: ACK, nsp: this.nsp, id, data });
      };
    }

    #onAck(id, data) {
      const ack = this._acks.get(id);
      if (!ack) return;
      this._acks.delete(id);
      clearTimeout(ack.timer);
      if (ack.withError) ack.callback.call(this, null, ...data);
      else ack.callback.apply(this, data);
    }

    #leave() {
      this.active = false;
      this.io._release();
    }

    // ---- listeners for every event

    onAny(listener) { this._anyListeners.push(listener); return this; }
    prependAny(listener) { this._anyListeners.unshift(listener); return this; }
    offAny(listener) { remove(this._anyListeners, listener); return this; }
    listenersAny() { return this._anyListeners; }
    onAnyOutgoing(listener) { this._anyOutgoingListeners.push(listener); return this; }
    prependAnyOutgoing(listener) { this._anyOutgoingListeners.unshift(listener); return this; }
    offAnyOutgoing(listener) { remove(this._anyOutgoingListeners, listener); return this; }
    listenersAnyOutgoing() { return this._anyOutgoingListeners; }
  }

  /** Removes one listener, or all when none is named. */
  function remove(listeners, listener) {
    if (listener === undefined) listeners.length = 0;
    const at = listeners.indexOf(listener);
    if (at >= 0) listeners.splice(at, 1);
  }

  // ---------------------------------------------------------------------------------------------
  // io(): from an address to a socket, by way of the cached managers.
  // ---------------------------------------------------------------------------------------------

  const ADDRESS = /^(https?|wss?):\/\/(?:[^@/?#]*@)?([^/?#]+)([^?#]*)(?:\?([^#]*))?/;

  /** Completes an address from the page's own, and takes it apart; its path is the namespace. */
  function parseAddress(uri) {
    const page = typeof location === "undefined" ? undefined : location;
    let text = uri ?? "/";
    if (text.startsWith("//")) text = (page?.protocol ?? "https:") + text;
    else if (text.startsWith("/")) text = `${page?.protocol}//${page?.host}${text}`;
    else if (!/^(https?|wss?):\/\//.test(text)) text = `${page?.protocol ?? "https:"}//${text}`;
    const match = ADDRESS.exec(text);
    if (!match) throw new Error(`Sockeye's client cannot make an address of ${JSON.stringify(text)}`);
    const secure = match[1] === "https" || match[1] === "wss";
    const authority = match[2].replace(secure ? /:443$/ : /:80$/, "");
    const hostname = authority.replace(/:\d*$/, "");
    return { uri: text, secure, authority, hostname, nsp: match[3] || "/", query: match[4] ?? "" };
  }

  const managers = new Map();

  function io(uri, opts) {
    if (isObject(uri)) [uri, opts] = [undefined, uri];
    opts = { ...opts };
    const address = parseAddress(uri);
    const key = `${address.secure} ${address.authority} ${opts.path || "/socket.io"}`;
    const cached = managers.get(key);
    // A second socket of the same namespace needs a connection of its own.
    const alone = opts.forceNew || opts.multiplex === false || (cached && address.nsp in cached.nsps);
    checkOptions(opts);
    const manager = (!alone && cached) || new Manager(address.uri, opts);
    if (!alone) managers.set(key, manager);
    return manager.socket(address.nsp, opts);
  }

  return Object.assign(io, { io, connect: io, Manager, Socket, protocol });
})();
