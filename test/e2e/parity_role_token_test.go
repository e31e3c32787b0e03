package e2e

// durations are values of a field that is a duration in seconds.
var durations = []any{
	0, 60, "60", "1m", "1h30m", "90m", "1d", "0", "", "1.5h", "1h ", "-1", "-1m", "soon", -1, 1.5, 3000000, "3000000", "9999999h",
	nil, true, []int{60}, map[string]any{},
}

// counts are values of a field that is a number.
var counts = []any{0, 1, 5, "5", "", " 5", "-1", -1, "many", "0x10", 1.5, "1.5", 9007199254740993, nil, []int{5}, map[string]any{}}

// lists are values of a field that is a list of strings.
var lists = []any{
	"", "a", "a,b", " a , b", "b,a,b", "default", "Upper", []string{}, []string{""}, []string{"b", "a"}, []string{"a,b"},
	nil, 1, true, []any{"a", 1}, map[string]any{"a": "b"},
}

var addresses = []any{
	"", "10.0.0.0/8", "10.0.0.1", "10.0.0.0/8,127.0.0.1", "fd00::/8", "::1", "10.1.2.3/8", "10.0.0.1/32",
	"10.0.0.0/40", "localhost", "10.0.0", "10.0.0.0/8,nowhere", []string{"10.0.0.0/8", "::1"}, []string{}, []string{"x"}, nil, 1, true,
}

func roleTokenRows() []parityRow {
	var rows []parityRow
	for _, field := range []string{"token_ttl", "token_max_ttl", "token_explicit_max_ttl", "token_period"} {
		rows = append(rows, valueRows(field, durations...)...)
	}
	rows = append(rows, valueRows("token_num_uses", counts...)...)
	rows = append(rows, policyRows("token_policies")...)
	rows = append(rows, valueRows("token_bound_cidrs", addresses...)...)
	rows = append(rows, valueRows("token_no_default_policy", true, false, "true", "1", "yes", "", 0, 1, 2, nil, []bool{true})...)
	rows = append(rows, valueRows("token_type",
		"", "default", "service", "batch", "default-service", "default-batch", "default_batch", "Batch", "periodic", nil, 1, true, []string{"batch"})...)
	rows = append(rows, numberRows()...)
	rows = append(rows, textListRows()...)
	return append(rows,
		roleRow("ttl equal to max_ttl", map[string]any{"token_ttl": 60, "token_max_ttl": 60}),
		roleRow("ttl beyond max_ttl", map[string]any{"token_ttl": 61, "token_max_ttl": 60}),
		roleRow("ttl beyond the mount's", map[string]any{"token_ttl": "800h"}),
		roleRow("max_ttl at the mount's", map[string]any{"token_max_ttl": "768h"}),
		roleRow("max_ttl beyond the mount's", map[string]any{"token_max_ttl": "769h"}),
		roleRow("max_ttl beyond the mount's without audience", map[string]any{"token_max_ttl": "769h", "audience": nil}),
		roleRow("explicit_max_ttl beyond the mount's", map[string]any{"token_explicit_max_ttl": "769h"}),
		roleRow("period at the mount's maximum", map[string]any{"token_period": "768h"}),
		roleRow("period beyond the mount's maximum", map[string]any{"token_period": "769h"}),
		roleRow("batch", map[string]any{"token_type": "batch", "token_ttl": 60}),
		roleRow("batch with period", map[string]any{"token_type": "batch", "token_period": 60}),
		roleRow("batch with num_uses", map[string]any{"token_type": "batch", "token_num_uses": 1}),
		roleRow("batch with explicit_max_ttl", map[string]any{"token_type": "batch", "token_explicit_max_ttl": 60}),
		roleRow("several wrong", map[string]any{"token_type": "x", "token_bound_cidrs": "x"}),
		row("settings are checked before bounds", write("role/r", map[string]any{"token_type": "x"}), write("role/r", map[string]any{"token_period": "999h"})),
	)
}

// numberRows are numbers that are kept as others: what is stored is the same.
func numberRows() []parityRow {
	var rows []parityRow
	for field, value := range map[string]string{
		"token_ttl": "500ms", "token_max_ttl": "1500ms", "token_explicit_max_ttl": "1ns", "token_period": "0.4s",
		"ttl": "500ms", "max_ttl": "2.9s", "period": "999ms", "token_num_uses": "010", "num_uses": "010",
	} {
		rows = append(rows, row(field+" is kept as another",
			write("role/r", role(map[string]any{field: value})).differing("numbers-read", warning(field+": "+value+" was read as …")), read("role/r")))
	}
	for _, field := range []string{"token_num_uses", "num_uses"} {
		rows = append(rows, row(field+" true",
			write("role/r", role(map[string]any{field: true})).differing("numbers-read", warning(field+": what was sent was read as 1.")), read("role/r")))
	}
	return rows
}

// textListRows are lists in JSON, or in quotes, within a text.
func textListRows() []parityRow {
	var rows []parityRow
	for _, field := range []string{"bound_service_account_names", "bound_service_account_namespaces", "token_policies", "policies", "audience"} {
		rows = append(rows, row(field+" as JSON in a text",
			write("role/r", role(map[string]any{field: `["web","db"]`})).differing("list-in-text", warning(field+": …no name, but what JSON or quotes in a text come to; write ")), read("role/r")))
	}
	return rows
}

// policyRows are those of a field that is a list of policies, one of which no login gets.
func policyRows(field string) []parityRow {
	root := write("role/r", role(map[string]any{field: []string{"a", "root"}})).
		differing("policy-refused", warning(`Role r has the policy "root" in token_policies, …`))
	return append(valueRows(field, lists...), row(field+" with root", root, read("role/r")))
}

// deprecated are the fields that came before the token_* ones.
var deprecated = map[string][]any{
	"num_uses":    counts,
	"ttl":         durations,
	"max_ttl":     durations,
	"period":      durations,
	"bound_cidrs": addresses,
}

func roleDeprecatedRows() []parityRow {
	rows := policyRows("policies")
	for field, values := range deprecated {
		rows = append(rows, valueRows(field, values...)...)
	}
	for field, v := range map[string]struct{ a, b, none any }{
		"policies":    {[]string{"a"}, []string{"b"}, []string{}},
		"num_uses":    {1, 2, 0},
		"ttl":         {60, 120, 0},
		"max_ttl":     {600, 1200, 0},
		"period":      {60, 120, 0},
		"bound_cidrs": {"10.0.0.1", "10.0.0.2", ""},
	} {
		rows = append(rows, deprecatedRows(field, v.a, v.b, v.none)...)
	}
	return append(rows,
		roleRow("deprecated ttl beyond max_ttl", map[string]any{"ttl": 61, "max_ttl": 60}),
		roleRow("deprecated ttl beyond token_max_ttl", map[string]any{"ttl": 61, "token_max_ttl": 60}),
		roleRow("token_ttl beyond the deprecated max_ttl", map[string]any{"token_ttl": 61, "max_ttl": 60}),
		roleRow("deprecated max_ttl beyond the mount's", map[string]any{"max_ttl": "769h"}),
		roleRow("deprecated period beyond the mount's maximum", map[string]any{"period": "769h"}),
		roleRow("batch with the deprecated period", map[string]any{"token_type": "batch", "period": 60}),
		roleRow("batch with the deprecated num_uses", map[string]any{"token_type": "batch", "num_uses": 1}),
		row("all of them",
			write("role/r", role(map[string]any{"policies": "a,b", "num_uses": 3, "ttl": "1m", "max_ttl": "2m", "period": "3m", "bound_cidrs": "10.0.0.0/8"})),
			read("role/r"), write("role/r", map[string]any{"audience": "other"}), read("role/r")),
	)
}

// deprecatedRows mix a deprecated field with the one that replaced it.
func deprecatedRows(old string, a, b, none any) []parityRow {
	current := "token_" + old
	only := func(field string, value any) map[string]any { return map[string]any{field: value} }
	emptied := func(field string) exchange {
		e := write("role/r", only(field, none))
		if old == "bound_cidrs" {
			return e.differing("widened", warning("token_bound_cidrs is empty now, …"))
		}
		return e
	}
	return []parityRow{
		roleRow(old+" and "+current, map[string]any{old: a, current: b}),
		roleRow(old+" and "+current+" empty", map[string]any{old: a, current: none}),
		row(old+" then "+current, write("role/r", role(only(old, a))), write("role/r", only(current, b)), read("role/r")),
		row(current+" then "+old, write("role/r", role(only(current, a))), write("role/r", only(old, b)), read("role/r")),
		row(old+" twice", write("role/r", role(only(old, a))), write("role/r", only(old, b)), read("role/r")),
		row(old+" then empty", write("role/r", role(only(old, a))), emptied(old), read("role/r")),
		row(old+" then "+current+" empty", write("role/r", role(only(old, a))), emptied(current), read("role/r"),
			write("role/r", only("audience", "b")), read("role/r")),
		row(old+" then both", write("role/r", role(only(old, a))), write("role/r", map[string]any{old: a, current: b}), read("role/r")),
		row(old+" then something else", write("role/r", role(only(old, a))), write("role/r", only("audience", "b")), read("role/r")),
	}
}
