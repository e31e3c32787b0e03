package consul

import "strings"

// A writeRow is a rule that is written, and who accepts it.
type writeRow struct {
	rule           rule
	consul, plugin bool
	differs        string // the deliberate difference, if it is not the same
}

func accepted(r rule) writeRow              { return writeRow{rule: r, consul: true, plugin: true} }
func refused(r rule) writeRow               { return writeRow{rule: r} }
func onlyConsul(id string, r rule) writeRow { return writeRow{rule: r, consul: true, differs: id} }
func onlyPlugin(id string, r rule) writeRow { return writeRow{rule: r, plugin: true, differs: id} }

// selecting is a rule whose selector is what matters.
func selecting(selector string) rule { return service(selector, "x") }

// selectorWrites are about what can be a selector.
var selectorWrites = []writeRow{
	accepted(selecting("")),
	accepted(selecting(`serviceaccount.name == "web"`)),
	accepted(selecting(`serviceaccount["name"] == "web"`)),
	accepted(selecting("serviceaccount[ `name` ] == \"web\"")),
	accepted(selecting(`serviceaccount.name == web_1`)),
	accepted(selecting(`serviceaccount.name == 1`)),
	accepted(selecting(`serviceaccount.name == -1.5`)),
	accepted(selecting(`(((serviceaccount.name == web)))`)),
	accepted(selecting(`not not not serviceaccount.name == web`)),
	accepted(selecting(`(not (serviceaccount.name == web))`)),
	accepted(selecting(`serviceaccount.name == web and (not serviceaccount.name == api)`)),
	accepted(selecting(strings.Repeat(`serviceaccount.name == "web" or `, 60) + `serviceaccount.name == "web"`)),

	// Not the language.
	refused(selecting(" ")),
	refused(selecting("web")),
	refused(selecting("serviceaccount.name")),
	refused(selecting("serviceaccount.name ==")),
	refused(selecting(`== "web"`)),
	refused(selecting(`serviceaccount.name = "web"`)),
	refused(selecting(`serviceaccount.name === "web"`)),
	refused(selecting(`serviceaccount.name <> "web"`)),
	refused(selecting(`serviceaccount.name eq "web"`)),
	refused(selecting(`serviceaccount.name == 'web'`)),
	refused(selecting(`serviceaccount.name == web-frontend`)),
	refused(selecting(`serviceaccount.name == 1a`)),
	refused(selecting(`serviceaccount.name == 01`)),
	refused(selecting(`serviceaccount.name == "web`)),
	refused(selecting("serviceaccount.name == `web")),
	refused(selecting(`serviceaccount.name == "a"b"`)),
	refused(selecting(`serviceaccount.name == "a\"b"`)), // no quote within quotes
	refused(selecting(`serviceaccount.name == "\q"`)),
	refused(selecting("serviceaccount.name == \"a\nb\"")),
	refused(selecting(`serviceaccount.name == "web" serviceaccount.name == "api"`)),
	refused(selecting(`serviceaccount.name == "web";`)),
	refused(selecting(`serviceaccount.name == "web" and`)),
	refused(selecting(`serviceaccount.name == "web" and and serviceaccount.name == "web"`)),
	refused(selecting(`and serviceaccount.name == "web"`)),
	refused(selecting(`not`)),
	refused(selecting(`!serviceaccount.name == "web"`)),
	refused(selecting(`serviceaccount.name == "web" && serviceaccount.name == "web"`)),
	refused(selecting(`serviceaccount.name == "web" || serviceaccount.name == "web"`)),
	refused(selecting(`serviceaccount.name == "web"or serviceaccount.name == "api"`)),
	refused(selecting(`serviceaccount.name == "web" or(serviceaccount.name == "api")`)),
	refused(selecting(`(serviceaccount.name == "web")or serviceaccount.name == "api"`)),
	refused(selecting(`not(serviceaccount.name == "web")`)),
	refused(selecting(`(serviceaccount.name == "web"`)),
	refused(selecting(`serviceaccount.name == "web")`)),
	refused(selecting(`()`)),
	refused(selecting(`serviceaccount.name in ("web", "api")`)),
	refused(selecting(`serviceaccount.name in ["web"]`)),

	// Words are operators in lower case only.
	refused(selecting(`serviceaccount.name == "web" AND serviceaccount.name == "web"`)),
	refused(selecting(`serviceaccount.name == "web" Or serviceaccount.name == "web"`)),
	refused(selecting(`NOT serviceaccount.name == "web"`)),
	refused(selecting(`serviceaccount.name MATCHES "web"`)),
	refused(selecting(`"web" IN serviceaccount.name`)),

	// Attributes that there are not, and operators that they do not have.
	refused(selecting(`serviceaccount == "web"`)),
	refused(selecting(`serviceaccount.nam == "web"`)),
	refused(selecting(`serviceaccount.name.first == "web"`)),
	refused(selecting(`ServiceAccount.Name == "web"`)),
	refused(selecting(`serviceaccount.Name == "web"`)),
	refused(selecting(`service.name == "web"`)),
	refused(selecting(`.name == "web"`)),
	refused(selecting(`serviceaccount. name == "web"`)),
	refused(selecting(`serviceaccount[name] == "web"`)),
	refused(selecting(`serviceaccount["name" == "web"`)),
	refused(selecting(`"web" == serviceaccount.name`)),
	refused(selecting(`"web" matches serviceaccount.name`)),
	refused(selecting(`serviceaccount.name is empty`)),
	refused(selecting(`serviceaccount.name is not empty`)),
	refused(selecting(`serviceaccount.name is nil`)),
	refused(selecting(`serviceaccount.name is "web"`)),
	refused(selecting(`any serviceaccount as s { s == "web" }`)),
	refused(selecting(`serviceaccount.name > "web"`)),

	// Regular expressions are Go's.
	accepted(selecting("serviceaccount.name matches `^(?i:web)[a-z\\d]{0,20}$`")),
	refused(selecting(`serviceaccount.name matches "("`)),
	refused(selecting(`serviceaccount.name matches "[z-a]"`)),
	refused(selecting(`serviceaccount.name matches "*"`)),
	refused(selecting(`serviceaccount.name matches "(?=web)"`)),
	refused(selecting("serviceaccount.name matches `(a)\\1`")),
	refused(selecting(`serviceaccount.name matches "a{1001}"`)),

	// Differences.
	onlyPlugin("more-attributes", selecting(`pod.name == "web-0"`)),
	onlyPlugin("more-attributes", selecting(`namespace.labels.team == "ci"`)),
	onlyPlugin("more-attributes", selecting(`serviceaccount.labels is empty`)),
	onlyPlugin("newer-grammar", selecting(`"/serviceaccount/name" == "web"`)),
	onlyPlugin("newer-grammar", selecting(`serviceaccount.name == team/web`)),
	onlyPlugin("newer-grammar", selecting(`serviceaccount.name == web.1`)),
	onlyPlugin("newer-grammar", selecting("*")),
	onlyConsul("attribute-as-value", selecting(`serviceaccount.name == serviceaccount.namespace`)),
	onlyConsul("attribute-as-value", selecting(`serviceaccount.name != serviceaccount.name`)),
	onlyConsul("attribute-as-value", selecting(`serviceaccount.name in serviceaccount.namespace`)),
	onlyConsul("mistaken-values", selecting(`serviceaccount.name == "web-*"`)),
	onlyConsul("mistaken-values", selecting(`serviceaccount.namespace != "kube-?"`)),
	onlyConsul("mistaken-values", selecting(`"{{web}}" in serviceaccount.name`)),
	onlyConsul("mistaken-values", selecting(`serviceaccount.name matches "web-*"`)),
	onlyConsul("mistaken-values", selecting(`serviceaccount.name matches "^web-*$"`)),
	onlyConsul("mistaken-values", selecting(`serviceaccount.name matches "^web\b"`)),
	onlyConsul("mistaken-values", selecting(`serviceaccount.namespace == " web"`)),
	onlyConsul("mistaken-values", selecting("serviceaccount[\"uid\"]\n!=\n`web\n`")),
	onlyConsul("mistaken-values", selecting("serviceaccount.name == web or\n`w*` not in\n\tserviceaccount.namespace")),
	onlyConsul("mistaken-values", selecting("serviceaccount.namespace\nnot matches\n`w{2}[[serviceaccount.name]]`")),
	accepted(selecting("serviceaccount.name\n==\n`web\n`")), // an annotation may be so
	accepted(selecting("serviceaccount.name matches `^w{2}(a|b)*$`")),
	onlyConsul("reserved-words", selecting(`any in serviceaccount.name`)),
	onlyConsul("reserved-words", selecting(`all in serviceaccount.name`)),
	onlyConsul("reserved-words", selecting(`not in serviceaccount.name`)),
	onlyConsul("selector-bounds", selecting(`serviceaccount.name == "`+strings.Repeat("a", 5000)+`"`)),
	onlyConsul("selector-bounds", selecting(strings.Repeat(`serviceaccount.name==a or `, 130)+`serviceaccount.name==a`)),
	onlyConsul("selector-bounds", selecting(`serviceaccount.name matches "`+strings.Repeat("[a-z]{500}", 5)+`"`)),
}

// nameWrites are about what can be a bind type and a bind name.
var nameWrites = []writeRow{
	accepted(service("", "web")),
	accepted(service("", "w")),
	accepted(service("", "1_-2")),
	accepted(service("", "${serviceaccount.name}-${serviceaccount.namespace}-${serviceaccount.uid}")),
	accepted(service("", "${ serviceaccount.name }")),
	accepted(service("", `${"web"}`)),
	accepted(node("", "web-${serviceaccount.name}")),
	accepted(role("", "Web_Reader-1")),
	accepted(role("", "ROLE-${serviceaccount.name}")),
	accepted(role("", "-")),
	accepted(policy("", "Web_Reader-1")),
	accepted(policy("", "team/web")),
	accepted(policy("", "${serviceaccount.namespace}/${serviceaccount.name}")),

	refused(rule{"", "", "web"}),
	refused(rule{"", "service", ""}),
	refused(rule{"", "Service", "web"}),
	refused(rule{"", "services", "web"}),
	refused(rule{"", "token", "web"}),

	// Services and nodes.
	refused(service("", "Web")),
	refused(service("", "web.v1")),
	refused(service("", "team/web")),
	refused(service("", "web frontend")),
	refused(service("", " web")),
	refused(service("", "web\n")),
	refused(service("", "-web")),
	refused(service("", "web-")),
	refused(service("", "_web")),
	refused(service("", "web_")),
	refused(service("", "wéb")),
	refused(service("", "*")),
	refused(service("", "a,b")),
	refused(service("", "Web-${serviceaccount.name}")),
	refused(service("", "-${serviceaccount.name}")),
	refused(service("", "${serviceaccount.name}_")),
	accepted(service("", strings.Repeat("s", longest))),
	refused(service("", strings.Repeat("s", longest+1))),
	refused(node("", "Web")),
	refused(node("", "web.example")),
	refused(node("", "-web")),
	accepted(node("", strings.Repeat("n", longest))),
	refused(node("", strings.Repeat("n", longest+1))),

	// Roles and policies.
	onlyPlugin("role-dots", role("", "web.v1")),
	refused(role("", "web..v1")),
	refused(role("", ".web")),
	refused(role("", "team/web")),
	refused(role("", "web reader")),
	refused(role("", "rôle")),
	// Written without braces, the plugin looks whether there is such a role, and
	// a Vault that keeps its state in files has no room for so long a name.
	accepted(role("", strings.Repeat("r", longest-1)+`${"r"}`)),
	refused(role("", strings.Repeat("r", longest+1))),
	refused(policy("", "/web")),
	refused(policy("", "web\n")),
	refused(policy("", " web")),
	refused(policy("", "a,b")),

	// Templates.
	refused(service("", "${")),
	refused(service("", "${}")),
	refused(service("", "${serviceaccount.name")),
	refused(service("", "${serviceaccount.nam}")),
	refused(service("", "${serviceaccount}")),
	refused(service("", "${name}")),
	refused(service("", "${ServiceAccount.Name}")),
	refused(service("", "${serviceaccount.name}}")),
	refused(service("", "{serviceaccount.name}")),
	refused(service("", "$serviceaccount.name")),
	refused(service("", "%{serviceaccount.name}")),
	refused(service("", "$${serviceaccount.name}")),
	refused(service("", "${${serviceaccount.name}}")),
	refused(service("", "${lower(serviceaccount.name)}")),
	refused(service("", "${serviceaccount.name[0]}")),
	refused(service("", "${-serviceaccount.name}")),
	refused(service("", `${"Web"}`)),
	refused(service("", "${serviceaccount.name }}")),

	// Differences.
	onlyPlugin("more-attributes", service("", "${pod.name}")),
	onlyPlugin("more-bind-types", rule{"", "group", "web"}),
	onlyConsul("templated-policies", rule{"", "templated-policy", "builtin/dns"}),
	onlyConsul("no-computation", service("", "${1}")),
	onlyConsul("no-computation", service("", "web-${1 + 1}")),
	onlyConsul("no-computation", service("", `${serviceaccount.namespace == "prod" ? "p" : "s"}`)),
	onlyPlugin("policy-names", policy("", "web.v1")),
	onlyPlugin("policy-names", policy("", "team/web/reader")),
	onlyPlugin("policy-names", policy("", strings.Repeat("p", 129))),
	onlyPlugin("policy-names", policy("", "builtin/dns")),
	onlyConsul("reserved-policies", policy("", "root")),
	onlyConsul("reserved-policies", policy("", "Root")),
	onlyConsul("reserved-policies", policy("", "response-wrapping")),
	onlyPlugin("trial-values", service("", strings.Repeat("s", longest-3)+"${serviceaccount.name}")),
	onlyPlugin("trial-values", role("", strings.Repeat("r", longest-3)+"${serviceaccount.name}")),
}
