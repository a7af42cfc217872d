// The panels of the process: throughput, lag, the stream, the ledger, malformed entries.

import { colour, element, setText } from "./elements.js";
import { compact, count, duration, localTime, rate, toMs, utcTime, words } from "./format.js";
import { sparkline } from "./paint.js";

const SECONDS_SHOWN = 180;
/** The lags that count as a warning and as bad. The archive is written at intervals. */
const LAGS_MS = { archive: [60_000, 600_000], other: [1_000, 10_000] };
const RECEIVED_PARTS = ["stored", "duplicate", "rejected", "ignored"];
const COHORT_PARTS = ["streamed", "redriven", "pending"];

const $ = (id) => document.getElementById(id);

export class Pipeline {
  #seconds = [];
  #running = 0;

  /** Adds the number of ticks that a live message represents. */
  count(ticks) {
    this.#running += ticks;
  }

  /** Completes a second of the throughput chart. */
  second() {
    this.#seconds.push(this.#running);
    this.#running = 0;
    if (this.#seconds.length > SECONDS_SHOWN) this.#seconds.shift();
    const most = Math.max(1, ...this.#seconds);
    sparkline($("rate-spark"), this.#seconds, { colour: colour("accent"), fill: colour("fill"), most, room: SECONDS_SHOWN });
  }

  showStatus(status) {
    setText($("rate"), rate(status.ticks_per_second));
    setText($("vital-rate"), rate(status.ticks_per_second));
    $("demo").hidden = !status.demo;
    setText($("vital-up"), duration(status.uptime_seconds * 1_000));
    $("vital-up").title = `tickstream ${status.version}, since ${utcTime(toMs(status.started_at))}`;
    const consumers = status.consumers ?? [];
    const live = consumers.filter(({ name }) => !Object.hasOwn(LAGS_MS, name));
    const worst = Math.max(0, ...live.map((consumer) => consumer.lag_ms));
    setText($("vital-lag"), live.length ? duration(worst) : "–");
    $("vital-lag").title = "The lag of the slowest live consumer; the archive is written at intervals";
    $("vital-lag").dataset.level = level("other", worst);
    this.#showConsumers(consumers);
    this.#showStream(status);
  }

  #showConsumers(consumers) {
    const rows = consumers.map((consumer) =>
      element(
        "tr",
        {},
        element("th", { scope: "row" }, consumer.name),
        element("td", {}, count(consumer.lag_records)),
        element("td", { data: { level: level(consumer.name, consumer.lag_ms) } }, duration(consumer.lag_ms)),
      ));
    $("consumers").tBodies[0].replaceChildren(...rows);
  }

  #showStream({ stream, archive, analysis, readers }) {
    const shards = stream?.shards ?? [];
    const total = shards.reduce((sum, shard) => sum + Number(shard.head ?? 0), 0);
    const heads = shards.map((shard) => `${shard.shard}: ${count(Number(shard.head ?? 0))}`).join("\n");
    $("stream").replaceChildren(
      ...term("Stream", `${compact(total)} records`, heads),
      ...term("Shards", count(shards.length), heads),
      ...(analysis ? term("Late ticks", count(analysis.late), `${count(analysis.too_late)} too late for their candles`) : []),
      ...(archive ? term("Last file", archive.last_file_at ? localTime(toMs(archive.last_file_at)) : "none yet", "When the archive got its last file") : []),
      ...(readers === undefined ? [] : term("Live readers", count(readers))),
    );
  }

  showLedger(ledger) {
    const off = Number(ledger.difference);
    const balanced = off === 0;
    setText($("ledger-state"), balanced ? "balanced" : `off by ${count(off)}`);
    $("ledger-state").dataset.level = balanced ? "good" : "bad";
    setText($("vital-ledger"), balanced ? "balanced" : `off by ${count(off)}`);
    $("vital-ledger").dataset.level = balanced ? "good" : "bad";
    const part = (name) => [element("dt", { class: `part ${name}` }, words(name)), element("dd", {}, count(ledger[name]))];
    const whole = (name) => [element("dt", { class: "whole" }, words(name)), element("dd", { class: "whole" }, count(ledger[name]))];
    $("ledger").replaceChildren(
      ...whole("received"),
      ...RECEIVED_PARTS.flatMap(part),
      ...whole("in_cohort"),
      ...COHORT_PARTS.flatMap(part),
      element("dt", { class: "whole" }, "difference"),
      element("dd", { class: "whole", data: { level: balanced ? "good" : "bad" } }, count(off)),
    );
    const parts = RECEIVED_PARTS.map((name) => element("span", { class: `part ${name}` }));
    parts.forEach((bar, index) => {
      bar.style.flexGrow = String(ledger[RECEIVED_PARTS[index]] || 0);
    });
    $("ledger-received").replaceChildren(...parts);
    this.#showMalformed(ledger);
  }

  #showMalformed({ rejected, rejected_by_reason: byReason }) {
    const reasons = Object.entries(byReason ?? {}).filter(([, times]) => times > 0).sort((a, b) => b[1] - a[1]);
    setText($("malformed-total"), reasons.length ? count(rejected) : "");
    if (!reasons.length) {
      $("malformed").replaceChildren(element("li", { class: "none" }, "None so far."));
      return;
    }
    const most = reasons[0][1];
    const rows = reasons.map(([reason, times]) => {
      const bar = element("i", { "aria-hidden": "true" });
      bar.style.width = `${(times / most) * 100}%`;
      return element("li", {}, element("span", {}, words(reason)), element("span", { class: "number" }, count(times)), bar);
    });
    $("malformed").replaceChildren(...rows);
  }
}

function term(name, value, title = "") {
  return [element("dt", {}, name), element("dd", { title }, value)];
}

function level(consumer, lagMs) {
  const [fair, bad] = LAGS_MS[consumer] ?? LAGS_MS.other;
  return lagMs < fair ? "good" : lagMs < bad ? "fair" : "bad";
}
