// Requests to Vault's HTTP API, and its answers in plain words. Knows nothing of
// the page.

// A check may take twice the mount's request_timeout.
const timeoutMilliseconds = 120_000;
const maxAnswerBytes = 8 << 20;

// Failure is an answer that is not the one asked for. Its message is for people,
// and may hold text that came from outside.
export class Failure extends Error {
  // status is the HTTP status, 0 if there was no answer.
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

// Vault holds the token, in this object and nowhere else.
export class Vault {
  #token;

  constructor(token) {
    this.#token = token;
  }

  // read returns the data of the answer, an object. Paths are arrays of segments.
  read(path, signal) {
    return this.#data("GET", path, "read", { signal });
  }

  // write returns the data of the answer, an object.
  write(path, body, signal) {
    return this.#data("POST", path, "update", { signal, body });
  }

  // list returns {keys, info}; where there is nothing, Vault answers 404.
  async list(path, signal) {
    try {
      const data = await this.#data("GET", path, "list", { signal, query: "?list=true" });
      const keys = Array.isArray(data.keys) ? data.keys.filter((key) => typeof key === "string") : [];
      return { keys, info: asObject(data.key_info) };
    } catch (failure) {
      if (failure instanceof Failure && failure.status === 404 && failure.empty) return { keys: [], info: {} };
      throw failure;
    }
  }

  async #data(method, path, capability, { signal, body, query = "" }) {
    const { status, answer, text } = await exchange(urlOf(path) + query, {
      method,
      headers: { "X-Vault-Token": this.#token, "X-Vault-Request": "true" },
      body: body && JSON.stringify(body),
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMilliseconds)]),
    }, signal);
    if (status >= 200 && status < 300 && answer) return asObject(answer.data);
    throw describe(status, answer, text, path.join("/"), capability);
  }
}

// urlOf never lets a name become more than one segment of the path.
function urlOf(path) {
  for (const segment of path) {
    if (segment === "" || segment === "." || segment === "..") {
      throw new Failure(`“${path.join("/")}” is not a path in Vault.`);
    }
  }
  return "/v1/" + path.map(encodeURIComponent).join("/");
}

// exchange returns {status, answer, text}; answer is undefined if it is no JSON object.
async function exchange(url, request, cancelled) {
  try {
    const response = await fetch(url, {
      ...request, cache: "no-store", credentials: "omit", mode: "same-origin", redirect: "manual", referrerPolicy: "no-referrer",
    });
    if (response.type === "opaqueredirect") {
      throw new Failure("Vault answered with a redirect, as a standby node does. Serve this page for the active node.");
    }
    const text = await readBounded(response);
    return { status: response.status, answer: parse(text), text };
  } catch (error) {
    if (error instanceof Failure || cancelled.aborted) throw error;
    throw new Failure(error.name === "TimeoutError"
      ? `No answer within ${timeoutMilliseconds / 1000} seconds.`
      : "Vault cannot be reached: the connection failed.");
  }
}

async function readBounded(response) {
  if (!response.body) return "";
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (let size = 0; ;) {
    const { done, value } = await reader.read();
    if (done) return text + decoder.decode();
    size += value.length;
    if (size > maxAnswerBytes) {
      await reader.cancel();
      throw new Failure("The answer is too long to be shown.");
    }
    text += decoder.decode(value, { stream: true });
  }
}

function parse(text) {
  try {
    const answer = JSON.parse(text);
    return answer !== null && typeof answer === "object" ? answer : undefined;
  } catch {
    return undefined;
  }
}

function asObject(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value) ? value : {};
}

// describe words an answer that is not a success.
function describe(status, answer, text, path, capability) {
  if (!answer) {
    return new Failure(`The answer to ${path} is not Vault's (HTTP ${status}): ${text.slice(0, 300) || "it is empty"}`, status);
  }
  const errors = (Array.isArray(answer.errors) ? answer.errors : []).map(plainError).filter(Boolean);
  const said = errors.join("; ");
  const failure = new Failure(word(status, said, path, capability), status);
  failure.empty = said === "";
  return failure;
}

function word(status, said, path, capability) {
  switch (status) {
    case 403:
      return `Vault refused ${path} (403): ${said || "permission denied"}. `
        + `The Vault token is wrong, has ended, or its policies lack “${capability}” on this path.`;
    case 404:
      return `Vault has nothing at ${path} (404)${said ? ": " + said : ""}. `
        + "The path is wrong, or what is mounted there is not a current version of this plugin.";
    case 503:
      return `Vault cannot answer ${path} now (503): ${said || "it is sealed or in standby"}.`;
    default:
      return `Vault answered ${status} to ${path}: ${said || "no reason was given"}.`;
  }
}

// plainError takes the list's frame off a list of one.
function plainError(error) {
  return String(error).replace(/^\s*1 error occurred:\s*\*\s*/, "").trim().replace(/\.$/, "");
}
