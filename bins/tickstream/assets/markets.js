// The list of markets: the last price of each, its change, and its age.

import * as api from "./api.js";
import { colour, element, onlyOneStop, setText, stepThrough } from "./elements.js";
import { change, count, duration, exact, price, shortName, textDigits } from "./format.js";
import { sparkline } from "./paint.js";

const SAMPLE_EVERY_MS = 3_000;
const PAST_MS = 300_000;
const OLD_AFTER_MS = 10_000;
const FLASH_MS = 350;
/** More rows than this are only found through the filter. */
const ROWS_MAX = 200;
/** The most markets that the page knows; those that have not traded for the longest time are forgotten. */
const PAIRS_MAX = 4_000;
const FILTER_FROM = 12;
const PAST_TOKENS_MAX = 24;
const MINT_CHARS_SHOWN = 4;

export class Markets {
  #list;
  #filter;
  #note;
  #onPick;
  #pairs = new Map();
  #rows = new Map();
  #symbols = new Map();
  #chosen = null;
  #pastLoaded = new Set();
  #sampledAt = 0;
  #arranged = "";
  /** Whether the list still has to scroll to the selected market. After that, only the user scrolls it. */
  #toReveal = true;
  #now;

  constructor(list, filter, note, { now, onPick }) {
    this.#now = now;
    this.#list = list;
    this.#filter = filter;
    this.#note = note;
    this.#onPick = onPick;
    filter.addEventListener("input", () => this.#arrange());
    stepThrough(list);
  }

  get size() {
    return this.#pairs.size;
  }

  get(token, quote) {
    return this.#pairs.get(`${token}/${quote}`);
  }

  /** The initial market: the one that traded last, which is likely a busy one. */
  first() {
    return [...this.#pairs.values()].reduce((best, pair) => (!best || pair.timestamp > best.timestamp ? pair : best), undefined);
  }

  /** The symbol if it is known, or else the abbreviated mint address. */
  label(token, quote) {
    return `${this.#name(token)} / ${this.#name(quote)}`;
  }

  #name(token) {
    return this.#symbols.get(token) ?? shortName(token);
  }

  /** The quote, and the start of the mint's address if a symbol is shown, since `SOL` may also be a token's own name. */
  #unit({ token, quote }) {
    const mint = [token, quote].find((name) => this.#symbols.has(name));
    return mint ? `${this.#name(quote)} · ${mint.slice(0, MINT_CHARS_SHOWN)}…` : this.#name(quote);
  }

  /** The age of the last tick, by the server's clock. */
  age(pair) {
    return Math.max(0, this.#now() - pair.timestamp);
  }

  /** Adds markets with the symbols of their tokens. */
  learn(rows) {
    for (const row of rows) {
      if (row.symbol) this.#symbols.set(row.token, row.symbol);
      if (row.quote_symbol) this.#symbols.set(row.quote, row.quote_symbol);
      this.#put(row);
    }
  }

  setAll(rows) {
    this.learn(rows);
    // In the server's order, regardless of which tick came first.
    const order = new Map(rows.map((row, index) => [`${row.token}/${row.quote}`, index]));
    const place = ([key]) => order.get(key) ?? Infinity;
    this.#pairs = new Map([...this.#pairs].sort((a, b) => place(a) - place(b) || 0));
    this.#arrange();
    this.#toReveal &&= this.#chosen === null;
  }

  /** Adds a live tick; returns true if its market is new. */
  take(tick) {
    const known = this.#pairs.has(`${tick.token}/${tick.quote}`);
    this.#put(tick);
    if (this.#pairs.size > PAIRS_MAX) this.#forgetOldest();
    return !known;
  }

  /** Keeps the half of the markets that traded last, and the selected one. */
  #forgetOldest() {
    const byAge = [...this.#pairs.values()].sort((a, b) => a.timestamp - b.timestamp);
    for (const { key, token } of byAge.slice(0, PAIRS_MAX / 2)) {
      if (key === this.#chosen) continue;
      this.#pairs.delete(key);
      this.#pastLoaded.delete(token);
      this.#symbols.delete(token);
    }
    this.#arrange();
  }

  #put({ token, quote, price: text, timestamp, source }) {
    const key = `${token}/${quote}`;
    let pair = this.#pairs.get(key);
    if (!pair) {
      pair = { key, token, quote, price: null, timestamp: 0, source, digits: 0, samples: [] };
      this.#pairs.set(key, pair);
    }
    // The server drops trailing zeros, so use the most digits seen so far.
    pair.digits = Math.max(pair.digits, textDigits(text));
    if (timestamp < pair.timestamp || text === null) return;
    if (pair.price !== null && text !== pair.price) pair.flash = { up: Number(text) > Number(pair.price), at: performance.now() };
    Object.assign(pair, { price: text, timestamp, source });
  }

  choose(pair) {
    this.#chosen = pair.key;
    for (const [key, row] of this.#rows) row.button.setAttribute("aria-current", String(key === pair.key));
    this.#toReveal = true;
    this.#arrange();
  }

  /** Scrolls the list to the selected market, without scrolling the page. */
  #reveal() {
    const item = this.#rows.get(this.#chosen)?.item.getBoundingClientRect();
    const list = this.#list.getBoundingClientRect();
    if (!item || !item.width) return;
    if (item.left < list.left || item.right > list.right) this.#list.scrollLeft += item.left - list.left;
    if (item.top < list.top || item.bottom > list.bottom) this.#list.scrollTop += item.top - list.top - (list.height - item.height) / 2;
  }

  /** Loads the last minutes of the first markets, so their small charts are not empty at first. */
  async loadPast() {
    const tokens = [...new Set([...this.#pairs.values()].map((pair) => pair.token))].slice(0, PAST_TOKENS_MAX);
    for (const token of tokens.filter((name) => !this.#pastLoaded.has(name))) {
      this.#pastLoaded.add(token);
      const answer = await api.candles(token, { interval: "1m", from: Date.now() - PAST_MS - 60_000, limit: 200 }).catch(() => null);
      for (const candle of answer?.candles ?? []) {
        const pair = this.get(candle.token, candle.quote);
        const before = pair?.samples[0]?.t ?? Infinity;
        if (pair && candle.start < before) pair.past = [...(pair.past ?? []), { t: candle.start, p: Number(candle.open) }];
      }
    }
  }

  /** Draws what changed. Called a few times a second. */
  show() {
    const now = Date.now();
    const samples = now - this.#sampledAt >= SAMPLE_EVERY_MS;
    if (samples) {
      this.#sampledAt = now;
      for (const pair of this.#pairs.values()) this.#sample(pair, now);
    }
    if (this.#arranged !== this.#signature()) this.#arrange();
    for (const [key, row] of this.#rows) this.#showRow(this.#pairs.get(key), row, samples);
  }

  #sample(pair, now) {
    if (pair.past) {
      pair.samples = pair.past.sort((a, b) => a.t - b.t).concat(pair.samples);
      pair.past = null;
    }
    pair.samples.push({ t: now, p: Number(pair.price) });
    const first = pair.samples.findIndex(({ t }) => t >= now - PAST_MS);
    if (first > 0) pair.samples.splice(0, first);
  }

  /** Updates a market's price in the list at once, to match where else it is shown. */
  showPrice(pair) {
    const row = this.#rows.get(pair.key);
    if (!row) return;
    setText(row.price, price(pair.price, pair.digits));
    row.price.title = exact(pair.price);
  }

  #showRow(pair, row, samples) {
    this.showPrice(pair);
    const flashes = pair.flash && performance.now() - pair.flash.at < FLASH_MS;
    row.price.dataset.flash = flashes ? (pair.flash.up ? "up" : "down") : "";
    const age = this.age(pair);
    const old = age > OLD_AFTER_MS;
    row.button.classList.toggle("old", old);
    const ratio = pair.samples.length > 1 ? Number(pair.price) / pair.samples[0].p - 1 : NaN;
    setText(row.change, old ? `${duration(age)} old` : change(ratio));
    row.change.dataset.sign = old ? "0" : String(Math.sign(Math.round(ratio * 10_000)));
    if (!samples) return;
    const values = pair.samples.map(({ p }) => p);
    const stroke = colour(old ? "faint" : ratio < 0 ? "down" : "up");
    sparkline(row.spark, evenly(pair.samples), { colour: stroke, most: Math.max(...values), least: Math.min(...values) });
  }

  #signature() {
    return `${this.#filter.value}|${this.#pairs.size}|${this.#symbols.size}`;
  }

  #arrange() {
    this.#arranged = this.#signature();
    const wanted = this.#filter.value.trim().toLowerCase();
    const fits = (pair) => !wanted || `${pair.key} ${this.label(pair.token, pair.quote)}`.toLowerCase().includes(wanted);
    const shown = [...this.#pairs.values()].filter(fits).slice(0, ROWS_MAX);
    this.#filter.hidden = this.#pairs.size < FILTER_FROM;
    setText(this.#note, shown.length < this.#pairs.size ? `${count(shown.length)} of ${count(this.#pairs.size)}` : "change over 5 min");
    const keys = new Set(shown.map((pair) => pair.key));
    for (const [key, row] of this.#rows) {
      if (keys.has(key)) continue;
      row.item.remove();
      this.#rows.delete(key);
    }
    for (const pair of shown) {
      const row = this.#rows.get(pair.key) ?? this.#makeRow(pair);
      setText(row.token, this.#name(pair.token));
      setText(row.quote, this.#unit(pair));
      if (this.#list.lastElementChild !== row.item) this.#list.append(row.item);
    }
    if (this.#toReveal) this.#reveal();
    const stop = this.#rows.get(this.#chosen)?.button ?? this.#list.querySelector("button");
    if (!this.#list.contains(document.activeElement)) onlyOneStop(this.#list, stop);
    this.#sampledAt = 0;
  }

  #makeRow(pair) {
    const part = (name) => element("span", { class: name });
    const row = {
      token: part("token"),
      quote: part("unit"),
      price: part("last"),
      change: part("move"),
      spark: element("canvas", { class: "spark", "aria-hidden": "true" }),
    };
    row.button = element(
      "button",
      { type: "button", title: `${pair.token} / ${pair.quote}\nThe change is over the last five minutes.`, "aria-current": String(pair.key === this.#chosen) },
      element("span", { class: "names" }, row.token, row.quote),
      row.spark,
      element("span", { class: "values" }, row.price, row.change),
    );
    row.button.addEventListener("click", () => this.#onPick(pair));
    row.item = element("li", {}, row.button);
    this.#rows.set(pair.key, row);
    return row;
  }
}

/** Samples at equal intervals, for a small chart without a time axis. */
function evenly(samples) {
  if (samples.length < 2) return [];
  const steps = 60;
  const [from, to] = [samples[0].t, samples.at(-1).t];
  let index = 0;
  return Array.from({ length: steps + 1 }, (_, step) => {
    const at = from + ((to - from) * step) / steps;
    while (index + 2 < samples.length && samples[index + 1].t <= at) index += 1;
    const [a, b] = [samples[index], samples[index + 1]];
    return a.p + ((b.p - a.p) * Math.min(1, (at - a.t) / Math.max(1, b.t - a.t)));
  });
}
