// The panels of analytics: the table of averages, and the list of anomalies.

import { kindName, score } from "./chart.js";
import { element, onlyOneStop, setText, stepThrough } from "./elements.js";
import { compact, exact, localTime, percent, price, textDigits, utcTime } from "./format.js";

export const WINDOWS = [
  { name: "1m", ms: 60_000, dash: [], width: 1.1 },
  { name: "5m", ms: 300_000, dash: [], width: 1.9 },
  { name: "1h", ms: 3_600_000, dash: [6, 4], width: 1.9 },
];
const KINDS = ["sma", "twap", "ema", "vwap"];
const DRAWN_AT_FIRST = "1m.ema,5m.vwap";
const CELL_CHARS_MAX = 9;
const ANOMALIES_MAX = 500;
const ANOMALIES_SHOWN_MAX = 100;

/** The table of averages, in which each value is a button that draws its line. */
export class AverageTable {
  #cells = new Map();
  #ticks = new Map();
  #hint = document.getElementById("averages-hint");

  constructor(table, { stored, store, onChange }) {
    const drawn = new Set(stored("averages", DRAWN_AT_FIRST).split(","));
    for (const window of WINDOWS) {
      const row = table.tBodies[0].insertRow();
      row.append(element("th", { scope: "row" }, window.name));
      for (const kind of KINDS) {
        const value = element("span", { class: "number" }, "–");
        const swatch = element("i", { class: `swatch ${kind} w${window.name}`, "aria-hidden": "true" });
        const key = `${window.name}.${kind}`;
        const label = `Draw ${kind.toUpperCase()} over ${window.name}`;
        const button = element("button", { type: "button", class: "average", title: label, "aria-label": label, "aria-pressed": String(drawn.has(key)) }, swatch, value);
        button.addEventListener("click", () => {
          const on = button.getAttribute("aria-pressed") !== "true";
          button.setAttribute("aria-pressed", String(on));
          store("averages", this.chosen().map(({ window: { name }, kind: one }) => `${name}.${one}`).join(","));
          onChange();
        });
        row.insertCell().append(button);
        this.#cells.set(key, { button, value, window, kind });
      }
      const ticks = row.insertCell();
      ticks.className = "ticks";
      this.#ticks.set(window.name, ticks);
    }
  }

  chosen() {
    return [...this.#cells.values()]
      .filter(({ button }) => button.getAttribute("aria-pressed") === "true")
      .map(({ window, kind }) => ({ window, kind, dash: window.dash, width: window.width, label: `${kind.toUpperCase()} ${window.name}` }));
  }

  show(averages, digits) {
    for (const { value, button, window, kind } of this.#cells.values()) {
      const text = fitting(averages[window.name]?.latest?.[kind] ?? null, digits);
      setText(value, text);
      button.setAttribute("aria-label", `Draw ${kind.toUpperCase()} over ${window.name}, now ${text}`);
    }
    for (const [name, cell] of this.#ticks) {
      const ticks = averages[name]?.latest?.ticks;
      setText(cell, ticks === undefined ? "–" : compact(ticks));
    }
  }

  /** Hints about the lines: until when they are estimates, and which share of the ticks they are computed from. */
  hint(estimatedUntil, share) {
    const hints = [];
    if (share === 0) hints.push("No ticks go to the stream, so the server computes no candles or averages now.");
    else if (share < 100) hints.push(`Candles and averages are computed from the ${percent(share)} of ticks in the stream.`);
    if (estimatedUntil) hints.push(`Until ${localTime(estimatedUntil)} the lines are estimates from candles; after that they are the server's values.`);
    setText(this.#hint, hints.join(" "));
  }
}

/** A price, with fewer digits if the cell would overflow. */
function fitting(value, digits) {
  let text = price(value, digits);
  for (let fewer = digits - 1; fewer >= 0 && text.length > CELL_CHARS_MAX; fewer -= 1) text = price(value, fewer);
  return text;
}

/** Anomalies, newest first; selecting one shows its time in the chart. Each can be marked as a false alarm, and its pair muted. */
export class AnomalyList {
  #list;
  #here;
  #name;
  #onPick;
  #onMark;
  #onMute;
  #known = new Map();
  /** Until when each pair is muted, epoch milliseconds. */
  #muted = new Map();
  #mutedPairs = [];
  #pair = null;

  constructor(list, here, { name, onPick, onMark, onMute }) {
    this.#list = list;
    this.#here = here;
    this.#name = name;
    this.#onPick = onPick;
    this.#onMark = onMark;
    this.#onMute = onMute;
    here.addEventListener("change", () => this.#show());
    stepThrough(list);
    this.#show();
  }

  add(rows) {
    let added = false;
    for (const row of rows) {
      const known = this.#known.get(keyOf(row));
      // The live feed does not know the marks.
      if (known && (row.false_alarm === undefined || Boolean(row.false_alarm) === Boolean(known.false_alarm))) continue;
      this.#known.set(keyOf(row), row);
      added = true;
    }
    if (!added) return;
    const newest = [...this.#known].sort(([, a], [, b]) => b.timestamp - a.timestamp).slice(0, ANOMALIES_MAX);
    this.#known = new Map(newest);
    this.#show();
  }

  /** The muted pairs, as the server has them. */
  mute(pairs) {
    this.#mutedPairs = pairs;
    this.#muted = new Map(pairs.map(({ token, quote, until }) => [`${token}/${quote}`, until ?? Infinity]));
    this.#show();
  }

  choose(pair) {
    this.#pair = pair;
    this.#show();
  }

  #of({ token, quote }) {
    return [...this.#known.values()].filter((row) => row.token === token && row.quote === quote);
  }

  /** Those of a market that the chart marks: no false alarms, and none of a muted market. */
  marked(pair) {
    return this.#isMuted(pair) ? [] : this.#of(pair).filter((row) => !row.false_alarm);
  }

  #isMuted({ token, quote }) {
    return Date.now() < (this.#muted.get(`${token}/${quote}`) ?? 0);
  }

  #show() {
    const onlyHere = this.#here.checked && this.#pair;
    const all = onlyHere ? this.#of(this.#pair) : [...this.#known.values()];
    const rows = all.filter((row) => onlyHere || !this.#isMuted(row));
    const items = rows.slice(0, ANOMALIES_SHOWN_MAX).map((row) => this.#item(row));
    if (!items.length) items.push(element("li", { class: "none" }, "None so far. Prices that depart from their past appear here and on the chart."));
    const focused = this.#list.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    this.#list.replaceChildren(...this.#mutes(), ...items);
    const again = [...this.#list.querySelectorAll("button")].find((button) => button.dataset.key === focused);
    onlyOneStop(this.#list, again ?? this.#list.querySelector("button"));
    again?.focus({ preventScroll: true });
  }

  /** A line for each muted market: its anomalies are hidden, so it could not be found again. */
  #mutes() {
    const muted = this.#mutedPairs.filter((pair) => this.#isMuted(pair));
    return muted.map((pair) => {
      const name = this.#name(pair.token, pair.quote);
      const end = element("button", { type: "button", class: "mark", title: `Muted by ${pair.who}`, data: { key: `mute of ${pair.token}/${pair.quote}` } }, "Unmute");
      end.addEventListener("click", () => void this.#onMute(pair, false));
      return element("li", { class: "muted-market" }, `Anomalies of ${name} are hidden.`, element("span", { class: "marks" }, end));
    });
  }

  #item(row) {
    const name = this.#name(row.token, row.quote);
    const venue = row.source ? ` at ${row.source}` : "";
    const title = `${name}${venue}\n${utcTime(row.timestamp)}\n${row.message}`;
    const button = element(
      "button",
      { type: "button", class: "pick", title, data: { key: keyOf(row) } },
      element("span", { class: "time" }, localTime(row.timestamp)),
      element("span", { class: "what" }, name),
      element("span", { class: "number", title: exact(row.price) }, price(row.price, textDigits(row.price))),
      element("span", { class: "score", title: "Score: 0.5 is reported, 1 is the most" }, score(row.score)),
      element("span", { class: "reason" }, element("strong", {}, kindName(row)), ` ${row.message}`),
    );
    button.addEventListener("click", () => this.#onPick(row));
    const isFalse = Boolean(row.false_alarm);
    const mark = element("button", { type: "button", class: "mark", "aria-pressed": String(isFalse), data: { key: `${keyOf(row)} mark` }, title: isFalse ? `Marked by ${row.false_alarm.who}` : "Marks it as a false alarm" }, "False alarm");
    mark.addEventListener("click", () => void this.#onMark(row, !isFalse));
    const isMuted = this.#isMuted(row);
    const mute = element("button", { type: "button", class: "mark", "aria-pressed": String(isMuted), data: { key: `${keyOf(row)} mute` }, title: `Hides the anomalies of ${name}` }, isMuted ? "Muted" : "Mute");
    mute.addEventListener("click", () => void this.#onMute(row, !isMuted));
    return element("li", { class: isFalse || isMuted ? "quiet" : "" }, button, element("span", { class: "marks" }, mark, mute));
  }
}

function keyOf(row) {
  // A silence has the tick that came before it, which may be an anomaly of its own.
  return `${row.tick_id} ${row.timestamp} ${row.token} ${row.quote}`;
}
