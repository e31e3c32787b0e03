// Roles and binding rules: a list whose entries are read when they are opened.

import { clip, el, fieldList, inUnits, isUnset, showFailure, spaced } from "./show.js";

const maxListed = 500;
// As many are opened, and so read, without being asked for.
const maxOpened = 3;

// entriesView returns elements for the names of a list. read(name) promises an
// entry's fields, brief(name) is what follows the name, "" for nothing.
export function entriesView(names, read, brief = () => "") {
  const entries = names.slice(0, maxListed).map((name) => entry(name, read, brief(name), names.length <= maxOpened));
  return el("div", { className: "entries" }, ...entries,
    names.length > maxListed ? el("p", { className: "help" }, `${names.length - maxListed} more are not listed.`) : undefined);
}

function entry(name, read, brief, open) {
  const body = el("div");
  const details = el("details", { open },
    el("summary", {},
      el("span", { className: "name value" }, clip(name)),
      brief ? el("span", { className: "grants value" }, clip(brief)) : undefined),
    body);
  let asked = false;
  details.addEventListener("toggle", async () => {
    if (!details.open || asked) return;
    asked = true;
    body.replaceChildren(el("p", { className: "help" }, "Reading…"));
    try {
      body.replaceChildren(fields(await read(name)));
    } catch (failure) {
      asked = false; // opening it again asks again
      showFailure(body, failure);
    }
  });
  return details;
}

// fields shows what is set. That a rule has no selector means something.
function fields(data) {
  const pairs = Object.entries(data)
    .filter(([key, value]) => !isUnset(value) || key === "selector" && Object.hasOwn(data, "bind_type"))
    .map(([key, value]) => [spaced(key), isUnset(value) ? "(empty: every service account)"
      : key === "selector" && value === "*" ? "* (every service account)" : inUnits(key, value)]);
  return pairs.length ? fieldList(pairs) : el("p", { className: "help" }, "Nothing is set.");
}
