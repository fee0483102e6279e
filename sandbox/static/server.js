// Talking to the sandbox: look (GET), act (POST), listen (server-sent events).

/** What the server shows; throws on anything but 200. */
export async function look(path, query) {
  const answer = await fetch(`${path}?${new URLSearchParams(query)}`);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

/** The same for what is plain text. */
export async function lookText(path, query) {
  const answer = await fetch(`${path}?${new URLSearchParams(query)}`);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.text();
}

/** A gesture; resolves to {ok, error, message, errors}. A server that is gone counts as an error too. */
export async function act(gesture, body) {
  try {
    const answer = await fetch(`/page/${gesture}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    return answer.ok ? await answer.json() : { ok: false, error: "refused", message: await answer.text() };
  } catch {
    return { ok: false, error: "gone", message: "The sandbox does not answer. Is it still running?" };
  }
}

/** Slack's words for an interaction that failed. */
export function sentence(outcome, appName) {
  if (outcome.message) return outcome.message;
  const code = outcome.error ?? "";
  if (code === "timeout" || code === "dropped") return "This app did not respond.";
  if (code === "not_connected") return `This app did not respond: ${appName} is not connected.`;
  if (code.startsWith("http_")) return `This app responded with Status Code ${code.slice(5)}.`;
  if (code.startsWith("connection_failed")) return "This app did not respond: its address cannot be reached.";
  if (code.startsWith("invalid_response")) return `This app responded with an invalid payload (${code.slice(18)}).`;
  return `This app did not respond (${code}).`;
}

/** Call `changed(change)` for every change this person may hear of, and `opened()` on every (re)connection. */
export function listen(user, changed, opened) {
  const source = new EventSource(`/page/events?user=${encodeURIComponent(user)}`);
  source.onmessage = (event) => changed(JSON.parse(event.data));
  source.onopen = opened;
  return source;
}
