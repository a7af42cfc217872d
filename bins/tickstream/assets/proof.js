// The last proof that what was stored is in stream and archive, and a button that makes a new one.

import * as api from "./api.js";
import { setText } from "./elements.js";
import { count, duration, localTime, toMs } from "./format.js";

/** The most that is compared: the stream keeps 24 hours, and what it has removed cannot be seen. */
const COMPARED_MS_MAX = 23 * 60 * 60 * 1_000;

/** What was received in the last seconds is not compared; without them, a clock here that is a little ahead is not an error. */
const LEFT_OUT_MS = 6_000;

const $ = (id) => document.getElementById(id);

export class ProofPanel {
  #last = null;
  #busy = false;
  #withSecret;
  /** When the current stage began, in milliseconds; null before it is known. */
  stageBeganAt = null;

  /** `withSecret` calls a function with the operators' token, and asks for it if it is needed. */
  constructor({ withSecret }) {
    this.#withSecret = withSecret;
    $("verify").addEventListener("click", () => void this.verify());
  }

  async load() {
    const answer = await api.proof().catch(() => null);
    if (!answer || this.#busy) return;
    this.#last = answer.proof && { ...answer.proof, verdict: answer.verdict, whyNotOfStage: answer.why_not_of_stage };
    this.#show();
  }

  /** A sentence for a step up, and whether there is a good proof of the stage, as the server judges it. */
  async forStep() {
    await this.load();
    if (!this.#last) return { good: false, text: "Nothing is proven yet: verify first that what was stored is in stream and archive." };
    const why = this.#last.whyNotOfStage;
    const age = duration(Date.now() - this.#last.made_at_ms);
    const last = `${sentence(this.#last)}, ${age} ago`;
    return { good: !why, text: why ? `The last proof (${last}) is not enough for a step up: ${why}.` : `${last}.` };
  }

  /** Compares everything since the stage began, as far as the stream goes back. */
  async verify() {
    if (this.#busy) return;
    this.#busy = true;
    $("verify").disabled = true;
    setText($("proof-result"), "Comparing …");
    try {
      const to = Date.now() - LEFT_OUT_MS;
      const request = { from_ms: Math.max(this.stageBeganAt ?? 0, to - COMPARED_MS_MAX), to_ms: to };
      const proof = await this.#withSecret((secret) => api.verify(request, secret, (progress) => setText($("proof-result"), progressText(progress))));
      this.#last = proof;
      setText($("proof-result"), "");
    } catch (error) {
      setText($("proof-result"), error.message);
    } finally {
      this.#busy = false;
      $("verify").disabled = false;
      await this.load();
    }
  }

  #show() {
    const last = this.#last;
    const level = { proven: "good", differences: "bad" }[last?.verdict] ?? "";
    setText($("proof-state"), last ? WORDS[last.verdict] : "none");
    $("proof-state").dataset.level = level;
    if (!last) return setText($("proof-text"), "Store, stream and archive were not compared yet.");
    const { from_ms: from, to_ms: to } = last.scope;
    setText($("proof-text"), `${sentence(last)}, received ${localTime(toMs(from), { seconds: false })} to ${localTime(toMs(to), { seconds: false })}; made ${duration(Date.now() - last.made_at_ms)} ago.`);
  }
}

const WORDS = { proven: "proven", differences: "differs", incomplete: "not proven", no_ticks: "no ticks" };

function sentence({ verdict, counts }) {
  const matched = `${count(counts.matched)} of ${count(counts.cohort)} ticks of the cohort are in stream and archive as stored`;
  if (verdict !== "differences") return counts.archive.late > 0 ? `${matched}, and ${count(counts.archive.late)} are still on their way` : matched;
  const places = ["stream", "archive"].map((place) => {
    const { missing, different, repeated, extra } = counts[place];
    const found = Object.entries({ missing, different, repeated, extra }).filter(([, number]) => number > 0);
    return found.map(([what, number]) => `${count(number)} ${what} in the ${place}`);
  });
  return `${matched}; ${places.flat().join(", ")}`;
}

function progressText(progress) {
  if (!progress) return "Comparing …";
  if (progress.phase === "compare") return `Comparing part ${progress.done} of ${progress.of} …`;
  return `Reading ${progress.phase === "archive" ? "the archive" : "store and stream"}: ${count(progress.done)} ticks …`;
}
