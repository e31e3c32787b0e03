package e2e

import (
	"net/http"
	"strings"
)

const selectorField = "bound_service_account_namespace_selector"

// roleSelectorRows are about the namespace selector of a role.
func roleSelectorRows() []parityRow {
	rows := valueRows(selectorField,
		"", `{"matchLabels":{"team":"a"}}`, `{"matchLabels":{"team":"a","tier":""}}`, "matchLabels:\n  team: a\n", "matchLabels: {team: a}",
		"---\nmatchLabels:\n  team: a\n", `{"matchLabels":{}}`, `{"matchLabels":null}`, `{"matchLabels":{"team":1}}`, "{}", `{"matchExpressions":null}`,
		map[string]any{"matchLabels": map[string]any{"team": "a"}}, []string{`{"matchLabels":{"team":"a"}}`}, nil)
	rows = append(rows, wrongSelectorRows()...)
	rows = append(rows, strictSelectorRows()...)
	return append(rows, matchExpressionRows()...)
}

// wrongSelectorRows are selectors that Vault refuses without saying why.
func wrongSelectorRows() []parityRow {
	var rows []parityRow
	for selector, complaint := range map[string]string{
		"garbage":                 "…cannot unmarshal string",
		"[]":                      "…cannot unmarshal array",
		`{"matchLabels":["a"]}`:   "…LabelSelector.matchLabels of type map[string]string",
		`{"matchLabels":`:         "…line 1: did not find expected node content",
		"matchLabels:\n\tteam: a": "…line 2: found character that cannot start any token",
		`{"matchExpressions":[{"key":"team","operator":"Is","values":["a"]}]}`: `"Is" is not a valid label selector operator`,
		`{"matchExpressions":[{"key":"team","operator":"In"}]}`:                "…values set can't be empty",
	} {
		rows = append(rows, row("wrong selector "+selector, refusedSelector("selector-errors", selector, complaint), read("role/r")))
	}
	return rows
}

// strictSelectorRows are selectors that Vault stores: some it takes for one of all
// namespaces, some it finds to be wrong at each login.
func strictSelectorRows() []parityRow {
	var rows []parityRow
	for selector, complaint := range map[string]string{
		`{"matchlables":{"team":"a"}}`:               `…unknown field "matchlables"`,
		"matchLabels:\n  team: a\nmatchNames: [a]\n": `…unknown field "matchNames"`,
		"null":                           "it is empty; a selector of all namespaces is {}",
		" ":                              "it is empty; a selector of all namespaces is {}",
		"# nothing\n":                    "it is empty; a selector of all namespaces is {}",
		`{"matchLabels":{"a b":"c"}}`:    `…Invalid value: "a b"`,
		`{"matchLabels":{"team":"a b"}}`: `…[team]: Invalid value: "a b"`,
		`{"matchLabels":{"team":"` + strings.Repeat("a", 64<<10) + `"}}`: "longer than 65536 bytes",
	} {
		rows = append(rows, row("strict selector "+selector,
			refusedSelector("selector-strict", selector, complaint),
			read("role/r").differing("selector-strict", answer{Status: http.StatusNotFound})))
	}
	return rows
}

func matchExpressionRows() []parityRow {
	var rows []parityRow
	for _, selector := range []string{
		`{"matchExpressions":[{"key":"team","operator":"In","values":["a","b"]}]}`,
		`{"matchExpressions":[{"key":"team","operator":"Exists"}],"matchLabels":{"tier":"web"}}`,
		"matchExpressions:\n- {key: team, operator: NotIn, values: [a]}\n",
		`{"matchExpressions":[]}`,
	} {
		rows = append(rows, row("matchExpressions "+selector,
			write("role/r", role(map[string]any{selectorField: selector})).differing("match-expressions", noContent()),
			read("role/r").differing("match-expressions", withData(map[string]any{selectorField: selector}))))
	}
	return rows
}

// refusedSelector is a selector that this plugin refuses with Vault's words,
// followed by the complaint.
func refusedSelector(difference, selector, complaint string) exchange {
	return write("role/r", role(map[string]any{selectorField: selector})).differing(difference,
		refused(http.StatusBadRequest, `invalid "`+selectorField+`" configured: `+complaint))
}
