// Formats numbers and times. Prices range from 10^-9 to 10^5, so the number of digits depends on the price.

const SIGNIFICANT_DIGITS = 7;
const LEADING_ZEROS_SHOWN_MAX = 4;
const SUBSCRIPTS = "₀₁₂₃₄₅₆₇₈₉";
const counts = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const shorts = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });
const compacts = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

/** The number of decimals that shows a price of this size with seven significant digits. */
function priceDigits(price) {
  if (!(price > 0)) return 2;
  return Math.min(20, Math.max(0, SIGNIFICANT_DIGITS - 1 - Math.floor(Math.log10(price))));
}

/** The number of decimals in a decimal text. */
function digitsIn(text) {
  const point = text.indexOf(".");
  return point < 0 ? 0 : text.length - point - 1;
}

/** As many digits as a price's text has, but limited, since quotients have endless ones. */
export function textDigits(text) {
  return Math.min(digitsIn(text), priceDigits(Number(text)));
}

/** A readable price: with thousands separators, and a long run of zeros as its count (0.0₅1234). */
export function price(value, digits) {
  const number = Number(value);
  if (value === null || value === undefined || value === "" || !Number.isFinite(number)) return "–";
  return shortZeros(grouped(number.toFixed(Math.min(20, digits ?? priceDigits(number)))));
}

/** A decimal text with all of its digits and thousands separators. */
export function exact(text) {
  return text === null || text === undefined ? "–" : grouped(String(text));
}

function grouped(text) {
  const [whole, fraction] = text.split(".");
  const apart = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return fraction === undefined ? apart : `${apart}.${fraction}`;
}

function shortZeros(text) {
  return text.replace(/^(-?)0\.(0+)(?=[1-9])/, (all, sign, zeros) =>
    zeros.length < LEADING_ZEROS_SHOWN_MAX
      ? all
      : `${sign}0.0${[...String(zeros.length)].map((digit) => SUBSCRIPTS[digit]).join("")}`);
}

export function count(value) {
  return Number.isFinite(value) ? counts.format(value) : "–";
}

export function compact(value) {
  const number = Number(value);
  if (!Number.isFinite(number)) return "–";
  return (Math.abs(number) < 10_000 ? shorts : compacts).format(number);
}

export function rate(value) {
  if (!Number.isFinite(value)) return "–";
  return value > 0 && value < 10 ? value.toFixed(1) : count(Math.round(value));
}

/** A share in percent with at most two decimals, like the flag. */
export function percent(value) {
  return Number.isFinite(value) ? `${Number(value.toFixed(2))} %` : "–";
}

/** A change in percent with its sign. */
export function change(ratio) {
  if (!Number.isFinite(ratio)) return "";
  const hundredths = Math.round(ratio * 10_000) / 100;
  return `${hundredths > 0 ? "+" : hundredths < 0 ? "−" : ""}${Math.abs(hundredths).toFixed(2)}%`;
}

/** A duration in at most its two largest units. */
export function duration(ms) {
  if (!Number.isFinite(ms)) return "–";
  const whole = Math.max(0, ms);
  if (whole < 1_000) return `${Math.round(whole)} ms`;
  if (whole < 10_000) return `${(whole / 1_000).toFixed(1)} s`;
  const seconds = Math.round(whole / 1_000);
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  const days = Math.floor(hours / 24);
  if (days < 10) return `${days} d ${hours % 24} h`;
  return days < 730 ? `${days} d` : `${(days / 365.25).toFixed(1)} years`;
}

const two = (number) => String(number).padStart(2, "0");
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** Local time such as 14:03:05; with the day unless it is today, and the year unless it is the current one. */
export function localTime(ms, { millis = false, seconds = true, day = false } = {}) {
  const at = new Date(ms);
  const clock = `${two(at.getHours())}:${two(at.getMinutes())}${seconds ? `:${two(at.getSeconds())}` : ""}`;
  const exactClock = millis ? `${clock}.${String(at.getMilliseconds()).padStart(3, "0")}` : clock;
  return !day && at.toDateString() === new Date().toDateString() ? exactClock : `${localDay(ms)} ${exactClock}`;
}

export function localDay(ms) {
  const at = new Date(ms);
  const year = at.getFullYear() === new Date().getFullYear() ? "" : ` ${at.getFullYear()}`;
  return `${at.getDate()} ${MONTHS[at.getMonth()]}${year}`;
}

/** 2026-11-22 13:03:05.120 UTC */
export function utcTime(ms) {
  const at = new Date(ms);
  return Number.isNaN(at.getTime()) ? "–" : `${at.toISOString().replace("T", " ").replace("Z", "")} UTC`;
}

/** Epoch milliseconds of a number or of an RFC 3339 text. */
export function toMs(value) {
  return typeof value === "number" ? value : Date.parse(value);
}

/** A mint address is too long to read, so only its start and end are shown. */
export function shortName(name) {
  return name.length > 16 ? `${name.slice(0, 4)}…${name.slice(-4)}` : name;
}

/** `invalid_price` as words. */
export function words(code) {
  return String(code).replaceAll("_", " ");
}
