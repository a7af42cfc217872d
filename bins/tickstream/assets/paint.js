// Draws a scene (data, view, colours) on the canvas, sharp on every screen.

import { localDay, localTime, price } from "./format.js";
import { priceTicks, timeTicks } from "./scale.js";

const AXIS_HEIGHT = 24;
const TOP = 10;
const FONT_SIZE = 11;
const VOLUME_SHARE = 0.16;
const ROOM = 0.09;
/** A gap this long interrupts the line. */
const GAP_MS = 5_000;
/** An average far from the prices is clipped instead of compressing them. */
const OVERLAY_REACH = 1.2;
const NAMES = ["text", "muted", "faint", "grid", "line", "pane", "price", "fill", "up", "down", "odd", "accent", "sma", "twap", "ema", "vwap", "volume"];

/** The current colours and font of the style sheet. */
export function readColours(element) {
  const style = getComputedStyle(element);
  const colours = Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  return { ...colours, font: style.fontFamily };
}

/** The areas of prices and axes, and the conversions between values and pixels. */
export function geometry(canvas, scene) {
  const { box, view, colours, digits } = scene;
  const context = canvas.getContext("2d");
  context.font = `${FONT_SIZE}px ${colours.font}`;
  const { blank, ...range } = priceRange(scene);
  const height = box.height - AXIS_HEIGHT - TOP;
  const ticks = priceTicks(range.low, range.high, Math.max(2, height / 52));
  const labels = ticks.values.map((value) => price(value, ticks.digits)).concat(price(range.high, digits));
  const axisWidth = Math.ceil(Math.max(48, ...labels.map((label) => context.measureText(label).width)) + 16);
  const plot = { left: 0, top: TOP, right: box.width - axisWidth, bottom: box.height - AXIS_HEIGHT };
  const width = plot.right - plot.left;
  const volumeTop = scene.mode === "line" ? plot.bottom : plot.bottom - height * VOLUME_SHARE;
  return {
    plot,
    range,
    blank,
    ticks,
    volumeTop,
    x: (at) => plot.left + ((at - view.from) / (view.to - view.from)) * width,
    time: (px) => view.from + ((px - plot.left) / width) * (view.to - view.from),
    y: (value) => plot.bottom - ((value - range.low) / (range.high - range.low)) * (plot.bottom - plot.top),
    value: (py) => range.low + ((plot.bottom - py) / (plot.bottom - plot.top)) * (range.high - range.low),
  };
}

/** The range of the axis around a single price, as a share of the price. */
const AROUND = 0.001;

/**
 * Lowest and highest price of what is in view, and whether that is nothing. It keeps the last
 * range while that fits, so that it is calm.
 */
function priceRange({ candles, line, overlays, mode, range, view, intervalMs, newest }) {
  let low = Infinity;
  let high = -Infinity;
  const take = (value) => {
    if (!Number.isFinite(value)) return;
    low = Math.min(low, value);
    high = Math.max(high, value);
  };
  for (const candle of candles) {
    if (candle.t >= view.to || candle.t + intervalMs <= view.from) continue;
    take(candle.l);
    take(candle.h);
  }
  line.forEach((point, index) => {
    if (point.t >= view.from && point.t <= view.to) return take(point.p);
    // A neighbour outside of the view only counts as far as its line is visible: up to the edge.
    const [inner, edge] = point.t < view.from ? [line[index + 1], view.from] : [line[index - 1], view.to];
    if (inner && inner.t >= view.from && inner.t <= view.to) take(point.p + ((inner.p - point.p) * (edge - point.t)) / (inner.t - point.t));
  });
  if (!(high >= low)) {
    const around = newest ? { low: newest.p * (1 - AROUND), high: newest.p * (1 + AROUND) } : { low: 0, high: 1 };
    return { ...(range ?? around), blank: true };
  }
  const reach = Math.max(high - low, high * 1e-4) * OVERLAY_REACH;
  const [lowest, highest] = [low - reach, high + reach];
  for (const { items, kind } of overlays) {
    for (const item of items) {
      const value = item[kind];
      if (item.t >= view.from && item.t <= view.to && value >= lowest && value <= highest) take(value);
    }
  }
  const span = Math.max(high - low, high * 2e-5);
  const below = mode === "line" ? ROOM : ROOM + VOLUME_SHARE;
  const fits = range && low >= range.low + span * 0.02 && high <= range.high - span * 0.02;
  const fills = range && span > (range.high - range.low) * (mode === "line" ? 0.6 : 0.5);
  if (fits && fills) return { ...range, blank: false };
  return { low: low - span * below, high: high + span * ROOM, blank: false };
}

export function paint(canvas, scene) {
  const context = canvas.getContext("2d");
  const { ratio, width, height } = scene.box;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = `${FONT_SIZE}px ${scene.colours.font}`;
  context.textBaseline = "middle";
  const draw = { context, ...scene, ...scene.geometry, crisp: (at) => (Math.floor(at * ratio) + 0.5) / ratio };
  axes(draw);
  context.save();
  context.beginPath();
  context.rect(draw.plot.left, 0, draw.plot.right - draw.plot.left, draw.plot.bottom);
  context.clip();
  if (scene.mode === "line") priceLine(draw);
  else candleBars(draw);
  for (const overlay of scene.overlays) overlayLine(draw, overlay);
  for (const anomaly of scene.anomalies) anomalyMark(draw, anomaly);
  context.restore();
  lastPrice(draw);
  if (scene.focus) crosshair(draw);
}

function stroke({ context }, colour, width, dash = []) {
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.setLineDash(dash);
  context.stroke();
  context.setLineDash([]);
}

function axes(draw) {
  const { context, plot, ticks, colours, view, x, y, crisp, box } = draw;
  const hair = 1 / box.ratio;
  context.beginPath();
  for (const value of ticks.values) {
    const at = crisp(y(value));
    context.moveTo(plot.left, at);
    context.lineTo(plot.right, at);
  }
  const times = timeTicks(view.from, view.to, (plot.right - plot.left) / 92);
  for (const { at } of times) {
    context.moveTo(crisp(x(at)), plot.top);
    context.lineTo(crisp(x(at)), plot.bottom);
  }
  stroke(draw, colours.grid, hair);
  context.beginPath();
  context.moveTo(crisp(plot.right), 0);
  context.lineTo(crisp(plot.right), plot.bottom);
  context.moveTo(plot.left, crisp(plot.bottom));
  context.lineTo(box.width, crisp(plot.bottom));
  stroke(draw, colours.line, hair);

  context.fillStyle = colours.muted;
  context.textAlign = "left";
  const tagged = draw.newest ? y(draw.newest.p) : NaN;
  for (const value of ticks.values) {
    const at = y(value);
    if (at > plot.top && at < plot.bottom - 5 && !(Math.abs(at - tagged) < 16)) context.fillText(price(value, ticks.digits), plot.right + 8, at);
  }
  context.textAlign = "center";
  for (const { at, day, seconds } of times) {
    const label = day ? localDay(at) : clock(at, seconds);
    const half = context.measureText(label).width / 2;
    if (x(at) - half < 2 || x(at) + half > plot.right) continue;
    context.fillStyle = day ? colours.text : colours.muted;
    context.fillText(label, x(at), plot.bottom + AXIS_HEIGHT / 2 + 1);
  }
}

function clock(at, seconds) {
  const text = localTime(at, { seconds });
  return text.split(" ").at(-1);
}

function priceLine(draw) {
  const { context, line, x, y, plot, colours } = draw;
  if (!line.length) return;
  // One segment per range without a gap; gaps are dotted.
  const pieces = [];
  for (const point of line) {
    const piece = pieces.at(-1);
    if (piece && point.t - piece.at(-1).t <= GAP_MS) piece.push(point);
    else pieces.push([point]);
  }
  context.lineJoin = "round";
  const fill = context.createLinearGradient(0, plot.top, 0, plot.bottom);
  fill.addColorStop(0, colours.fill);
  fill.addColorStop(1, "transparent");
  let before = null;
  for (const piece of pieces) {
    const [first, last] = [piece[0], piece.at(-1)];
    if (before) {
      context.beginPath();
      context.moveTo(x(before.t), y(before.p));
      context.lineTo(x(first.t), y(first.p));
      stroke(draw, colours.faint, 1, [2, 4]);
    }
    trace(draw, piece);
    stroke(draw, colours.price, 1.4);
    context.lineTo(x(last.t), plot.bottom);
    context.lineTo(x(first.t), plot.bottom);
    context.fillStyle = fill;
    context.fill();
    before = last;
  }
}

/** A path through the points; if many share a pixel column, only their first, extreme and last ones. */
function trace({ context, x, y, box }, points) {
  context.beginPath();
  let column = null;
  const flush = () => {
    if (!column) return;
    const kept = [column.first, column.low, column.high, column.last].sort((a, b) => a.t - b.t);
    kept.forEach((point, index) => {
      if (index === 0 || point !== kept[index - 1]) context.lineTo(x(point.t), y(point.p));
    });
  };
  for (const point of points) {
    const at = Math.floor(x(point.t) * box.ratio);
    if (column?.at === at) {
      column.last = point;
      if (point.p < column.low.p) column.low = point;
      if (point.p > column.high.p) column.high = point;
    } else {
      flush();
      column = { at, first: point, last: point, low: point, high: point };
    }
  }
  flush();
}

function candleBars(draw) {
  const { context, candles, x, y, intervalMs, colours, plot, volumeTop, box } = draw;
  const step = x(intervalMs) - x(0);
  // Whole device pixels, an odd number if possible, so the wick is in the middle.
  let wide = Math.max(1, Math.floor(step * 0.72 * box.ratio));
  if (wide > 2 && wide % 2 === 0) wide -= 1;
  const body = wide / box.ratio;
  const hair = Math.max(1, Math.round(box.ratio)) / box.ratio;
  const volumeMost = candles.reduce((most, candle) => Math.max(most, candle.v ?? 0), 0);
  const snap = (at) => Math.round(at * box.ratio) / box.ratio;
  for (const candle of candles) {
    const rises = candle.c >= candle.o;
    const left = snap(x(candle.t + intervalMs / 2) - body / 2);
    if (volumeMost > 0 && candle.v > 0) {
      const height = Math.max(hair, (candle.v / volumeMost) * (plot.bottom - volumeTop));
      context.fillStyle = colours.volume;
      context.fillRect(left, snap(plot.bottom - height), body, height);
    }
    context.fillStyle = rises ? colours.up : colours.down;
    const [top, bottom] = [snap(y(candle.h)), snap(y(candle.l))];
    context.fillRect(snap(left + (body - hair) / 2), top, hair, Math.max(hair, bottom - top));
    const [head, foot] = [snap(y(Math.max(candle.o, candle.c))), snap(y(Math.min(candle.o, candle.c)))];
    const tall = Math.max(hair, foot - head);
    context.fillRect(left, head, body, tall);
    // Rising candles are hollow if there is room, so they can be distinguished without colours.
    if (rises && body >= 5 && tall > 3 * hair) {
      context.fillStyle = colours.pane;
      context.fillRect(left + hair, head + hair, body - 2 * hair, tall - 2 * hair);
    }
  }
}

function overlayLine(draw, { items, kind, dash, width }) {
  const { context, x, y, view, colours, box } = draw;
  const span = view.to - view.from;
  const points = [];
  for (const item of items) {
    if (item.t < view.from - span * 0.1 || item.t > view.to) continue;
    if (Number.isFinite(item[kind])) points.push({ t: item.t, p: item[kind] });
  }
  trace({ context, x, y, box }, points);
  stroke(draw, colours[kind], width, dash);
}

/** The narrowest band that shows what was expected, in pixels. */
const BAND_WIDTH_MIN = 10;

function anomalyMark(draw, { timestamp, price: at, quantity, expected, window_ms: windowMs }) {
  const { context, x, y, plot, colours, view } = draw;
  if (timestamp < view.from || timestamp > view.to) return;
  const within = (value) => Math.min(plot.bottom - 6, Math.max(plot.top + 2, y(value)));
  const [px, py] = [x(timestamp), within(Number(at))];
  if (quantity === "value" && Number.isFinite(expected)) {
    // From what was expected to what was seen, over the time that it took.
    const left = Math.max(plot.left, Math.min(px - BAND_WIDTH_MIN, x(timestamp - windowMs)));
    const from = within(expected);
    context.globalAlpha = 0.15;
    context.fillStyle = colours.odd;
    context.fillRect(left, Math.min(from, py), px - left, Math.abs(py - from));
    context.globalAlpha = 1;
    context.beginPath();
    context.moveTo(left, from);
    context.lineTo(px, from);
    stroke(draw, colours.odd, 1, [2, 2]);
  }
  context.beginPath();
  context.moveTo(px, py + 8);
  context.lineTo(px, plot.bottom);
  stroke(draw, colours.odd, 1, [1, 4]);
  context.beginPath();
  context.moveTo(px, py - 6);
  context.lineTo(px + 5, py);
  context.lineTo(px, py + 6);
  context.lineTo(px - 5, py);
  context.closePath();
  context.fillStyle = colours.odd;
  context.fill();
  stroke(draw, colours.pane, 1.5);
}

function lastPrice(draw) {
  const { newest, mode, plot, y, x, colours, crisp, context, view, digits } = draw;
  if (!newest) return;
  const at = y(newest.p);
  if (at < plot.top - 8 || at > plot.bottom) return;
  const colour = mode === "line" ? colours.price : newest.rises ? colours.up : colours.down;
  context.beginPath();
  context.moveTo(plot.left, crisp(at));
  context.lineTo(plot.right, crisp(at));
  stroke(draw, colour, 1 / draw.box.ratio, [3, 3]);
  if (mode === "line" && newest.t <= view.to) {
    context.beginPath();
    context.arc(x(newest.t), at, 3, 0, 2 * Math.PI);
    context.fillStyle = colour;
    context.fill();
  }
  tag(draw, price(newest.p, digits), plot.right, at, colour, colours.pane);
}

/** A filled label on the price axis. */
function tag({ context, box }, text, left, middle, background, colour) {
  context.fillStyle = background;
  context.fillRect(left + 1, Math.round(middle) - 9, box.width - left - 1, 18);
  context.fillStyle = colour;
  context.textAlign = "left";
  context.fillText(text, left + 8, Math.round(middle) + 0.5);
}

function crosshair(draw) {
  const { context, plot, hover, focus, x, value, crisp, colours, digits, mode, intervalMs, y } = draw;
  const px = x(focus.at);
  context.beginPath();
  context.moveTo(crisp(px), plot.top);
  context.lineTo(crisp(px), plot.bottom);
  if (hover.y !== null) {
    context.moveTo(plot.left, crisp(hover.y));
    context.lineTo(plot.right, crisp(hover.y));
  }
  stroke(draw, colours.muted, 1 / draw.box.ratio, [4, 3]);
  if (hover.y !== null) tag(draw, price(value(hover.y), digits), plot.right, hover.y, colours.text, colours.pane);
  if (mode === "line" && focus.item) {
    context.beginPath();
    context.arc(px, y(focus.item.p), 3.5, 0, 2 * Math.PI);
    context.fillStyle = colours.pane;
    context.fill();
    stroke(draw, colours.price, 1.5);
  }
  const label = localTime(mode === "line" ? focus.at : focus.at - intervalMs / 2, { seconds: intervalMs < 60_000 });
  const half = context.measureText(label).width / 2 + 7;
  const middle = Math.min(plot.right - half, Math.max(half, px));
  context.fillStyle = colours.text;
  context.fillRect(middle - half, plot.bottom + 2, 2 * half, 18);
  context.fillStyle = colours.pane;
  context.textAlign = "center";
  context.fillText(label, middle, plot.bottom + 11.5);
}

/** A small area chart without axes. If there is `room` for more values, they are aligned to the right. */
export function sparkline(canvas, values, { colour, fill, most = Math.max(...values), least = 0, room = values.length }) {
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (!width || !height) return;
  const [deviceWidth, deviceHeight] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== deviceWidth || canvas.height !== deviceHeight) Object.assign(canvas, { width: deviceWidth, height: deviceHeight });
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  if (values.length < 2) return;
  const span = most - least || 1;
  const x = (index) => ((room - values.length + index) / (room - 1)) * width;
  const y = (value) => height - 1.5 - ((value - least) / span) * (height - 3);
  context.beginPath();
  values.forEach((value, index) => context.lineTo(x(index), y(value)));
  context.strokeStyle = colour;
  context.lineWidth = 1.25;
  context.lineJoin = "round";
  context.stroke();
  if (!fill) return;
  context.lineTo(width, height);
  context.lineTo(x(0), height);
  context.fillStyle = fill;
  context.fill();
}
