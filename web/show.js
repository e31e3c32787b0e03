// Elements made of data. Whatever comes from Vault becomes text and never markup,
// an attribute or a class.

const maxCharacters = 4000;

// el makes an element. Properties are the page's own words; children are elements
// or text.
export function el(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children.filter((child) => child !== undefined && child !== null));
  return element;
}

export function clip(text) {
  return text.length <= maxCharacters ? text : `${text.slice(0, maxCharacters)}… (${text.length} characters)`;
}

// textOf is any JSON value as text: a list has a line for each entry, so has a map,
// in which what is empty is left out.
export function textOf(value) {
  if (typeof value === "string") return clip(value);
  if (Array.isArray(value)) return clip(value.map(inline).join("\n"));
  if (value !== null && typeof value === "object") {
    return clip(Object.entries(value).filter(([, entry]) => entry !== "").map(([key, entry]) => `${key} = ${inline(entry)}`).join("\n"));
  }
  return clip(String(value));
}

function inline(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}

// isUnset tells what Vault returns for a field that nobody has set.
export function isUnset(value) {
  if (value === null || value === undefined || value === "" || value === 0 || value === false) return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}

// spaced is the key of a field as people read it.
export function spaced(key) {
  return clip(key.replaceAll("_", " "));
}

// inUnits gives a number of a token's settings its unit.
export function inUnits(key, value) {
  return typeof value === "number" && /(^|_)(ttl|period)$/.test(key) ? `${value} seconds` : value;
}

// fieldList shows [name, value] pairs.
export function fieldList(pairs, mono = false) {
  return el("dl", {}, ...pairs.flatMap(([name, value]) => [
    el("dt", {}, clip(name)),
    el("dd", { className: mono ? "mono" : "" }, textOf(value)),
  ]));
}

const kinds = new Map([
  ["pass", "pass"], ["warn", "warn"], ["fail", "fail"], ["skip", "idle"],
  ["allowed", "pass"], ["denied", "fail"], ["could not ask", "warn"], ["invalid", "fail"],
  ["not reached", "idle"], ["not judged", "warn"],
]);

// kindOf is the class of a verdict; a word that is not known has the idle one.
export function kindOf(verdict) {
  return kinds.get(verdict) ?? "idle";
}

export function badge(verdict) {
  return el("span", { className: `badge ${kindOf(verdict)}` }, clip(verdict));
}

// splitVerdict takes "fail: the port is closed" apart.
export function splitVerdict(text) {
  const at = text.indexOf(": ");
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 2)];
}

// verdictItem is a line of a list of verdicts.
export function verdictItem(name, text, remedy) {
  const [verdict, finding] = splitVerdict(textOf(text));
  return el("li", {},
    badge(verdict),
    el("span", { className: "name" }, spaced(name)),
    finding ? el("span", { className: "detail" }, finding) : undefined,
    isUnset(remedy) ? undefined : el("div", { className: "detail" }, el("pre", {}, textOf(remedy))));
}

// notice is a framed message; kind is pass, warn, fail or idle.
export function notice(kind, title, ...children) {
  return el("div", { className: `notice ${kind}` }, title ? el("p", { className: "title" }, title) : undefined, ...children);
}

// showFailure replaces what an element shows with the reason why it cannot.
export function showFailure(element, failure) {
  element.replaceChildren(notice("fail", "", el("span", { className: "value" }, clip(failure.message))));
}
