// Connects the page's parts: the selected market, the live feed, polling, and the panels.

import * as api from "./api.js";
import { Chart } from "./chart.js";
import { setText } from "./elements.js";
import { change, duration, exact, localTime, price, utcTime } from "./format.js";
import { Live } from "./live.js";
import { Markets } from "./markets.js";
import { AnomalyList, AverageTable, WINDOWS } from "./analytics.js";
import { Pipeline } from "./pipeline.js";
import { RolloutControl } from "./rollout.js";
import { Averages, averagesOf, Candles, lowerBound, Points, seriesOf } from "./series.js";

const INTERVALS = { line: 1_000, "1s": 1_000, "1m": 60_000, "5m": 300_000, "1h": 3_600_000 };
const CANDLES_PER_CALL = 900;
const STATUS_EVERY_MS = 2_000;
const ROLLOUT_EVERY_MS = 10_000;
const QUIET_AFTER_MS = 15_000;
const LATEST_EVERY_MS = 5_000;
const AGE_SHOWN_FROM_MS = 3_000;
const CLOCK_TOLERANCE_MS = 2_000;
/** Of more new tokens at once, the symbols of the first are loaded. */
const SYMBOLS_AT_ONCE_MAX = 20;

const $ = (id) => document.getElementById(id);
const stored = (name, otherwise) => localStorage.getItem(`tickstream.${name}`) ?? otherwise;
const store = (name, value) => localStorage.setItem(`tickstream.${name}`, value);

const page = {
  pair: null,
  interval: Object.hasOwn(INTERVALS, stored("interval", "")) ? stored("interval") : "line",
  candles: null,
  points: new Points(),
  averages: null,
  /** "trades" or "quotes"; null until it is known which ones the market has. */
  series: null,
  /** The number of selections, so responses for an earlier one are dropped. */
  turn: 0,
  /** Whether the candles of the current selection are loaded. */
  loaded: false,
  lastTickAt: 0,
  /** The offset from this machine's clock to the server's. */
  clockOffsetMs: 0,
};

const chart = new Chart(
  { plot: $("plot"), canvas: $("canvas"), tip: $("tip"), readout: $("readout") },
  {
    now: chartNow,
    older: () => void loadOlder(),
    moved: (following) => {
      $("to-live").hidden = following;
      showQuote();
    },
    painted: showPrice,
  },
);
const markets = new Markets($("markets"), $("markets-filter"), $("markets-note"), { now: chartNow, onPick: select });
const averageTable = new AverageTable($("averages"), { stored, store, onChange: refreshOverlays });
const anomalyList = new AnomalyList($("anomalies"), $("anomalies-here"), {
  name: (token, quote) => markets.label(token, quote),
  onPick: (anomaly) => {
    const pair = markets.get(anomaly.token, anomaly.quote);
    if (pair) select(pair, anomaly.timestamp);
  },
  onMark: (row, isFalse) => review((who, secret) => api.markAnomaly({ token: row.token, quote: row.quote, timestamp: row.timestamp, tick_id: row.tick_id, false_alarm: isFalse, who }, secret)),
  onMute: (row, muted) => review((who, secret) => api.mutePair({ token: row.token, quote: row.quote, muted, who }, secret)),
});
const pipeline = new Pipeline();
const rollout = new RolloutControl({ stored, store, onChange: refreshOverlays });
const live = new Live("/ws", { onMessage: receive, onState: connectionChanged });

// ---- The selected market

function select(pair, showAt = null) {
  if (page.pair?.key === pair.key && showAt !== null) return chart.show(showAt);
  page.pair = pair;
  page.points = new Points();
  page.series = null;
  page.candles = null;
  $("series").hidden = true;
  clearAverages();
  attachSeries();
  markets.choose(pair);
  anomalyList.choose(pair);
  history.replaceState(null, "", `#${encodeURIComponent(pair.token)}/${encodeURIComponent(pair.quote)}`);
  averageTable.show({}, pair.digits);
  void loadAnomalies(pair);
  // They say which series the market has.
  return loadAverages(pair).then(() => (page.pair === pair ? loadCandles(showAt) : undefined));
}

function clearAverages() {
  page.averages = Object.fromEntries(WINDOWS.map(({ name }) => [name, new Averages()]));
}

/** The series that is shown: the one that was chosen, or else trades, if the market has any. */
function showSeries(kinds) {
  $("series").hidden = kinds.size < 2;
  page.series ??= kinds.has("trades") || !kinds.size ? "trades" : "quotes";
  for (const input of document.querySelectorAll("#series input")) input.checked = input.value === page.series;
}

/** Of rows with both series, those of the one that is shown. */
const ofSeries = (rows) => rows.filter((row) => row.series === page.series);

async function loadCandles(showAt = null) {
  const { pair, interval } = page;
  if (!pair) return;
  const turn = ++page.turn;
  page.loaded = false;
  const intervalMs = INTERVALS[interval];
  const candles = new Candles(intervalMs);
  page.candles = candles;
  attachSeries();
  chart.reset(interval === "line" ? "line" : "candles", intervalMs);
  const to = (showAt === null ? chartNow() : Math.min(chartNow(), pair.timestamp)) + intervalMs;
  const from = Math.min(showAt ?? to, to) - CANDLES_PER_CALL * intervalMs;
  await fetchCandles(candles, pair, from, to, turn);
  // For a market without recent ticks, show the time of its last ones.
  const end = pair.timestamp + intervalMs;
  if (turn === page.turn && end < from) await fetchCandles(candles, pair, end - CANDLES_PER_CALL * intervalMs, end, turn);
  if (turn !== page.turn) return;
  page.loaded = true;
  attachSeries();
  chart.fit();
  if (showAt !== null) chart.show(showAt);
}

async function fetchCandles(candles, pair, from, to, turn) {
  const interval = page.interval === "line" ? "1s" : page.interval;
  // In requests of a fixed size, so the server's limit never truncates a response.
  const step = CANDLES_PER_CALL * candles.intervalMs;
  try {
    for (let start = Math.max(0, from); start < to; start += step) {
      const until = Math.min(to, start + step);
      const answer = await api.candles(pair.token, { interval, from: start, to: until, limit: CANDLES_PER_CALL + 1, quote: pair.quote, series: page.series });
      if (turn !== page.turn) return 0;
      const rows = answer.candles.filter((candle) => candle.quote === pair.quote);
      if (page.series === null && rows.length) showSeries(new Set(rows.map((row) => row.series)));
      candles.merge(ofSeries(rows));
      if (start + step >= to) return answer.candles.length;
    }
  } catch (error) {
    chartError(`The candles could not be loaded: ${error.message}`);
    return null;
  }
  chartError("");
  return 0;
}

let loadingOlder = false;
async function loadOlder() {
  const { candles, pair, turn } = page;
  const first = candles?.items[0]?.t;
  if (loadingOlder || !pair || first === undefined || candles.complete) return;
  loadingOlder = true;
  const found = await fetchCandles(candles, pair, first - CANDLES_PER_CALL * candles.intervalMs, first - 1, turn);
  loadingOlder = false;
  if (turn !== page.turn) return;
  // A range without candles may be a pause; continuing after two of them would need too many requests.
  if (found === 0) candles.complete = true;
  attachSeries();
  chart.draw();
}

async function loadAverages(pair) {
  const { averages } = page;
  const answer = await api.averages(pair.token).catch(() => null);
  if (page.averages !== averages) return;
  const rows = (answer?.averages ?? []).filter((row) => row.quote === pair.quote);
  // A market that nothing is known of may have only quotes.
  if (rows.length || page.series) showSeries(new Set(rows.map((row) => row.series)));
  takeAverages(rows);
}

async function loadAnomalies(pair) {
  const answer = await api.anomalies({ token: pair.token, limit: 200 }).catch(() => null);
  if (answer) takeAnomalies(answer.anomalies);
}

function takeAverages(rows) {
  for (const row of ofSeries(rows).sort((a, b) => a.timestamp - b.timestamp)) page.averages?.[row.window]?.add(row);
  averageTable.show(page.averages, page.pair.digits);
  refreshOverlays();
}

function takeAnomalies(rows) {
  anomalyList.add(rows);
  chart.anomalies = page.pair ? anomalyList.marked(page.pair) : [];
  chart.draw();
}

function attachSeries() {
  chart.candles = page.candles?.items ?? [];
  chart.points = page.interval === "line" ? page.points.items : [];
  chart.digits = page.pair?.digits ?? 2;
  chart.latest = latestOf(page.pair);
  chart.anomalies = page.pair ? anomalyList.marked(page.pair) : [];
  refreshOverlays();
}

function latestOf(pair) {
  return pair?.price ? { t: pair.timestamp, p: Number(pair.price) } : null;
}

/** The selected averages: the server's, preceded by estimates from candles. */
function refreshOverlays() {
  const { candles, averages } = page;
  let estimatedUntil = 0;
  if (!averages) return;
  chart.overlays = averageTable.chosen().map(({ window, kind, ...style }) => {
    const known = averages[window.name]?.items ?? [];
    const before = averagesOf(candles?.items ?? [], candles?.intervalMs ?? 1, window.ms, known[0]?.t ?? Infinity);
    if (before.length) estimatedUntil = Math.max(estimatedUntil, before.at(-1).t);
    return { ...style, kind, items: before.concat(known) };
  });
  averageTable.hint(estimatedUntil, rollout.share);
  chart.draw();
}

/** The current time of the server's clock. */
function chartNow() {
  return Date.now() + page.clockOffsetMs;
}

function chartError(text) {
  $("chart-error").hidden = !text;
  $("chart-error").textContent = text;
}

// ---- The live feed

function receive(message) {
  if (message.type === "snapshot") takeTicks(message.ticks ?? [], true);
  if (message.type !== "updates") return;
  const ticks = message.ticks ?? [];
  pipeline.count(message.counts?.ticks ?? ticks.length);
  takeTicks(ticks, false);
  takeCandles(message.candles ?? []);
  const rows = (message.averages ?? []).filter((row) => row.token === page.pair?.token && row.quote === page.pair?.quote);
  if (rows.length) takeAverages(rows);
  if (message.anomalies) takeAnomalies(message.anomalies);
}

function takeTicks(ticks, isSnapshot) {
  if (!ticks.length) return;
  const newest = Math.max(...ticks.map((tick) => tick.ingested_at));
  if (!isSnapshot) {
    page.lastTickAt = performance.now();
    const offset = newest - Date.now();
    page.clockOffsetMs = Math.abs(offset) > CLOCK_TOLERANCE_MS ? offset : 0;
  }
  const unknown = new Set();
  for (const tick of ticks) {
    if (markets.take(tick)) unknown.add(tick.token);
    if (page.pair && tick.token === page.pair.token && tick.quote === page.pair.quote) takeTick(tick);
  }
  if (!page.pair) chooseFirst();
  else if (unknown.size) void loadSymbols(unknown);
}

function takeTick(tick) {
  if (page.series === null) showSeries(new Set([seriesOf(tick)]));
  if (seriesOf(tick) !== page.series) return;
  const value = Number(tick.price);
  page.points.add(tick.timestamp, value);
  page.candles?.fold(tick.timestamp, value);
  chart.digits = page.pair.digits;
  chart.latest = latestOf(page.pair);
  chart.draw();
}

function takeCandles(rows) {
  const interval = page.interval === "line" ? "1s" : page.interval;
  const { pair, candles } = page;
  const ours = rows.filter((row) => row.token === pair?.token && row.quote === pair?.quote && row.interval === interval);
  if (!candles || !ours.length) return;
  candles.merge(ofSeries(ours));
  chart.draw();
}

function connectionChanged(state) {
  if (state === "live" && page.pair) {
    // Loads what was missed while the connection was down.
    page.points = new Points();
    void loadCandles();
    void loadAverages(page.pair);
  }
  if (state === "live") void Promise.all([loadTokens(), loadRecentAnomalies(), pollRollout()]);
  showConnection();
}

function showConnection() {
  const silent = page.lastTickAt ? performance.now() - page.lastTickAt : Infinity;
  let [state, text, detail] = [live.state, "Connecting", ""];
  if (state === "live") {
    text = "Live";
    if (!markets.size) text = "Connected, waiting for the first tick";
    else if (silent > QUIET_AFTER_MS && performance.now() - live.lastMessageAt > QUIET_AFTER_MS) {
      [state, text] = ["quiet", "Connected, but no new ticks"];
      detail = Number.isFinite(silent) ? `for ${duration(silent)}` : "";
    }
  } else if (state === "offline") {
    text = "Disconnected: the values are outdated";
    const wait = Math.max(0, live.retryAt - performance.now());
    detail = `retrying in ${Math.ceil(wait / 1_000)} s`;
  }
  $("connection").dataset.state = state;
  document.body.dataset.connection = state;
  if ($("connection-text").textContent !== text) $("connection-text").textContent = text;
  $("connection-detail").textContent = detail;
  $("reconnect").hidden = state !== "offline";
}

// ---- Polling

async function loadTokens() {
  const answer = await api.tokens().catch(() => null);
  if (!answer) return;
  markets.setAll(answer.tokens);
  if (!page.pair) chooseFirst();
  showEmpty();
  void markets.loadPast();
}

/** The symbols of markets that are new since the list was loaded. */
async function loadSymbols(tokens) {
  for (const token of [...tokens].slice(0, SYMBOLS_AT_ONCE_MAX)) {
    const answer = await api.tokens({ token }).catch(() => null);
    if (answer) markets.learn(answer.tokens);
  }
  void markets.loadPast();
}

async function loadRecentAnomalies() {
  const answer = await api.anomalies({ limit: 100 }).catch(() => null);
  if (!answer) return;
  anomalyList.mute(answer.muted);
  takeAnomalies(answer.anomalies);
}

/** Sends what somebody says about an anomaly, with the operators' token if it is needed, and shows the result. */
async function review(send) {
  const who = $("who").value.trim() || "dashboard";
  try {
    await rollout.withSecret((secret) => send(who, secret));
    setText($("anomalies-error"), "");
  } catch (error) {
    setText($("anomalies-error"), error.message);
  }
  await loadRecentAnomalies();
  if (page.pair) await loadAnomalies(page.pair);
}

function chooseFirst() {
  const [token, quote] = location.hash.slice(1).split("/").map((part) => decodeURIComponent(part));
  const pair = markets.get(token, quote) ?? markets.first();
  if (pair) void select(pair);
  showEmpty();
}

function showEmpty() {
  const empty = markets.size === 0;
  $("empty").hidden = !empty;
  $("plot").hidden = empty;
  document.body.classList.toggle("no-ticks", empty);
}

async function pollStatus() {
  const [status, ledger] = await Promise.allSettled([api.status(), api.ledger()]);
  if (status.status === "fulfilled") {
    pipeline.showStatus(status.value);
    rollout.rate = status.value.ticks_per_second;
  }
  if (ledger.status === "fulfilled") pipeline.showLedger(ledger.value);
}

async function pollRollout() {
  const answer = await api.rollout().catch(() => null);
  if (answer) rollout.show(answer);
  await rollout.proof.load();
}

/** Polls sequentially while the page is visible and the server is connected. */
function poll(work, everyMs) {
  const turn = async () => {
    if (!document.hidden && live.state !== "offline") await work();
    setTimeout(turn, everyMs);
  };
  void turn();
}

// ---- The market's values

function showQuote() {
  const { pair } = page;
  if (!pair) return;
  $("pair").textContent = markets.label(pair.token, pair.quote);
  $("pair").title = `${pair.token} / ${pair.quote}`;
  const { from, to } = chart.view();
  const seen = page.candles?.items ?? [];
  const first = seen[lowerBound(seen, from)];
  const lastSeen = seen[lowerBound(seen, to) - 1];
  const ratio = first && lastSeen && lastSeen.t >= first.t ? lastSeen.c / first.o - 1 : NaN;
  const over = Number.isFinite(ratio) ? lastSeen.t - first.t + page.candles.intervalMs : 0;
  $("change").textContent = over ? `${change(ratio)} over ${duration(over)}` : "";
  $("change").title = "From the first to the last price in view";
  $("change").dataset.sign = String(Math.sign(Math.round(ratio * 10_000)));
  const age = markets.age(pair);
  const series = page.series ? ` · ${page.series} of all venues` : "";
  $("price-note").textContent = `${pair.source}${series}${age > AGE_SHOWN_FROM_MS ? ` · last tick ${duration(age)} ago` : ""}`;
  $("price-note").classList.toggle("warn", age > QUIET_AFTER_MS);
  $("nothing").hidden = !(chart.blank && page.loaded);
  $("nothing-text").textContent = `No ticks in view. The last one was on ${localTime(pair.timestamp, { day: true })}, ${duration(age)} ago.`;
  document.title = `${price(pair.price, pair.digits)} ${markets.label(pair.token, pair.quote)} · tickstream`;
}

/** The price as a number, here and in the list: updated together with the label on the chart's axis. */
function showPrice() {
  if (!page.pair) return;
  $("price").textContent = price(page.pair.price, page.pair.digits);
  $("price").title = exact(page.pair.price);
  markets.showPrice(page.pair);
}

/** The same values as a table, for screen readers. */
function showLatest() {
  const { pair } = page;
  if (!pair) return;
  const candle = page.candles?.items.at(-1);
  const rows = [
    ["Market", markets.label(pair.token, pair.quote)],
    ["Price", exact(pair.price)],
    ["Time", `${localTime(pair.timestamp)}, ${utcTime(pair.timestamp)}`],
    ["Source", pair.source],
  ];
  if (candle) {
    const digits = pair.digits;
    rows.push([`Open of the ${page.interval === "line" ? "1s" : page.interval} candle`, price(candle.o, digits)]);
    rows.push(["High", price(candle.h, digits)], ["Low", price(candle.l, digits)], ["Close", price(candle.c, digits)]);
  }
  const body = $("latest").tBodies[0];
  body.replaceChildren();
  for (const [name, value] of rows) {
    const row = body.insertRow();
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = name;
    row.append(head);
    row.insertCell().textContent = value;
  }
}

// ---- Start

function setUpControls() {
  for (const input of document.querySelectorAll("#intervals input")) {
    input.checked = input.value === page.interval;
    input.addEventListener("change", () => {
      page.interval = input.value;
      store("interval", input.value);
      void loadCandles();
    });
  }
  for (const input of document.querySelectorAll("#series input")) {
    input.addEventListener("change", () => {
      page.series = input.value;
      page.points = new Points();
      clearAverages();
      averageTable.show({}, page.pair.digits);
      void loadCandles();
      void loadAverages(page.pair);
    });
  }
  $("zoom-in").addEventListener("click", () => chart.zoom(1.5));
  $("zoom-out").addEventListener("click", () => chart.zoom(1 / 1.5));
  $("to-live").addEventListener("click", () => {
    chart.toNow();
    $("plot").focus({ preventScroll: true });
  });
  $("show-last").addEventListener("click", () => page.pair && chart.show(page.pair.timestamp));
  $("reconnect").addEventListener("click", () => live.open());
  window.addEventListener("online", () => live.state === "offline" && live.open());
  const command = `curl -X POST ${location.origin}/webhooks/ticks \\
  -H 'content-type: application/json' \\
  -d '{"token":"SOL","quote":"USDC","price":"187.42","timestamp":'$(date +%s)000'}'`;
  $("curl").textContent = command;
  $("copy").addEventListener("click", async () => {
    const copied = await navigator.clipboard?.writeText(command).then(() => true, () => false);
    if (!copied) getSelection().selectAllChildren($("curl"));
    $("copied").textContent = copied ? "Copied." : "Selected: copy it with your keyboard.";
  });
}

setUpControls();
live.open();
void loadTokens().then(showEmpty);
poll(pollStatus, STATUS_EVERY_MS);
poll(pollRollout, ROLLOUT_EVERY_MS);
setInterval(() => {
  markets.show();
  showQuote();
  showConnection();
  chart.draw();
}, 250);
setInterval(() => pipeline.second(), 1_000);
setInterval(showLatest, LATEST_EVERY_MS);
