// Who we are. The aggregator keeps a token that was shown to it as a cookie which no script can read, this one included.

/// A JSON answer of the API; throws an Error with the refusal's words and its status.
export async function ask(path, options = {}) {
  const answer = await fetch(path, { cache: "no-store", ...options });
  const body = await answer.json().catch(() => ({}));
  if (answer.ok) return body;
  const refusal = typeof body.error === "object" ? body.error : { message: body.error, next_step: null };
  const error = new Error([refusal.message ?? answer.statusText, refusal.next_step].filter(Boolean).join("; "));
  error.status = answer.status;
  throw error;
}

/// Shows a token once; from then on it goes with every request of this browser to this aggregator.
export function login(token) {
  return ask("/api/bongsu/v1/login", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ token }) });
}

export function logout() { return fetch("/api/bongsu/v1/logout", { method: "POST" }); }

/// The name of the token that we are known by; `null` where none was needed.
export async function whoAmI() {
  try { return (await ask("/api/bongsu/v1/whoami")).name ?? null; } catch { return null; }
}
