// The read API and the rollout's control: JSON requests and responses, problems as errors.

const TIMEOUT_MS = 8_000;

/** An error response, with the message of the server's problem document if there is one. */
export class ApiError extends Error {
  constructor(status, problem) {
    super(problem?.detail || problem?.title || `the server responded with ${status}`);
    this.status = status;
  }
}

async function call(path, options = {}) {
  // Not relative to the page's own address: a request to one with a name and a password is refused by browsers.
  const answer = await fetch(location.origin + path, { ...options, cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
  const type = answer.headers.get("content-type") ?? "";
  const body = type.includes("json") ? await answer.json().catch(() => null) : null;
  if (!answer.ok) throw new ApiError(answer.status, body);
  if (body === null) throw new ApiError(answer.status, { detail: `${path} did not respond with JSON` });
  return body;
}

function query(path, parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== null);
  const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return text ? `${path}?${text}` : path;
}

export const tokens = (parameters = {}) => call(query("/api/tokens", parameters));
export const candles = (token, parameters) => call(query(`/api/candles/${encodeURIComponent(token)}`, parameters));
export const averages = (token) => call(`/api/averages/${encodeURIComponent(token)}`);
export const anomalies = (parameters) => call(query("/api/anomalies", parameters));
export const markAnomaly = (mark, secret) => call("/api/anomalies/mark", sent("PUT", mark, secret));
export const mutePair = (mute, secret) => call("/api/anomalies/mute", sent("PUT", mute, secret));
export const rollout = () => call("/api/rollout");
export const ledger = () => call("/api/ledger");
export const status = () => call("/api/status");

export const proof = () => call("/api/proof");

/** Compares store, stream and archive; `onProgress` gets the progress while it runs. Returns the proof with its verdict. */
export async function verify(request, secret, onProgress) {
  const answer = await fetch(`${location.origin}/api/verify`, { ...sent("POST", request, secret), cache: "no-store" });
  if (!answer.ok) throw new ApiError(answer.status, await answer.json().catch(() => null));
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    text += value ?? "";
    const lines = text.split("\n");
    text = lines.pop();
    for (const line of lines) {
      const { progress, result, error } = JSON.parse(line);
      if (error !== undefined) throw new Error(error);
      if (result !== undefined) return { ...result, verdict: (await proof()).verdict };
      onProgress(progress);
    }
    if (done) throw new Error("The comparison was broken off.");
  }
}

export const changeRollout = (change, secret) => call("/api/rollout", sent("PUT", change, secret));

/** The options of a request with a body. */
function sent(method, body, secret) {
  const headers = { "content-type": "application/json" };
  if (secret) headers.authorization = `Bearer ${secret}`;
  return { method, headers, body: JSON.stringify(body) };
}
