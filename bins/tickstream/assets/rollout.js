// The rollout's state and its control. Raising the share needs a confirmation; rolling back never does.

import { changeRollout } from "./api.js";
import { element, setText } from "./elements.js";
import { duration, localTime, percent, rate, toMs, utcTime } from "./format.js";
import { ProofPanel } from "./proof.js";

const STAGES = [0, 1, 10, 50, 100];
const SECRET_NAME = "tickstream.secret";

const $ = (id) => document.getElementById(id);

export class RolloutControl {
  #state = null;
  #busy = false;
  /** The share in the last message. */
  #reportedShare = null;
  #sentAt = 0;
  #store;
  #onChange;
  /** The current ticks per second, to show the effect of a step. */
  rate = NaN;
  proof = new ProofPanel({ withSecret: (send) => this.withSecret(send) });

  constructor({ stored, store, onChange }) {
    this.#onChange = onChange;
    this.#store = store;
    $("who").value = stored("who", "");
    $("rollout-form").addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#apply();
    });
    $("rollout-form").addEventListener("input", () => this.#showButton());
    $("custom").addEventListener("focus", () => this.#check("custom"));
    // Not submit buttons, since Enter in a field would activate them.
    for (const button of document.querySelectorAll("dialog .cancel")) {
      button.addEventListener("click", () => button.closest("dialog").close("no"));
    }
    $("rollback").addEventListener("click", () => void this.#rollBack());
  }

  /** The current share; NaN before it is known. */
  get share() {
    return this.#state ? share(this.#state) : NaN;
  }

  show(state) {
    const untouched = !this.#state || this.#wanted().percentage === share(this.#state);
    const sameKey = !this.#state || $("key").value === this.#state.key;
    this.#state = state;
    // The user may be selecting a stage, so the form only follows the server while it is untouched.
    if (untouched) this.#choose(share(state));
    if (sameKey) $("key").value = state.key;
    // The result of a change is only shown until there is another change.
    if (this.#reportedShare !== null && this.#reportedShare !== share(state)) this.#showResult("", "");
    const flows = share(state) > 0;
    setText($("rollout-state"), flows ? "on" : "off");
    $("rollout-state").dataset.level = flows ? "good" : "";
    setText($("rollout-share"), percent(share(state)));
    setText($("rollout-note"), note(state));
    setText($("vital-stream"), percent(share(state)));
    $("rollout-fill").style.width = `${share(state)}%`;
    $("rollback").disabled = !flows;
    this.#showHistory(state.history ?? []);
    this.proof.stageBeganAt = state.history?.length ? toMs(state.history[0].at) : null;
    this.#onChange();
    this.#showButton();
  }

  #showHistory(history) {
    setText($("history-count"), history.length ? String(history.length) : "none yet");
    const items = history.map((entry) => {
      const at = toMs(entry.at);
      return element(
        "li",
        {},
        element("strong", {}, percent(share(entry))),
        element("span", {}, ` ${entry.who}`),
        element("time", { title: utcTime(at), dateTime: new Date(at).toISOString() }, localTime(at, { seconds: false })),
        element("p", {}, entry.why),
      );
    });
    $("history").replaceChildren(...items);
  }

  #check(value) {
    for (const input of $("stages").querySelectorAll("input[type=radio]")) input.checked = input.value === value;
    this.#showButton();
  }

  #choose(percentage) {
    const stage = STAGES.includes(percentage) ? String(percentage) : "custom";
    $("custom").value = stage === "custom" ? String(percentage) : "";
    this.#check(stage);
  }

  #wanted() {
    const stage = $("stages").querySelector("input:checked")?.value ?? "";
    const text = stage === "custom" ? $("custom").value.trim() : stage;
    // The server's rule: digits with at most two decimals.
    const sound = /^\d{1,3}(\.\d{1,2})?$/.test(text) && Number(text) <= 100;
    return { percentage: sound ? Number(text) : NaN, key: $("key").value };
  }

  #showButton() {
    const button = $("apply");
    if (!this.#state) return;
    const { percentage, key } = this.#wanted();
    const now = share(this.#state);
    const label = () => {
      if (this.#busy) return "Sending …";
      if (Number.isNaN(percentage)) return "Enter a percentage, 0 to 100";
      if (percentage > now) return `Raise to ${percent(percentage)} …`;
      if (percentage < now) return `Lower to ${percent(percentage)}`;
      return key !== this.#state.key ? `Select the cohort by ${key} …` : "No change";
    };
    setText(button, label());
    button.disabled = this.#busy || Number.isNaN(percentage) || (percentage === now && key === this.#state.key);
  }

  async #apply() {
    const { percentage, key } = this.#wanted();
    const [who, why] = [$("who").value.trim(), $("why").value.trim()];
    if (Number.isNaN(percentage) || !who || !why) return;
    const now = share(this.#state);
    const otherKey = key !== this.#state.key && percentage > 0;
    if ((percentage > now || otherKey) && !(await this.#agreed(now, percentage, otherKey ? key : null))) return;
    this.#store("who", who);
    await this.#send({ use_kinesis: percentage > 0, percentage, key, who, why });
  }

  /** The emergency rollback, which also works with empty fields. */
  async #rollBack() {
    const who = $("who").value.trim() || "dashboard";
    const why = $("why").value.trim() || "rolled back from the dashboard";
    await this.#send({ use_kinesis: false, percentage: 0, who, why }, { andChoose: 0 });
  }

  async #agreed(now, percentage, key) {
    const dialog = $("confirm");
    const raised = percentage > now;
    setText($("confirm-title"), raised ? `Raise the share from ${percent(now)} to ${percent(percentage)}?` : `Select the cohort by ${key}?`);
    const more = (this.rate * (percentage - now)) / 100;
    const added = raised && Number.isFinite(more) ? `At the current rate, that is about ${rate(more)} more ticks per second in the stream. ` : "";
    const other = key ? `The cohort will be selected by ${key}, so different ticks go to the stream than before. ` : "";
    // From 0 there is nothing to prove yet.
    const proof = raised && now > 0 ? await this.proof.forStep() : { good: true, text: "" };
    setText($("confirm-text"), `${added}${other}Rolling back takes one click.`);
    setText($("confirm-proof"), proof.text);
    $("confirm-verify").hidden = proof.good;
    const raise = proof.good ? `Raise to ${percent(percentage)}` : `Raise to ${percent(percentage)} without a proof`;
    setText($("confirm-yes"), raised ? raise : `Select by ${key}`);
    const answer = await answerOf(dialog);
    if (answer !== "verify") return answer === "yes";
    await this.proof.verify();
    return this.#agreed(now, percentage, key);
  }

  async #send(change, { andChoose = change.percentage } = {}) {
    if (this.#busy) return;
    this.#busy = true;
    this.#showButton();
    this.#showResult("", "");
    try {
      const state = await this.withSecret((secret) => {
        this.#sentAt = performance.now();
        return changeRollout(change, secret);
      });
      this.#choose(andChoose);
      $("why").value = "";
      this.show(state);
      $("key").value = state.key;
      this.#showResult("good", `Now ${percent(share(state))}, after ${duration(performance.now() - this.#sentAt)}.`);
      this.#reportedShare = share(state);
    } catch (error) {
      this.#showResult("bad", error.name === "TimeoutError" ? "The server did not respond in time, so the change may or may not have been made: check the state above." : error.message);
    } finally {
      this.#busy = false;
      this.#showButton();
    }
  }

  /** Calls `send` with the operators' token, and asks for it if the server wants one. */
  async withSecret(send) {
    for (;;) {
      try {
        return await send(sessionStorage.getItem(SECRET_NAME));
      } catch (error) {
        if (error.status !== 401) throw error;
        sessionStorage.removeItem(SECRET_NAME);
        $("secret-value").value = "";
        const given = (await answerOf($("secret"))) === "yes" ? $("secret-value").value : "";
        $("secret-value").value = "";
        if (!given) throw new Error("Not done: the server requires the operators' token.");
        sessionStorage.setItem(SECRET_NAME, given);
      }
    }
  }

  #showResult(level, text) {
    this.#reportedShare = null;
    $("rollout-result").dataset.level = level;
    setText($("rollout-result"), text);
  }
}

/** Off takes precedence over the percentage. */
function share({ use_kinesis: on, percentage }) {
  return on ? percentage : 0;
}

function note(state) {
  if (!state.use_kinesis && state.percentage > 0) return `switched off (set to ${percent(state.percentage)})`;
  return share(state) > 0 ? `of ticks, by ${state.key}` : "no ticks go to the stream";
}

function answerOf(dialog) {
  return new Promise((resolve) => {
    dialog.returnValue = "";
    dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true });
    dialog.showModal();
  });
}
