// The WebSocket, which reconnects with exponential backoff and jitter.

const FIRST_PAUSE_MS = 500;
const PAUSE_MS_MAX = 15_000;
const OPEN_WITHIN_MS = 10_000;
/** After a connection has lasted this long, the next reconnect starts with a short pause again. */
const SOUND_AFTER_MS = 5_000;

export class Live {
  #socket = null;
  #timer = 0;
  #pauseMs = FIRST_PAUSE_MS;
  #openedAt = 0;
  state = "connecting";
  retryAt = 0;
  lastMessageAt = 0;

  constructor(path, { onMessage, onState }) {
    this.path = path;
    this.onMessage = onMessage;
    this.onState = onState;
  }

  open() {
    clearTimeout(this.#timer);
    this.#drop();
    this.#become("connecting");
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}${this.path}`);
    this.#socket = socket;
    this.#timer = setTimeout(() => this.#lost(socket), OPEN_WITHIN_MS);
    socket.onopen = () => {
      clearTimeout(this.#timer);
      this.#openedAt = performance.now();
      this.lastMessageAt = performance.now();
      this.#become("live");
    };
    socket.onmessage = (event) => this.#receive(event.data);
    socket.onclose = () => this.#lost(socket);
  }

  #receive(data) {
    this.lastMessageAt = performance.now();
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      return;
    }
    if (message !== null && typeof message === "object") this.onMessage(message);
  }

  #lost(socket) {
    if (socket !== this.#socket) return;
    clearTimeout(this.#timer);
    this.#drop();
    if (this.#openedAt && performance.now() - this.#openedAt > SOUND_AFTER_MS) this.#pauseMs = FIRST_PAUSE_MS;
    this.#openedAt = 0;
    const pause = this.#pauseMs * (0.75 + Math.random() / 2);
    this.#pauseMs = Math.min(PAUSE_MS_MAX, this.#pauseMs * 2);
    this.retryAt = performance.now() + pause;
    this.#timer = setTimeout(() => this.open(), pause);
    this.#become("offline");
  }

  #drop() {
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #become(state) {
    this.state = state;
    this.onState(state);
  }
}
