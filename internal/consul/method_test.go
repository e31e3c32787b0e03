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
	got, err := Read([]byte(method1), []byte("["+rule1+"]"))
	if err != nil {
		t.Fatal(err)
	}
	want := &Import{
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
		"unknown setting":     {`{"Name":"k8s","Type":"kubernetes","Config":{"New":1}}`, "[]", "Config.New", 0},
		"another method's":    {method1, `[{"ID":"1","AuthMethod":"jwt","BindType":"service","BindName":"x"}]`, `"jwt"`, 0},
		"namespace of a rule": {method1, `[{"ID":"1","AuthMethod":"k8s","BindType":"role","BindName":"x","Namespace":"n"}]`, "Namespace n", 1},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Read([]byte(row.method), []byte(row.rules))
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
		"templated policy":    {`[{"ID":"1","AuthMethod":"k8s","BindType":"templated-policy","BindName":"x","BindVars":{"Name":"y"}}]`, "templated-policy", 0},
		"variables of a role": {`[{"ID":"1","AuthMethod":"k8s","BindType":"role","BindName":"x","BindVars":{"Name":"y"}}]`, "BindVars", 0},
		"the same ID again":   {`[{"ID":"a","AuthMethod":"k8s","BindType":"role","BindName":"x"},{"ID":"A","AuthMethod":"k8s","BindType":"role","BindName":"y"}]`, "twice", 1},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Read([]byte(method1), []byte(row.rules))
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
		[]byte(`[{"ID":"1","AuthMethod":"k8s","BindType":"role","BindName":"x","BindVars":null,"Namespace":"default"}]`))
	if err != nil || len(got.Left) != 0 || len(got.Rules) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestReadConfigInAnyCase(t *testing.T) {
	got, err := Read([]byte(`{"Name":"k8s","Type":"kubernetes","Config":{"host":"h","MAPNAMESPACES":true,"ConsulNamespacePrefix":"p-","ConsulNamespaceOverrides":{"a":"b"}}}`), []byte("[]"))
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
		"rule without ID":    {method1, `[{"AuthMethod":"k8s"}]`, "ID"},
		"host of a number":   {`{"Type":"kubernetes","Config":{"Host":7}}`, "[]", "Host"},
		"too long":           {method1, "[" + strings.Repeat(" ", maxBytes) + "]", "longer"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Read([]byte(row.method), []byte(row.rules))
			if err == nil || !strings.Contains(err.Error(), row.says) {
				t.Errorf("error %v, want one that says %q", err, row.says)
			}
		})
	}
}

// A credential of the wrong type must not be repeated.
func TestReadDoesNotRepeatCredentials(t *testing.T) {
	_, err := Read([]byte(`{"Type":"kubernetes","Config":{"ServiceAccountJWT":["s3cret"]}}`), []byte("[]"))
	if err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("error %v", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(method1, "["+rule1+"]")
	f.Add(`{"Type":"kubernetes","Config":null}`, "null")
	f.Fuzz(func(t *testing.T, method, rules string) {
		got, err := Read([]byte(method), []byte(rules))
		if (got == nil) == (err == nil) {
			t.Errorf("%v, %v", got, err)
		}
	})
}
