// The chart's view and input: the visible time range, and mouse, touch and keyboard events.

import { compact, count, exact, localTime, price, utcTime, words } from "./format.js";
import { geometry, paint, readColours } from "./paint.js";
import { lowerBound } from "./series.js";

const LINE_SPAN_MS = 180_000;
const LINE_SPAN_MIN_MS = 10_000;
const LINE_SPAN_MAX_MS = 900_000;
const CANDLE_PX = 8;
const CANDLE_PX_MIN = 1.5;
const CANDLE_PX_MAX = 48;
/** The width of the view is at least this many candles, so a few candles are not too wide. */
const CANDLES_MIN = 30;
const ZOOM_STEP = 1.35;
const MARK_REACH_PX = 12;

export class Chart {
  #plot;
  #canvas;
  #tip;
  #hooks;
  #colours;
  #box = { width: 0, height: 0, ratio: 1 };
  #spanMs = LINE_SPAN_MS;
  /** The time at the right edge; null follows the current time. */
  #rightMs = null;
  /** Until the user zooms, the span grows with the data. */
  #auto = true;
  #hover = null;
  #pointers = new Map();
  #range = null;
  #queued = false;

  mode = "line";
  intervalMs = 1_000;
  candles = [];
  points = [];
  overlays = [];
  anomalies = [];
  digits = 2;
  /** The market's latest tick, which the axis always shows. */
  latest = null;
  /** Whether the view has no data of the market. */
  blank = false;

  constructor({ plot, canvas, tip, readout }, hooks) {
    this.#plot = plot;
    this.#canvas = canvas;
    this.#tip = tip;
    this.readout = readout;
    this.#hooks = hooks;
    this.#colours = readColours(plot);
    new ResizeObserver(() => this.#resize()).observe(plot);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.#colours = readColours(plot);
      this.draw();
    });
    this.#listen();
  }

  /** Switches to another market or interval: starts at the current time, with a span that fits the data. */
  reset(mode, intervalMs) {
    this.mode = mode;
    this.intervalMs = intervalMs;
    this.#rightMs = null;
    this.#range = null;
    this.#hideHover();
    this.fit();
  }

  fit() {
    this.#auto = true;
    this.#spanMs = this.#fittingSpan();
    this.draw();
  }

  #fittingSpan() {
    const first = this.#first();
    const known = first === null ? 0 : this.#now() - first;
    const [least, most] = this.mode === "line"
      ? [LINE_SPAN_MIN_MS * 3, LINE_SPAN_MS]
      : [CANDLES_MIN * this.intervalMs, (this.#plotWidth() / CANDLE_PX) * this.intervalMs];
    return Math.max(least, Math.min(most, known * 1.08));
  }

  get following() {
    return this.#rightMs === null;
  }

  toNow() {
    this.#rightMs = null;
    this.#range = null;
    this.#changed();
  }

  /** Centres the view on a time. */
  show(at) {
    this.#rightMs = at + this.#spanMs / 2;
    if (this.#rightMs >= this.#now()) this.#rightMs = null;
    this.#changed();
    this.#hover = { at, y: null };
  }

  zoom(factor, anchor = null) {
    const { from, to } = this.view();
    const [least, most] = this.mode === "line"
      ? [LINE_SPAN_MIN_MS, LINE_SPAN_MAX_MS]
      : [(this.#plotWidth() / CANDLE_PX_MAX) * this.intervalMs, (this.#plotWidth() / CANDLE_PX_MIN) * this.intervalMs];
    const span = Math.min(most, Math.max(least, this.#spanMs / factor));
    if (!this.following) {
      const at = anchor ?? (from + to) / 2;
      this.#rightMs = at + ((to - at) * span) / this.#spanMs;
    }
    this.#spanMs = span;
    this.#auto = false;
    this.#range = null;
    this.#changed();
  }

  pan(ms) {
    const first = this.#first();
    const right = (this.#rightMs ?? this.#edge()) + ms;
    const leftmost = first === null ? right : first + this.#spanMs * 0.2;
    this.#rightMs = right >= this.#edge() ? null : Math.max(leftmost, right);
    this.#changed();
  }

  view() {
    const to = this.#rightMs ?? this.#edge();
    return { from: to - this.#spanMs, to };
  }

  draw() {
    if (this.#queued) return;
    this.#queued = true;
    requestAnimationFrame(() => {
      this.#queued = false;
      this.#paint();
    });
  }

  #now() {
    return this.#hooks.now();
  }

  #first() {
    const first = [this.candles[0]?.t, this.mode === "line" ? this.points[0]?.t : undefined].filter(Number.isFinite);
    return first.length ? Math.min(...first) : null;
  }

  /** Some space after the current time, so the last price does not touch the axis. */
  #edge() {
    const last = this.mode === "line" ? 0 : (this.candles.at(-1)?.t ?? 0) + this.intervalMs;
    return Math.max(this.#now(), last) + this.#spanMs * 0.03;
  }

  #plotWidth() {
    return Math.max(100, this.#box.width - 80);
  }

  #changed() {
    const first = this.#first();
    if (first !== null && this.view().from < first + this.#spanMs * 0.2) this.#hooks.older();
    this.#hooks.moved(this.following);
    this.draw();
  }

  #resize() {
    const { width, height } = this.#plot.getBoundingClientRect();
    const ratio = window.devicePixelRatio || 1;
    const first = this.#box.width === 0;
    this.#box = { width, height, ratio };
    this.#canvas.width = Math.max(1, Math.round(width * ratio));
    this.#canvas.height = Math.max(1, Math.round(height * ratio));
    if (first) this.fit();
    // Drawn at once, since a resized canvas is empty, and waiting for a frame would flash.
    this.#paint();
  }

  #paint() {
    if (this.#box.width < 2 || this.#box.height < 2) return;
    if (this.#auto && this.following) this.#spanMs = this.#fittingSpan();
    const scene = {
      box: this.#box,
      colours: this.#colours,
      view: this.view(),
      mode: this.mode,
      intervalMs: this.intervalMs,
      ...this.#visible(),
      newest: this.#newest(),
      overlays: this.overlays,
      anomalies: this.anomalies,
      digits: this.digits,
      range: this.#range,
      hover: this.#hover,
    };
    scene.geometry = geometry(this.#canvas, scene);
    this.#range = scene.geometry.range;
    this.blank = scene.geometry.blank;
    scene.focus = this.#hover ? this.#nearest(scene) : null;
    this.scene = scene;
    paint(this.#canvas, scene);
    this.#showTip(scene);
    this.#hooks.painted();
  }

  /** The latest price, even if it is outside of the view, and whether it rose in its candle. */
  #newest() {
    const candle = this.candles.at(-1);
    if (this.latest) return { ...this.latest, rises: !candle || this.latest.p >= candle.o };
    return candle && { t: candle.t + this.intervalMs / 2, p: candle.c, rises: candle.c >= candle.o };
  }

  /** The data in view, with a neighbour on each side, so lines reach the edges. */
  #visible() {
    const { from, to } = this.view();
    const part = (items, lead) => items.slice(Math.max(0, lowerBound(items, from - lead) - 1), lowerBound(items, to) + 1);
    if (this.mode !== "line") return { candles: part(this.candles, this.intervalMs), line: [] };
    // Live prices, and the closes of 1 s candles before the first of them.
    const since = this.points[0]?.t ?? Infinity;
    const closes = part(this.candles, this.intervalMs)
      .map((candle) => ({ t: candle.t + this.intervalMs / 2, p: candle.c, candle }))
      .filter((point) => point.t < since);
    return { candles: [], line: closes.concat(part(this.points, 0)) };
  }

  /** The candle or point under the crosshair, and an anomaly near it. */
  #nearest({ candles, line, geometry: { x, y }, hover, anomalies }) {
    const items = this.mode === "line" ? line : candles;
    const middle = this.mode === "line" ? 0 : this.intervalMs / 2;
    const after = lowerBound(items, hover.at - middle);
    const [a, b] = [items[after - 1], items[after]];
    const item = !a || (b && Math.abs(b.t + middle - hover.at) < Math.abs(a.t + middle - hover.at)) ? b : a;
    const reach = (mark) => Math.abs(x(mark.timestamp) - x(hover.at));
    const near = anomalies
      .filter((mark) => reach(mark) <= MARK_REACH_PX)
      .filter((mark) => hover.y === null || Math.abs(y(Number(mark.price)) - hover.y) < 4 * MARK_REACH_PX)
      .sort((one, other) => reach(one) - reach(other));
    return item || near.length ? { item, at: item ? item.t + middle : near[0].timestamp, anomaly: near[0] ?? null } : null;
  }

  #showTip({ focus, geometry: { x, plot } }) {
    const tip = this.#tip;
    tip.hidden = !focus;
    if (!focus) return;
    const rows = this.describe(focus);
    const table = document.createElement("table");
    for (const [name, value, colour] of rows) {
      const row = table.insertRow();
      const head = document.createElement("th");
      head.textContent = name;
      if (colour) head.style.color = colour;
      row.append(head);
      if (value === undefined) head.colSpan = 2;
      else row.insertCell().textContent = value;
    }
    tip.replaceChildren(table);
    // In the corner opposite to the crosshair, so it never covers the values.
    const left = x(focus.at) > (plot.left + plot.right) / 2;
    tip.style.left = `${left ? plot.left + 8 : plot.right - 8 - tip.offsetWidth}px`;
    tip.style.top = `${plot.top + 6}px`;
  }

  /** The values at a position, as names and texts. */
  describe({ item, anomaly }) {
    const rows = [];
    const number = (value) => price(value, this.digits);
    const candle = this.mode === "line" ? null : item;
    if (item) {
      const at = candle ? candle.t : item.t;
      const millis = !candle && !item.candle;
      rows.push([`${localTime(at, { millis })} local`], [millis ? utcTime(at) : utcTime(at).replace(/\.\d+/, "")]);
    }
    if (candle) {
      const of = (name, value) => (candle.row ? exact(candle.row[name]) : number(value));
      const quotes = candle.row?.series === "quotes";
      if (!quotes) rows.push(["Open", of("open", candle.o)]);
      rows.push(["High", of("high", candle.h)], ["Low", of("low", candle.l)], quotes ? ["Last", of("last", candle.c)] : ["Close", of("close", candle.c)]);
      if (candle.v !== null) rows.push(["Volume", compact(candle.v)]);
      if (candle.vwap !== null) rows.push(["VWAP", number(candle.vwap)]);
      if (candle.n !== null) rows.push([quotes ? "Quotes" : "Trades", count(candle.n)]);
      if (candle.row?.revision > 0) rows.push(["Revision", String(candle.row.revision)]);
    } else if (item) {
      rows.push([item.candle ? "Close 1s" : "Price", number(item.p)]);
    }
    if (item) {
      const at = candle ? candle.t + this.intervalMs : item.t;
      for (const overlay of this.overlays) {
        const value = overlay.items[lowerBound(overlay.items, at + 1) - 1]?.[overlay.kind];
        if (Number.isFinite(value)) rows.push([overlay.label, number(value), this.#colours[overlay.kind]]);
      }
    }
    if (anomaly) {
      rows.push(["◆ Anomaly", exact(anomaly.price), this.#colours.odd]);
      rows.push(["at", localTime(anomaly.timestamp, { millis: true })]);
      rows.push(["Kind", kindName(anomaly)], ["Score", score(anomaly.score)]);
      if (anomaly.source) rows.push(["Venue", anomaly.source]);
      rows.push([anomaly.message]);
    }
    return rows;
  }

  #listen() {
    const plot = this.#plot;
    const local = (event) => {
      const box = plot.getBoundingClientRect();
      return { px: event.clientX - box.left, py: event.clientY - box.top };
    };
    plot.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      plot.setPointerCapture(event.pointerId);
      this.#pointers.set(event.pointerId, { ...local(event), moved: 0, touch: event.pointerType === "touch" });
    });
    plot.addEventListener("pointermove", (event) => this.#move(event, local(event)));
    const up = (event) => {
      const pointer = this.#pointers.get(event.pointerId);
      this.#pointers.delete(event.pointerId);
      plot.classList.remove("dragging");
      // A tap on a touch screen shows the crosshair, and a second one hides it.
      if (event.type === "pointerup" && pointer?.touch && pointer.moved < 8) {
        if (this.#hover) this.#hideHover();
        else this.#hoverAt(local(event));
      }
    };
    plot.addEventListener("pointerup", up);
    plot.addEventListener("pointercancel", up);
    plot.addEventListener("pointerleave", (event) => {
      if (event.pointerType !== "touch") this.#hideHover();
    });
    plot.addEventListener("wheel", (event) => this.#wheel(event, local(event)), { passive: false });
    plot.addEventListener("dblclick", () => {
      this.#rightMs = null;
      this.fit();
      this.#changed();
    });
    plot.addEventListener("keydown", (event) => this.#key(event));
    plot.addEventListener("blur", () => this.#hideHover());
  }

  #move(event, { px, py }) {
    const pointer = this.#pointers.get(event.pointerId);
    if (!pointer) {
      if (event.pointerType !== "touch") this.#hoverAt({ px, py });
      return;
    }
    const before = this.#fingersApart();
    const dx = px - pointer.px;
    Object.assign(pointer, { px, py, moved: pointer.moved + Math.abs(dx) });
    if (this.#pointers.size === 2) {
      if (before > 0) this.zoom(this.#fingersApart() / before);
    } else if (pointer.moved > 3) {
      this.#plot.classList.add("dragging");
      this.pan((-dx / this.#plotWidth()) * this.#spanMs);
      if (this.#hover && !pointer.touch) this.#hoverAt({ px, py });
    }
  }

  #fingersApart() {
    const [a, b] = [...this.#pointers.values()];
    return b ? Math.hypot(a.px - b.px, a.py - b.py) : 0;
  }

  #wheel(event, { px }) {
    // With Shift, or horizontally, the wheel moves in time; browsers report a pinch as Ctrl with the wheel.
    const sideways = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY);
    // The wheel scrolls the page unless the chart has the focus.
    if (!sideways && !event.ctrlKey && document.activeElement !== this.#plot) return;
    event.preventDefault();
    if (sideways) this.pan(((event.deltaX || event.deltaY) / this.#plotWidth()) * this.#spanMs);
    else this.zoom(Math.exp(-event.deltaY * 0.0015), this.scene?.geometry.time(px));
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target !== this.#plot) return;
    const actions = {
      ArrowLeft: () => this.#step(-1),
      ArrowRight: () => this.#step(1),
      PageUp: () => this.pan(-this.#spanMs * 0.8),
      PageDown: () => this.pan(this.#spanMs * 0.8),
      End: () => this.toNow(),
      "+": () => this.zoom(ZOOM_STEP),
      "=": () => this.zoom(ZOOM_STEP),
      "-": () => this.zoom(1 / ZOOM_STEP),
      Escape: () => this.#hideHover(),
    };
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }

  /** Reads out the neighbour of the current value; the first call reads the last one. */
  #step(direction) {
    const { candles, line } = this.#visible();
    const items = this.mode === "line" ? line : candles;
    if (!items.length) return;
    const middle = this.mode === "line" ? 0 : this.intervalMs / 2;
    const { from, to } = this.view();
    let at = items.length - 1;
    if (this.#hover) {
      const distance = this.mode === "line" ? this.#spanMs / 120 : this.intervalMs;
      const wanted = this.#hover.at + direction * distance;
      at = Math.min(items.length - 1, Math.max(0, lowerBound(items, wanted - middle)));
      if (wanted < from || wanted > to) this.pan(direction * distance);
    }
    this.#hover = { at: items[at].t + middle, y: null };
    this.#paint();
    const focus = this.scene.focus;
    if (focus) this.readout.textContent = this.describe(focus).map((row) => row.slice(0, 2).join(" ")).join(", ");
  }

  #hoverAt({ px, py }) {
    const geometry = this.scene?.geometry;
    if (!geometry) return;
    const { plot } = geometry;
    const inside = px >= plot.left && px <= plot.right && py >= plot.top && py <= plot.bottom;
    this.#hover = inside ? { at: geometry.time(px), y: py } : null;
    this.draw();
  }

  #hideHover() {
    this.#hover = null;
    this.readout.textContent = "";
    this.draw();
  }
}

/** The kind of an anomaly, in words. */
export function kindName({ kind }) {
  return words(kind);
}

/** A score in [0, 1). */
export function score(value) {
  return Number.isFinite(value) ? value.toFixed(2) : "–";
}
