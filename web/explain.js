// What auth/<mount>/explain answers.

import { clip, el, fieldList, inUnits, isUnset, kindOf, notice, spaced, textOf, verdictItem } from "./show.js";

const stepKey = /^step_(\d+)_(.+)$/;
const told = new Set(["verdict", "failed_step", "reason", "remedy", "client_sees", "note"]);

// explainView returns the elements that show an answer.
export function explainView(data) {
  return [
    verdictNotice(data),
    section("Steps", steps(data)),
    section(data.verdict === "allowed" ? "What the Vault token would have" : "Further", result(data)),
    ...rules(data),
    section("Attributes the API server confirmed", attributes(data)),
  ].flat().filter(Boolean);
}

function section(title, content) {
  return content && [el("h3", {}, title), content];
}

function verdictNotice(data) {
  const verdict = clip(String(data.verdict ?? "no verdict"));
  const step = isUnset(data.failed_step) ? "" : `, at the step “${clip(String(data.failed_step))}”`;
  return notice(kindOf(verdict), capital(verdict) + step,
    line(data.reason),
    line(data.note),
    isUnset(data.client_sees) ? undefined : line(`The client reads: ${textOf(data.client_sees)}`),
    ...(isUnset(data.remedy) ? [] : [line("What to do:"), el("pre", {}, textOf(data.remedy))]));
}

function line(value) {
  return isUnset(value) ? undefined : el("p", { className: "value" }, textOf(value));
}

function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function steps(data) {
  const found = Object.keys(data)
    .map((key) => ({ key, match: stepKey.exec(key) }))
    .filter(({ match }) => match)
    .sort((a, b) => Number(a.match[1]) - Number(b.match[1]));
  if (!found.length) return undefined;
  return el("ol", { className: "verdicts steps" }, ...found.map(({ key, match }) => verdictItem(match[2], data[key])));
}

// result is all that is not shown elsewhere, the policies first.
function result(data) {
  const keys = Object.keys(data)
    .filter((key) => !told.has(key) && !stepKey.test(key) && !key.startsWith("rules_") && !key.startsWith("attributes/") && !isUnset(data[key]))
    .sort((a, b) => (b === "policies") - (a === "policies") || a.localeCompare(b));
  return keys.length ? fieldList(keys.map((key) => [spaced(key), inUnits(key, data[key])])) : undefined;
}

// rules are a section for each kind: what is said of each rule, or how many there are.
function rules(data) {
  const kinds = Object.keys(data).filter((key) => key.startsWith("rules_") && !key.includes("/") && !isUnset(data[key]));
  return kinds.sort().map((kind) => {
    const said = parts(data, kind);
    const content = said.length
      ? el("ul", { className: "plain" }, ...said.map(([rule, text]) => el("li", { className: "value" }, `${clip(rule)}: ${textOf(text)}`)))
      : el("p", { className: "value" }, textOf(data[kind]));
    return section(capital(spaced(kind)), content);
  });
}

function attributes(data) {
  const known = parts(data, "attributes");
  return known.length ? fieldList(known, true) : undefined;
}

// parts are what the answer has under the keys that begin with one, sorted.
function parts(data, under) {
  return Object.keys(data)
    .filter((key) => key.startsWith(under + "/"))
    .sort()
    .map((key) => [key.slice(under.length + 1), data[key]]);
}
