// The page: which mount of which Vault, and what is shown of it.

import { checkView } from "./check.js";
import { entriesView } from "./entries.js";
import { explainView } from "./explain.js";
import { clip, el, notice, showFailure } from "./show.js";
import { Failure, Vault } from "./vault.js";

const pluginName = "vault-plugin-auth-kubernetes";
const byId = (id) => document.getElementById(id);

let vault; // undefined until the user connects
let mount = []; // segments of the path under auth/
let mounts = []; // paths of this plugin's mounts
let view = new AbortController(); // aborted when another mount is shown

// begin ends what is under way for what was shown before.
function begin() {
  view.abort();
  view = new AbortController();
  return view.signal;
}

function waiting(element, text) {
  element.replaceChildren(el("p", { className: "help" }, text));
}

// fill shows what load promises in an element, unless something else is shown by then.
async function fill(element, signal, text, load) {
  waiting(element, text);
  try {
    const content = await load();
    if (!signal.aborted) element.replaceChildren(...content);
  } catch (failure) {
    if (!signal.aborted) showFailure(element, failure);
  }
}

async function connect(event) {
  event.preventDefault();
  const token = takeFrom("vault-token");
  if (!/^[\x21-\x7e]+$/.test(token)) { // anything else cannot be sent in a header
    showFailure(byId("messages"), new Failure(token ? "This is not a Vault token." : "Paste a Vault token first."));
    byId("vault-token").focus();
    return;
  }
  vault = new Vault(token);
  const signal = begin();
  waiting(byId("messages"), "Asking Vault for its mounts…");
  try {
    mounts = mountsOfPlugin(await vault.read(["sys", "auth"], signal));
    byId("messages").replaceChildren();
  } catch (failure) {
    if (signal.aborted) return;
    mounts = [];
    showFailure(byId("messages"), failure);
    // Someone who may not list mounts may still know theirs; with a token that Vault does not
    // know there is nothing to go on with.
    if (failure.status !== 403 || failure.message.includes("invalid token")) {
      byId("vault-token").focus();
      return;
    }
  }
  byId("entry").hidden = true;
  byId("session").hidden = false;
  showMounts();
}

// mountsOfPlugin picks this plugin's mounts, also where it is registered under the
// name of Vault's own method.
function mountsOfPlugin(data) {
  return Object.entries(data)
    .filter(([, entry]) => entry?.type === pluginName
      || entry?.type === "kubernetes" && !String(entry.running_plugin_version ?? "builtin").includes("builtin"))
    .map(([path]) => path.replace(/\/+$/, ""))
    .sort();
}

function showMounts() {
  const select = byId("mount");
  select.replaceChildren(...mounts.map((path) => el("option", { value: path }, clip(path))), el("option", { value: "" }, "another path…"));
  if (!mounts.length && !byId("messages").hasChildNodes()) {
    byId("messages").replaceChildren(notice("warn", "", "This Vault has no mount of this plugin that it can tell by its name."));
  }
  selectMount();
  (mounts.length ? select : byId("other-path")).focus();
}

function selectMount() {
  const path = byId("mount").value;
  byId("other").hidden = path !== "";
  if (path) {
    showMount(path);
  } else {
    begin();
    byId("bed").hidden = true;
  }
}

function showOther(event) {
  event.preventDefault();
  const path = byId("other-path").value.trim().replace(/^\/+|\/+$/g, "").replace(/^auth\//, "");
  if (path) showMount(path);
}

function showMount(path) {
  mount = path.split("/");
  const signal = begin();
  byId("bed").hidden = false;
  byId("explanation").replaceChildren();
  byId("explain-form").reset();
  byId("role-names").replaceChildren();
  runCheck(signal);
  fill(byId("roles-list"), signal, "Reading the roles…", () => loadRoles(signal));
  fill(byId("rules-list"), signal, "Reading the binding rules…", () => loadRules(signal));
}

async function runCheck(signal) {
  const button = byId("check-again");
  button.disabled = true;
  await fill(byId("check-result"), signal, "Checking…", async () => checkView(await vault.read(at("check"), signal)));
  if (!signal.aborted) button.disabled = false;
}

// at is a path of the mount that is shown.
function at(...segments) {
  return ["auth", ...mount, ...segments];
}

async function loadRoles(signal) {
  const { keys } = await vault.list(at("role"), signal);
  byId("role-names").replaceChildren(...keys.slice(0, 500).map((name) => el("option", { value: name })));
  if (!keys.length) return [el("p", { className: "help" }, "There are none.")];
  return [entriesView(keys, (name) => vault.read(at("role", name), signal))];
}

async function loadRules(signal) {
  const { keys, info } = await vault.list(at("binding-rule"), signal);
  if (!keys.length) return [el("p", { className: "help" }, "There are none: a login has to name a role.")];
  const brief = (name) => {
    const rule = Object.hasOwn(info, name) ? info[name] : undefined;
    return rule ? `${rule.bind_type} ${rule.bind_name}` : "";
  };
  return [entriesView(keys, (name) => vault.read(at("binding-rule", name), signal), brief)];
}

async function explain(event) {
  event.preventDefault();
  const result = byId("explanation");
  const body = explainRequest();
  if (!body) {
    showFailure(result, new Failure("Paste a service account token first."));
    byId("jwt").focus();
    return;
  }
  const button = event.submitter ?? byId("explain-form").querySelector("button");
  button.disabled = true;
  const signal = view.signal;
  await fill(result, signal, "Going through the steps…",
    async () => [...explainView(await vault.write(at("explain"), body, signal)), againButton()]);
  button.disabled = false;
  if (!signal.aborted) result.focus();
}

// takeFrom takes a secret out of the page: the field is replaced, and with it goes
// what undoing could bring back.
function takeFrom(id) {
  const field = byId(id);
  const secret = field.value.trim();
  field.value = "";
  field.replaceWith(field.cloneNode());
  return secret;
}

// explainRequest returns undefined if no token was given.
function explainRequest() {
  const jwt = takeFrom("jwt");
  const role = byId("role").value.trim();
  const address = byId("remote-addr").value.trim();
  return jwt ? { jwt, ...(role && { role }), ...(address && { remote_addr: address }) } : undefined;
}

function againButton() {
  const button = el("button", { type: "button", className: "quiet" }, "Explain another token");
  button.addEventListener("click", () => byId("jwt").focus());
  return button;
}

// leave takes everything away that came from or went to Vault.
function leave() {
  begin();
  vault = undefined;
  mounts = [];
  for (const id of ["mount", "messages", "check-result", "explanation", "roles-list", "rules-list", "role-names"]) {
    byId(id).replaceChildren();
  }
  for (const form of document.forms) form.reset();
  for (const id of ["session", "bed", "other"]) byId(id).hidden = true;
  byId("entry").hidden = false;
}

byId("connect").addEventListener("submit", connect);
byId("other-form").addEventListener("submit", showOther);
byId("explain-form").addEventListener("submit", explain);
byId("mount").addEventListener("change", selectMount);
byId("check-again").addEventListener("click", () => runCheck(view.signal));
byId("leave").addEventListener("click", () => {
  leave();
  byId("vault-token").focus();
});
// A page that is gone back to must not be found as it was left.
addEventListener("pagehide", leave);
