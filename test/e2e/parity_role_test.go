package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestRoleParity(t *testing.T) {
	t.Parallel()
	runParity(t, roleRows())
}

func roleRows() []parityRow {
	var rows []parityRow
	for _, more := range [][]parityRow{
		roleWholeRows(), roleNameRows(), roleListRows(), roleBoundRows(), roleAudienceRows(),
		roleSelectorRows(), roleAliasRows(), roleTokenRows(), roleDeprecatedRows(), rolePartialRows(),
	} {
		rows = append(rows, more...)
	}
	return rows
}

// role is a role that can be written anywhere and causes no warning.
func role(overrides map[string]any) map[string]any {
	return with(map[string]any{
		"bound_service_account_names":      "app",
		"bound_service_account_namespaces": "default",
		"audience":                         "vault",
	}, overrides)
}

// roleRow writes the default role with overrides and reads it back.
func roleRow(name string, overrides map[string]any) parityRow {
	return row(name, write("role/r", role(overrides)), read("role/r"))
}

// valueRows makes a row for each value of a field.
func valueRows(field string, values ...any) []parityRow {
	var rows []parityRow
	for _, value := range values {
		name := field + "=" + exchange{body: value}.shortBody()
		if value == nil {
			name = field + " null"
			value = json.RawMessage("null") // a plain nil would leave the field out
		}
		written := write("role/r", role(map[string]any{field: value}))
		if meant, ok := mistakenValues[field][fmt.Sprint(value)]; ok {
			written = written.differing("list-in-text", warning(field+": …write "+meant+"."))
		}
		if text, isText := value.(string); isText && unreadableValues[text] != "" {
			written = written.differing("value-words", refused(http.StatusBadRequest, fmt.Sprintf("%s: %q is n%s", field, text, unreadableValues[text])))
		}
		rows = append(rows, row(name, written, read("role/r")))
	}
	return rows
}

// unreadableValues are texts that no number, duration or boolean is, with what the refusal
// says of them after "is n".
var unreadableValues = map[string]string{
	"soon": "o duration; write seconds, or a number with its unit, such as 30m", "9999999h": "o duration; write seconds, or a number with its unit, such as 30m",
	"1h ": "o duration; write 1h", "yes": "either true nor false; write true",
	"many": "o whole number, such as 5 is", "1.5": "o whole number, such as 5 is", " 5": "o whole number, such as 5 is",
}

// mistakenValues are values that are stored as they are, though no login can be within
// them as they were meant, with the form that the answer shows, by field.
var mistakenValues = func() map[string]map[string]string {
	names := map[string]string{"A": "a", "a b": "a,b", "[a,b]": "a,b"}
	cidrs := map[string]string{"10.1.2.3/8": "10.0.0.0/8", "10.0.0.0/40": "addresses and networks with commas between them, such as 10.0.0.0/8,192.0.2.1"}
	return map[string]map[string]string{
		"bound_service_account_names": names, "bound_service_account_namespaces": names, "token_bound_cidrs": cidrs, "bound_cidrs": cidrs,
		"audience": {"a,b": "audience= bound_audiences=a,b"},
	}
}()

func roleWholeRows() []parityRow {
	everything := role(map[string]any{
		"bound_service_account_names":              []string{"app", "web-*"},
		"bound_service_account_namespaces":         []string{"default", "team-*"},
		"bound_service_account_namespace_selector": `{"matchLabels":{"team":"a"}}`,
		"alias_name_source":                        "serviceaccount_name",
		"token_bound_cidrs":                        []string{"10.0.0.0/8", "127.0.0.1"},
		"token_explicit_max_ttl":                   "3h",
		"token_max_ttl":                            "2h",
		"token_ttl":                                "1h",
		"token_period":                             "30m",
		"token_no_default_policy":                  true,
		"token_num_uses":                           7,
		"token_policies":                           []string{"a", "b"},
		"token_type":                               "service",
	})
	further := map[string]any{
		"bound_audiences": []string{"a", "b"}, "bound_service_accounts": []string{"default/web-*"}, "selector": `pod.name matches "^web-"`,
		"only_by_binding_rules": true,
	}
	byRules := map[string]any{"use_binding_rules": true, "audience": nil, "token_policies": []string{"a"}}
	return []parityRow{
		row("read and delete what is not there", read("role/r"), remove("role/r"), read("role/r")),
		roleRow("least", nil),
		row("every field", write("role/r", everything), read("role/r")),
		row("delete",
			write("role/r", role(nil)), remove("role/r"), read("role/r"), list("role"), remove("role/r"),
			write("role/r", role(map[string]any{"token_ttl": 60})), read("role/r")),
		row("delete of what something refers to",
			write("role/r", role(map[string]any{"only_by_binding_rules": true})), write("config", config(map[string]any{"binding_rule_role": "r"})),
			remove("role/r").differing("role-in-use", warning(`there is no role "r", which binding_rule_role names; …`)), read("role/r")),
		row("limits that go by an empty value",
			write("role/r", role(map[string]any{"token_num_uses": 3})),
			write("role/r", map[string]any{"token_num_uses": ""}).differing("widened", warning("token_num_uses was named with an empty value, …")),
			read("role/r")),
		row("a refused create leaves nothing", write("role/r", role(map[string]any{"alias_name_source": "x"})), read("role/r"), list("role")),
		row("a refused update changes nothing",
			write("role/r", everything),
			write("role/r", map[string]any{"token_ttl": "5h"}),
			write("role/r", map[string]any{"audience": "other", "bound_service_account_names": []string{}}),
			write("role/r", map[string]any{"audience": "other", "alias_name_source": "x"}),
			read("role/r")),
		row("empty object", write("role/r", map[string]any{}), read("role/r")),
		row("no body", write("role/r", nil), read("role/r")),
		row("not JSON", write("role/r", "audience"), read("role/r")),
		row("a list", write("role/r", "[]")),
		row("all fields null", write("role/r", `{"bound_service_account_names":null,"bound_service_account_namespaces":null,"audience":null}`)),
		row("further bounds",
			write("role/r", with(role(further), map[string]any{"audience": nil})).differing("added-bounds", noContent()),
			read("role/r").differing("added-bounds", withData(further)),
			write("role/r", role(map[string]any{"bound_audiences": "", "bound_service_accounts": "", "selector": "", "only_by_binding_rules": false})).
				differing("widened", warning("selector is empty now, …", "only_by_binding_rules is false now, …")),
			read("role/r")),
		row("a role that uses binding rules",
			write("role/r", role(byRules)).differing("use-binding-rules", noContent()),
			read("role/r").differing("use-binding-rules", withData(map[string]any{"use_binding_rules": true}))),
		row("unknown fields",
			write("role/r", role(map[string]any{"bound_names": "x", "policy": []string{"a"}})).
				differing("unknown-fields", warning(unrecognized("bound_names", "policy"))),
			read("role/r"),
			write("role/r", map[string]any{"token_polices": "a"}).differing("unknown-fields", warning(unrecognized("token_polices"))),
			read("role/r"),
			write("role/r", map[string]any{"audience": nil, "bound_service_account_names": "", "zone": 1}).differing("unknown-fields",
				refused(http.StatusBadRequest, "\"bound_service_account_names\" can not be empty\nthere is no field \"zone\"; the fields are …"))),
		row("unknown field without audience", write("role/r", role(map[string]any{"audience": nil, "zone": 1}))),
		row("PUT", exchange{method: http.MethodPut, path: "role/r", body: role(nil)}, read("role/r")),
		row("PATCH", write("role/r", role(nil)), patch("role/r", map[string]any{"token_ttl": 5}), read("role/r")),
		row("without a name", write("role", role(nil)), write("role/", role(nil)), read("role"), read("role/"), remove("role"), remove("role/")),
	}
}

func roleNameRows() []parityRow {
	var rows []parityRow
	for _, name := range []string{
		"a", "1", "_", "a-b", "a_b", "a.b", "a..b", "a--b", "-a", "a-", ".a", "a.", "a%20b", "a%2Fb", "a/b", "a/", "a%40b", "%C3%A9", "a:b",
		"a%00", "*", "..", strings.Repeat("a", 200), "A", "config", "login",
	} {
		shown := name[:min(len(name), 20)]
		rows = append(rows, row("name "+shown,
			write("role/"+name, role(map[string]any{"audience": nil})), read("role/"+name), list("role"), remove("role/"+name), list("role")))
	}
	return append(rows,
		row("the case of a name does not count",
			write("role/Team-A", role(nil)), read("role/team-a"), read("role/TEAM-A"), list("role"),
			write("role/tEAM-a", map[string]any{"token_ttl": 60}), read("role/Team-A"),
			remove("role/TEAM-a"), read("role/Team-A"), list("role")),
		row("a warning names the role as it was written", write("role/Team-A", role(map[string]any{"audience": nil}))),
		row("a name in the body is not the name",
			write("role/r", role(map[string]any{"name": "r"})),
			write("role/r", role(map[string]any{"name": "other"})).differing("unknown-fields",
				warning("Endpoint replaced the value of these parameters with the values captured from the endpoint's path: [name]")),
			write("role/r", role(map[string]any{"name": "other", "audience": ""})).differing("widened", warning(
				"Role r does not …", "The role now takes tokens for any audience; before, for vault only.",
				"Endpoint replaced the value of these parameters with the values captured from the endpoint's path: [name]")),
			read("role/r"), read("role/other"), list("role")),
	)
}

func roleListRows() []parityRow {
	return []parityRow{
		row("nothing to list", list("role"), list("role/"), read("role?list=true"), read("role/?list=true")),
		row("list",
			write("role/b", role(nil)), write("role/a", role(nil)), write("role/C", role(nil)), write("role/a.b", role(nil)),
			list("role"), list("role/"), read("role?list=true"), read("role/?list=1"), list("role/a"), list("role/a/")),
		row("list after one", write("role/a", role(nil)), write("role/b", role(nil)), list("role?after=a"), list("role?limit=1")),
	}
}

// roleBoundRows are about the two lists, which have the same rules.
func roleBoundRows() []parityRow {
	var rows []parityRow
	for _, field := range []string{"bound_service_account_names", "bound_service_account_namespaces"} {
		rows = append(rows, roleRow(field+" not named", map[string]any{field: nil}))
		rows = append(rows, valueRows(field,
			"", " ", ",", "a", "a,b", " a , b ", "a,,b", "a,a", "*", "a*", "*,a", "a,*", "*,*", "**", "A", "a b",
			[]string{}, []string{""}, []string{"a"}, []string{"a", "b"}, []string{"a,b"}, []string{" a "}, []string{"*"},
			[]string{"*", "a"}, []string{"a", "*"}, []string{"*", "*"}, []string{"", "a"}, []any{"a", 1}, []any{nil}, []any{[]string{"a"}},
			nil, 1, true, map[string]any{"a": "b"},
		)...)
	}
	return append(rows,
		roleRow("neither list", map[string]any{"bound_service_account_names": nil, "bound_service_account_namespaces": nil}),
		roleRow("both are *", map[string]any{"bound_service_account_names": "*", "bound_service_account_namespaces": "*"}),
	)
}

func roleAudienceRows() []parityRow {
	return append(valueRows("audience", "", " ", "\t\n", "a", "a,b", "https://vault.example", nil, 1, true, []string{"a"}, []string{}, map[string]any{}),
		roleRow("audience not named", map[string]any{"audience": nil}),
		row("audience is kept and taken away",
			write("role/r", role(nil)), write("role/r", map[string]any{"token_ttl": 5}), read("role/r"),
			write("role/r", map[string]any{"audience": ""}).
				differing("widened", warning("Role r does not …", "The role now takes tokens for any audience; before, for vault only.")),
			read("role/r"), write("role/r", map[string]any{"token_ttl": 6})),
	)
}

func roleAliasRows() []parityRow {
	rows := valueRows("alias_name_source",
		"serviceaccount_uid", "serviceaccount_name", "", " ", "ServiceAccount_UID", "uid", "serviceaccount_uid ", nil, 1, true, []string{"serviceaccount_uid"})
	return append(rows,
		row("alias_name_source is kept",
			write("role/r", role(map[string]any{"alias_name_source": "serviceaccount_name"})),
			write("role/r", map[string]any{"token_ttl": 5}), read("role/r"),
			write("role/r", map[string]any{"alias_name_source": ""}), read("role/r"),
			write("role/r", map[string]any{"alias_name_source": "serviceaccount_uid"}), read("role/r")),
		row("alias_metadata",
			write("role/r", role(map[string]any{"alias_metadata": map[string]string{"team": "a"}})),
			read("role/r").differing("alias-metadata", withData(map[string]any{"alias_metadata": map[string]string{"team": "a"}})),
			write("role/r", map[string]any{"token_ttl": 5}),
			read("role/r").differing("alias-metadata", withData(map[string]any{"alias_metadata": map[string]string{"team": "a"}, "token_ttl": 5})),
			write("role/r", map[string]any{"alias_metadata": []string{"team=b", "x=y"}}),
			read("role/r").differing("alias-metadata", withData(map[string]any{"alias_metadata": map[string]string{"team": "b", "x": "y"}})),
			write("role/r", map[string]any{"alias_metadata": map[string]string{}}),
			read("role/r")),
		row("alias_metadata that is wrong",
			write("role/r", role(map[string]any{"alias_metadata": "team"})).differing("alias-metadata", refused(http.StatusBadRequest,
				`alias_metadata: "team" is no key with its value; write them as key=value, once for each`)),
			read("role/r").differing("alias-metadata", answer{Status: http.StatusNotFound})),
	)
}

// rolePartialRows are about writes that follow a create.
func rolePartialRows() []parityRow {
	selector := map[string]any{"bound_service_account_namespace_selector": `{"matchLabels":{"team":"a"}}`}
	kept := withData(selector)
	return []parityRow{
		row("each write changes what it names",
			write("role/r", role(map[string]any{"token_policies": "a", "token_type": "service"})),
			write("role/r", map[string]any{"bound_service_account_names": "other"}), read("role/r"),
			write("role/r", map[string]any{"bound_service_account_namespaces": []string{"*"}}), read("role/r"),
			write("role/r", map[string]any{"token_policies": []string{}}), read("role/r"),
			write("role/r", map[string]any{"token_type": "default"}), read("role/r"),
			write("role/r", map[string]any{"token_bound_cidrs": "10.0.0.1"}), read("role/r"),
			write("role/r", map[string]any{"token_bound_cidrs": ""}).differing("widened", warning("token_bound_cidrs is empty now, …")),
			read("role/r"),
			write("role/r", map[string]any{}), read("role/r"),
			write("role/r", nil), read("role/r")),
		row("an update may not empty a list",
			write("role/r", role(nil)),
			write("role/r", map[string]any{"bound_service_account_names": ""}),
			write("role/r", map[string]any{"bound_service_account_namespaces": []string{}}),
			write("role/r", map[string]any{"bound_service_account_names": "*,a"}),
			read("role/r")),
		row("limits are checked against what is stored",
			write("role/r", role(map[string]any{"token_ttl": 60, "token_max_ttl": 120})),
			write("role/r", map[string]any{"token_ttl": 121}), write("role/r", map[string]any{"token_max_ttl": 59}),
			write("role/r", map[string]any{"token_max_ttl": 0}), write("role/r", map[string]any{"token_ttl": 121}), read("role/r"),
			write("role/r", map[string]any{"token_period": 5}), write("role/r", map[string]any{"token_type": "batch"}), read("role/r")),
		row("the namespace selector is kept",
			write("role/r", role(selector)), read("role/r"),
			write("role/r", map[string]any{"token_ttl": 5}),
			read("role/r").differing("partial-selector", kept),
			write("role/r", selector), read("role/r"),
			write("role/r", map[string]any{"bound_service_account_namespace_selector": ""}), read("role/r")),
		row("the only bound is a namespace selector",
			write("role/r", role(with(selector, map[string]any{"bound_service_account_namespaces": []string{}}))), read("role/r"),
			write("role/r", map[string]any{"token_ttl": 5}).differing("partial-selector", noContent()),
			read("role/r").differing("partial-selector", kept),
			write("role/r", map[string]any{"bound_service_account_namespace_selector": ""}),
			read("role/r").differing("partial-selector", kept)),
	}
}
