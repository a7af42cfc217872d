// The chart's data: candles, live points and averages of one market, in ascending order of time.

const POINTS_MAX = 30_000;
const CANDLES_MAX = 20_000;
const AVERAGES_MAX = 7_200;
const AVERAGES_STEP_MS = 1_000;

/** The first index whose time is not before `at`. */
export function lowerBound(items, at) {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (items[middle].t < at) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Live prices. A late one is inserted at its time. */
export class Points {
  items = [];

  add(t, p) {
    const last = this.items.at(-1);
    if (!last || t >= last.t) this.items.push({ t, p });
    else this.items.splice(lowerBound(this.items, t), 0, { t, p });
    if (this.items.length > POINTS_MAX) this.items.splice(0, POINTS_MAX / 3);
  }
}

/** Candles of one interval. The server's candles replace those estimated from live ticks. */
export class Candles {
  items = [];
  /** Whether the server has nothing older. */
  complete = false;

  constructor(intervalMs) {
    this.intervalMs = intervalMs;
  }

  merge(rows) {
    for (const row of rows) this.#put(fromServer(row));
    if (this.items.length > CANDLES_MAX) this.items.splice(0, this.items.length - CANDLES_MAX);
  }

  #put(candle) {
    const at = lowerBound(this.items, candle.t);
    const known = this.items[at];
    if (known?.t !== candle.t) this.items.splice(at, 0, candle);
    else if (!known.row || (candle.row.revision ?? 0) >= (known.row.revision ?? 0)) this.items[at] = candle;
  }

  /** Updates the open candle with a live price, until the server sends it. */
  fold(t, p) {
    const start = Math.floor(t / this.intervalMs) * this.intervalMs;
    const last = this.items.at(-1);
    if (last && start < last.t) return;
    if (last?.t === start) {
      if (t < (last.closedAt ?? 0)) return;
      last.c = p;
      last.h = Math.max(last.h, p);
      last.l = Math.min(last.l, p);
      last.closedAt = t;
    } else {
      this.items.push({ t: start, o: p, h: p, l: p, c: p, v: null, vwap: null, n: null, closedAt: t, row: null });
    }
  }
}

/** A candle of trades, or the high, low and last of quotes. */
function fromServer(row) {
  return {
    t: row.start,
    o: Number(row.open ?? row.last),
    h: Number(row.high),
    l: Number(row.low),
    c: Number(row.close ?? row.last),
    // null if no tick has a volume, which is not 0.
    v: row.volume == null ? null : Number(row.volume),
    vwap: row.vwap ?? null,
    n: row.trades ?? row.ticks ?? null,
    row,
  };
}

/** The series of a tick: other methods than these are of trades. */
export function seriesOf({ method }) {
  return ["ticker", "oracle", "quote"].includes(method) ? "quotes" : "trades";
}

/** The averages of one window, at most one a second. */
export class Averages {
  items = [];

  add({ timestamp, sma, twap, ema, vwap, ticks }) {
    const item = { t: timestamp, sma, twap, ema, vwap, ticks };
    const last = this.items.at(-1);
    if (!last || timestamp >= last.t + AVERAGES_STEP_MS) this.items.push(item);
    else if (timestamp >= (last.seen ?? last.t)) this.items[this.items.length - 1] = { ...item, t: last.t, seen: timestamp };
    if (this.items.length > AVERAGES_MAX) this.items.splice(0, AVERAGES_MAX / 4);
  }

  get latest() {
    return this.items.at(-1);
  }
}

/**
 * Averages for the time before the page was opened, worked out of candles: close to the server's,
 * which has bars of a sixtieth of the window. Empty where the candles are longer than the window.
 */
export function averagesOf(candles, intervalMs, windowMs, before) {
  if (windowMs < intervalMs) return [];
  const found = [];
  let [oldest, bars, closes, volume, paid] = [0, 0, 0, 0, 0];
  let [heldMs, priceMs] = [0, 0];
  let [ema, held, emaAt] = [null, null, null];
  const towards = (price, ms) => price + (ema - price) * Math.exp(-ms / (windowMs / 2));
  for (const [index, candle] of candles.entries()) {
    const end = candle.t + intervalMs;
    if (end > before) break;
    const hold = (price, ms) => {
      heldMs += ms;
      priceMs += price * ms;
    };
    // A close holds until the next candle.
    if (index > oldest) hold(held, candle.t - candles[index - 1].t - intervalMs);
    hold(candle.c, intervalMs);
    const weigh = (one, sign) => {
      bars += sign;
      closes += sign * one.c;
      volume += sign * (one.v ?? 0);
      paid += sign * (one.v ?? 0) * (one.vwap ?? one.c);
    };
    weigh(candle, 1);
    while (candles[oldest].t + intervalMs <= end - windowMs) {
      weigh(candles[oldest], -1);
      hold(candles[oldest].c, candles[oldest].t - candles[oldest + 1].t);
      oldest += 1;
    }
    if (ema === null) ema = candle.c;
    else {
      ema = towards(held, Math.max(0, candle.t - emaAt));
      ema = towards(candle.c, end - Math.max(candle.t, emaAt));
    }
    [held, emaAt] = [candle.c, end];
    found.push({ t: end, sma: closes / bars, twap: priceMs / heldMs, ema, vwap: volume > 0 ? paid / volume : null });
  }
  return found;
}
