// The positions of axis labels: round prices, round local times.

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const TIME_STEPS = [
  SECOND, 2 * SECOND, 5 * SECOND, 10 * SECOND, 15 * SECOND, 30 * SECOND,
  MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE,
  HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR,
  DAY, 2 * DAY, 7 * DAY, 14 * DAY, 28 * DAY,
];

/** About `most` round prices from low to high, and the digits that they need. */
export function priceTicks(low, high, most) {
  const span = high - low;
  if (!(span > 0) || most < 1) return { values: [], digits: 0 };
  const rough = span / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= rough * 0.999);
  const halves = Math.abs(step / power - 2.5) < 0.01 ? 1 : 0;
  const digits = Math.min(20, Math.max(0, -Math.floor(Math.log10(step) + 1e-9) + halves));
  const values = [];
  for (let index = Math.ceil(low / step); index * step <= high; index += 1) values.push(index * step);
  return { values, digits };
}

/** About `most` round local times in a range; `day` marks the first one of a day. */
export function timeTicks(from, to, most) {
  const rough = (to - from) / Math.max(1, most);
  const step = TIME_STEPS.find((size) => size >= rough) ?? TIME_STEPS.at(-1);
  // Steps of hours and days are round in the reader's time zone, not in UTC.
  const offset = new Date(from).getTimezoneOffset() * MINUTE;
  const ticks = [];
  for (let local = Math.ceil((from - offset) / step) * step; local + offset <= to; local += step) {
    const at = local + offset;
    const midnight = ((local % DAY) + DAY) % DAY === 0;
    ticks.push({ at, day: midnight, seconds: step < MINUTE });
  }
  return ticks;
}
