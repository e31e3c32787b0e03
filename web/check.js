// What auth/<mount>/check answers.

import { clip, el, fieldList, isUnset, kindOf, notice, spaced, splitVerdict, verdictItem } from "./show.js";

// The checks in the order in which one depends on another. Others follow.
const order = [
  "configuration", "reachable", "tls", "server", "clock", "reviewer", "reviewer_token",
  "permission_tokenreviews", "permission_reviewer_token", "permission_serviceaccounts", "permission_namespaces", "permission_pods",
  "verification", "issuer", "pem_keys",
];
const summary = ["status", "failed", "warned", "kubernetes_host", "checked_at"];
const verdicts = ["pass", "warn", "fail", "skip"];

const headlines = new Map([
  ["pass", "Pass: this mount can work"],
  ["warn", "Warn: this mount can work, with reservations"],
  ["fail", "Fail: this mount cannot work as it is"],
]);

// checkView returns the elements that show an answer.
export function checkView(data) {
  const names = checkNames(data);
  const known = new Set([...summary, ...names, ...names.map((name) => name + "_remedy")]);
  const rest = Object.entries(data).filter(([key]) => !known.has(key)).map(([key, value]) => [spaced(key), value]);
  return [
    headline(data),
    el("ul", { className: "verdicts" }, ...names.map((name) => verdictItem(name, data[name], data[name + "_remedy"]))),
    rest.length ? fieldList(rest) : undefined,
  ].filter(Boolean);
}

function checkNames(data) {
  const known = order.filter((name) => Object.hasOwn(data, name));
  const further = Object.keys(data).filter((key) => !order.includes(key) && !summary.includes(key) && isCheck(data[key]));
  return [...known, ...further.sort()];
}

function isCheck(value) {
  return typeof value === "string" && value.includes(": ") && verdicts.includes(splitVerdict(value)[0]);
}

function headline(data) {
  const status = clip(String(data.status ?? "unknown"));
  const where = [data.kubernetes_host, data.checked_at].filter((value) => !isUnset(value)).map(String).join(", ");
  return notice(kindOf(status), headlines.get(status) ?? `The check ended with “${status}”.`,
    where ? el("p", { className: "value" }, clip(where)) : undefined);
}
