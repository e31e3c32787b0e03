package consul

import (
	"reflect"
	"strings"
	"testing"
)

const (
	method1 = `{"Name":"k8s","Type":"kubernetes","Description":"d","CreateIndex":5,
		"Config":{"Host":"https://10.0.0.1","CACert":"PEM","ServiceAccountJWT":"e.y.J"}}`
	rule1 = `{"ID":"8D1B5A4E","Description":"d","AuthMethod":"k8s","Selector":"serviceaccount.name==web","BindType":"service","BindName":"${serviceaccount.name}"}`
)

func TestRead(t *testing.T) {
	got, err := Read([]byte(method1), []byte("["+rule1+"]"), VaultTokens)
	if err != nil {
		t.Fatal(err)
	}
	want := &Import{
		tokens: VaultTokens,
		Method: "k8s",
		Listed: []string{"consul-8d1b5a4e"},
		Config: Config{Host: "https://10.0.0.1", CACert: "PEM", ReviewerJWT: "e.y.J"},
		Rules: []Rule{{
			Name: "consul-8d1b5a4e", Description: "d", Selector: "serviceaccount.name==web",
			BindType: "service", BindName: "${serviceaccount.name}",
		}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestReadLeavesOut(t *testing.T) {
	for name, row := range map[string]struct {
		method, rules string
		left          string // what the one line holds
		rulesLeft     int
	}{
		"token TTL":           {`{"Name":"k8s","Type":"kubernetes","MaxTokenTTL":"1h0m0s"}`, "[]", "MaxTokenTTL 1h0m0s", 0},
		"global tokens":       {`{"Name":"k8s","Type":"kubernetes","TokenLocality":"global"}`, "[]", "TokenLocality global", 0},
		"namespace rules":     {`{"Name":"k8s","Type":"kubernetes","NamespaceRules":[{}]}`, "[]", "NamespaceRules", 0},
		"partition":           {`{"Name":"k8s","Type":"kubernetes","Partition":"p"}`, "[]", "Partition p", 0},
		"another method's":    {method1, `[{"ID":"1","AuthMethod":"jwt","Selector":"","BindType":"service","BindName":"x"}]`, `"jwt"`, 0},
		"namespace of a rule": {method1, `[{"ID":"1","AuthMethod":"k8s","Selector":"","BindType":"role","BindName":"x","Namespace":"n"}]`, "Namespace n", 1},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Read([]byte(row.method), []byte(row.rules), VaultTokens)
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Left) != 1 || !strings.Contains(got.Left[0], row.left) {
				t.Errorf("left out: %q, want one line with %q", got.Left, row.left)
			}
			if len(got.Rules) != row.rulesLeft {
				t.Errorf("%d rules, want %d", len(got.Rules), row.rulesLeft)
			}
		})
	}
}

func TestReadRefusesRules(t *testing.T) {
	for name, row := range map[string]struct {
		rules, reason string
		taken         int
	}{
		"templated policy":    {`[{"ID":"1","AuthMethod":"k8s","Selector":"","BindType":"templated-policy","BindName":"x","BindVars":{"Name":"y"}}]`, "templated-policy", 0},
		"variables of a role": {`[{"ID":"1","AuthMethod":"k8s","Selector":"","BindType":"role","BindName":"x","BindVars":{"Name":"y"}}]`, "BindVars", 0},
		"the same ID again":   {`[{"ID":"a","AuthMethod":"k8s","Selector":"","BindType":"role","BindName":"x"},{"ID":"A","AuthMethod":"k8s","Selector":"","BindType":"role","BindName":"y"}]`, "twice", 1},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Read([]byte(method1), []byte(row.rules), VaultTokens)
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Refused) != 1 || !strings.Contains(got.Refused[0], row.reason) || len(got.Left) != 0 {
				t.Errorf("refused: %q, want one line with %q; left out: %q", got.Refused, row.reason, got.Left)
			}
			if len(got.Rules) != row.taken || len(got.Listed) != row.taken+1 {
				t.Errorf("%d rules of %q, want %d", len(got.Rules), got.Listed, row.taken)
			}
		})
	}
}

// What Consul prints for "nothing" is nothing to tell about.
func TestReadOfDefaultsLeavesNothing(t *testing.T) {
	got, err := Read(
		[]byte(`{"Name":"k8s","Type":"kubernetes","MaxTokenTTL":"0s","TokenLocality":"local","Namespace":"default","Partition":"default","NamespaceRules":null}`),
		[]byte(`[{"ID":"1","AuthMethod":"k8s","Selector":"","BindType":"role","BindName":"x","BindVars":null,"Namespace":"default"}]`), VaultTokens)
	if err != nil || len(got.Left) != 0 || len(got.Rules) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestReadConfigInAnyCase(t *testing.T) {
	got, err := Read([]byte(`{"Name":"k8s","Type":"kubernetes","Config":{"host":"h","MAPNAMESPACES":true,"ConsulNamespacePrefix":"p-","ConsulNamespaceOverrides":{"a":"b"}}}`), []byte("[]"), VaultTokens)
	want := Config{Host: "h", MapNamespaces: true, NamespacePrefix: "p-", NamespaceOverrides: map[string]string{"a": "b"}}
	if err != nil || !reflect.DeepEqual(got.Config, want) {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
}

func TestReadRefuses(t *testing.T) {
	for name, row := range map[string]struct{ method, rules, says string }{
		"no method":          {"", "[]", "auth_method"},
		"no rules":           {method1, "", "binding_rules"},
		"method of jwt":      {`{"Type":"jwt"}`, "[]", "jwt"},
		"rules in an object": {method1, "{}", "binding_rules"},
		"something follows":  {method1 + "{}", "[]", "follows"},
		"rule without ID":    {method1, `[{"AuthMethod":"k8s","Selector":""}]`, "ID"},
		"host of a number":   {`{"Type":"kubernetes","Config":{"Host":7}}`, "[]", "Host"},
		"too long":           {method1, "[" + strings.Repeat(" ", maxBytes) + "]", "longer"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Read([]byte(row.method), []byte(row.rules), VaultTokens)
			if err == nil || !strings.Contains(err.Error(), row.says) {
				t.Errorf("error %v, want one that says %q", err, row.says)
			}
		})
	}
}

// A slip in a document by hand must not turn a rule into one for everybody.
func TestReadRefusesKeys(t *testing.T) {
	rule := func(rest string) string { return `[` + rule1 + `,{"ID":"77","AuthMethod":"k8s",` + rest + `}]` }
	const role = `"BindType":"role","BindName":"x"`
	method := func(rest string) string { return `{"Name":"k8s","Type":"kubernetes",` + rest + `}` }
	for name, row := range map[string]struct{ method, rules, says string }{
		"mistyped":                  {method1, rule(`"selecter":"a",` + role), `rule "77": there is no key "selecter" in what Consul prints; did you mean "Selector"?`},
		"mistyped beside it":        {method1, rule(`"Selector":"a","Selecter":"b",` + role), `"Selecter"`},
		"of another world":          {method1, rule(`"Selector":"a","x":{},` + role), `no key "x" in what Consul prints; the keys are AuthMethod, BindName`},
		"twice":                     {method1, rule(`"Selector":"a","Selector":"",` + role), `rule "77": it has "Selector" and "Selector"`},
		"twice, in two letter case": {method1, rule(`"Selector":"a","selector":"",` + role), `it has "Selector" and "selector"`},
		"twice, in letters of Go's": {method1, rule(`"Selector":"a","\u017felector":"",` + role), `which are one key`},
		"left out":                  {method1, rule(role), `rule "77": it has no Selector`},
		"null":                      {method1, rule(`"Selector":null,` + role), `rule "77": it has no Selector`},
		"without an ID":             {method1, `[{"Slector":""}]`, `rule number 1: there is no key "Slector"`},
		"no object":                 {method1, `[null]`, `rule number 1: it has no Selector`},
		"of the method":             {method(`"MaxTokenTLT":"1h"`), "[]", `auth_method: there is no key "MaxTokenTLT" in what Consul prints; did you mean "MaxTokenTTL"?`},
		"of the method, twice":      {method(`"name":"x"`), "[]", `it has "Name" and "name"`},
		"of the settings":           {method(`"Config":{"Host":"h","MapNamespace":true}`), "[]", `auth_method: Config: there is no key "MapNamespace" in what Consul prints; did you mean "MapNamespaces"?`},
		"of the settings, twice":    {method(`"Config":{"Host":"h","host":"i"}`), "[]", `Config: it has "Host" and "host"`},
		"of a namespace, twice":     {method(`"Config":{"ConsulNamespaceOverrides":{"a":"b","a":"c"}}`), "[]", `ConsulNamespaceOverrides: it has "a" and "a"`},
		"after the method":          {method1 + "}", "[]", "follows"},
		"after the rules":           {method1, "[] ]", "follows"},
		"two documents":             {method1, "[" + rule1 + "][]", "follows"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Read([]byte(row.method), []byte(row.rules), VaultTokens)
			if err == nil || !strings.Contains(err.Error(), row.says) {
				t.Errorf("%+v, error %v, want one that says %q", got, err, row.says)
			}
		})
	}
}

// All that Consul prints is read, in any letter case.
func TestReadKnowsKeys(t *testing.T) {
	got, err := Read(
		[]byte(`{"Name":"k8s","Type":"kubernetes","DisplayName":"","Description":"","MaxTokenTTL":"0s","TokenLocality":"","CreateIndex":1,"ModifyIndex":2,
			"NamespaceRules":[],"Namespace":"","Partition":"","Config":{"ConsulNamespaceOverrides":{"a":"b","A":"c"}}}`+"\n"),
		[]byte(`[{"ID":"1","Description":"","AuthMethod":"k8s","selector":"*","BINDTYPE":"role","BindName":"x","BindVars":null,
			"CreateIndex":1,"ModifyIndex":2,"Namespace":"","Partition":""}]`+"\n"), VaultTokens)
	if err != nil || len(got.Left) != 0 || len(got.Rules) != 1 || got.Rules[0].Selector != "*" || len(got.Config.NamespaceOverrides) != 2 {
		t.Errorf("%+v, %v", got, err)
	}
}

// A credential of the wrong type must not be repeated.
func TestReadDoesNotRepeatCredentials(t *testing.T) {
	_, err := Read([]byte(`{"Type":"kubernetes","Config":{"ServiceAccountJWT":["s3cret"]}}`), []byte("[]"), VaultTokens)
	if err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("error %v", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(method1, "["+rule1+"]")
	f.Add(`{"Type":"kubernetes","Config":null}`, "null")
	f.Fuzz(func(t *testing.T, method, rules string) {
		got, err := Read([]byte(method), []byte(rules), VaultTokens)
		if (got == nil) == (err == nil) {
			t.Errorf("%v, %v", got, err)
		}
	})
}

// For Consul tokens each rule becomes what it was, and the answer says which settings the
// method had.
func TestReadForConsulTokens(t *testing.T) {
	got, err := Read(
		[]byte(`{"Name":"k8s","Type":"kubernetes","MaxTokenTTL":"30m0s","TokenLocality":"global","Namespace":"team","Config":{"Host":"h"}}`),
		[]byte(`[{"ID":"1","AuthMethod":"k8s","Selector":"a","BindType":"service","BindName":"x"},
			{"ID":"2","AuthMethod":"k8s","Selector":"","BindType":"node","BindName":"x"},
			{"ID":"3","AuthMethod":"k8s","Selector":"","BindType":"role","BindName":"x"},
			{"ID":"4","AuthMethod":"k8s","Selector":"","BindType":"policy","BindName":"x"},
			{"ID":"5","AuthMethod":"k8s","Selector":"","BindType":"templated-policy","BindName":"builtin/service","BindVars":{"Name":"${serviceaccount.name}"}},
			{"ID":"6","AuthMethod":"k8s","Selector":"","BindType":"templated-policy","BindName":"builtin/service","BindVars":{"Nom":"x"}},
			{"ID":"7","AuthMethod":"k8s","Selector":"","BindType":"service","BindName":"x","BindVars":{"Name":"x"}},
			{"ID":"8","AuthMethod":"k8s","Selector":"","BindType":"thing","BindName":"x"}]`), ConsulTokens)
	if err != nil {
		t.Fatal(err)
	}
	var types []string
	for _, r := range got.Rules {
		types = append(types, r.BindType+" "+r.BindName+" "+r.BindVarName)
	}
	want := []string{"consul-service x ", "consul-node x ", "consul-role x ", "consul-policy x ", "consul-templated-policy builtin/service ${serviceaccount.name}"}
	if !reflect.DeepEqual(types, want) || len(got.Refused) != 3 || len(got.Left) != 0 {
		t.Errorf("rules %q, refused %q, left %q", types, got.Refused, got.Left)
	}
	if want := []string{"auth_method=k8s", "max_token_ttl=30m0s", "namespace=team", "token_locality=global"}; !reflect.DeepEqual(got.Settings, want) {
		t.Errorf("settings %q", got.Settings)
	}
	endless, err := Read([]byte(`{"Name":"k8s","Type":"kubernetes","NamespaceRules":[{}]}`), []byte("[]"), ConsulTokens)
	if err != nil || len(endless.Left) != 2 {
		t.Errorf("left %q, %v", endless.Left, err)
	}
}
