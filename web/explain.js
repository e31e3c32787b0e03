// What auth/<mount>/explain answers.

import { clip, el, fieldList, inUnits, isUnset, kindOf, notice, spaced, textOf, verdictItem } from "./show.js";

const stepKey = /^step_(\d+)_(.+)$/;
const told = new Set(["verdict", "failed_step", "reason", "remedy", "client_sees", "note", "attributes"]);

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
    .filter((key) => !told.has(key) && !stepKey.test(key) && !key.startsWith("rules_") && !isUnset(data[key]))
    .sort((a, b) => (b === "policies") - (a === "policies") || a.localeCompare(b));
  return keys.length ? fieldList(keys.map((key) => [spaced(key), inUnits(key, data[key])])) : undefined;
}

function rules(data) {
  return Object.keys(data).filter((key) => key.startsWith("rules_") && !isUnset(data[key])).sort().map((key) => {
    const value = data[key];
    const content = Array.isArray(value)
      ? el("ul", { className: "plain" }, ...value.map((rule) => el("li", { className: "value" }, textOf(rule))))
      : el("p", { className: "value" }, textOf(value));
    return section(capital(spaced(key)), content);
  });
}

function attributes(data) {
  return isUnset(data.attributes) || typeof data.attributes !== "object"
    ? undefined
    : fieldList(Object.entries(data.attributes), true);
}
