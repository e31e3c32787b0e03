package binding

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func (l *login) bindConsul(rules *RuleSet) (ConsulGrants, error) {
	return rules.BindConsul(context.Background(), l.attrs.ForRules(l.cluster.override), l.fetch)
}

// What a Consul token gets and what a Vault token gets are not mixed up, in neither
// direction.
func TestBindConsulIsApart(t *testing.T) {
	rules := rulesOf(t,
		Rule{Name: "all", BindType: BindPolicy, BindName: "everyone"},
		Rule{Name: "service", Selector: `serviceaccount.namespace == "ci"`, BindType: BindService, BindName: "api"},
		Rule{Name: "c-service", Selector: `serviceaccount.namespace == "ci"`, BindType: BindConsulService, BindName: "${serviceaccount.name}"},
		Rule{Name: "c-service-2", Selector: `serviceaccount.namespace == "ci" and serviceaccount.name == "web"`, BindType: BindConsulService, BindName: "api"},
		Rule{Name: "c-service-3", Selector: `serviceaccount.name == "web"`, BindType: BindConsulService, BindName: "web"},
		Rule{Name: "c-node", BindType: BindConsulNode, BindName: "k8s-${node.name}"},
		Rule{Name: "c-role", BindType: BindConsulRole, BindName: "Web_Reader"},
		Rule{Name: "c-policy", BindType: BindConsulPolicy, BindName: "kv-${serviceaccount.namespace}"},
		Rule{Name: "c-template", BindType: BindConsulTemplatedPolicy, BindName: "builtin/service", BindVarName: "${serviceaccount.name}"},
		Rule{Name: "c-dns", BindType: BindConsulTemplatedPolicy, BindName: "builtin/dns"},
		Rule{Name: "c-other", Selector: `serviceaccount.namespace == "default"`, BindType: BindConsulRole, BindName: "admin"},
		Rule{Name: "c-override", BindType: BindConsulService, BindName: "${serviceaccount.name}-x", UseServiceNameAnnotation: true},
	)
	l := runner().with(func(c *cluster) { c.override = "consul.hashicorp.com/service-name" }).login(t)
	got, err := l.bindConsul(rules)
	want := ConsulGrants{
		Services: []string{"api", "other-x", "web"},
		Nodes:    []string{"k8s-node-1"},
		Roles:    []string{"Web_Reader"},
		Policies: []string{"kv-ci"},
		TemplatedPolicies: []TemplatedPolicy{
			{Template: "builtin/dns"}, {Template: "builtin/service", Name: "web"},
		},
		Rules: []string{"c-dns", "c-node", "c-override", "c-policy", "c-role", "c-service", "c-service-2", "c-service-3", "c-template"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	vault, err := l.bind(rules)
	if err != nil || !reflect.DeepEqual(vault, Grants{Policies: []string{"everyone"}, Services: []string{"api"}, Rules: []string{"all", "service"}}) {
		t.Errorf("a Vault token gets %+v, %v", vault, err)
	}
	if rules.Len() != 12 || rules.LenForConsul() != 10 || rules.LenForVault() != 2 {
		t.Errorf("%d rules, %d for Consul, %d for Vault", rules.Len(), rules.LenForConsul(), rules.LenForVault())
	}
	account, explained, err := rules.ExplainConsul(t.Context(), l.attrs.ForRules(l.cluster.override), l.fetch)
	if err != nil || !reflect.DeepEqual(explained, want) || len(account) != 10 {
		t.Errorf("explained as %+v, %v, of %d rules", explained, err, len(account))
	}
	if account, _, err := rules.Explain(t.Context(), l.attrs.ForRules(""), l.fetch); err != nil || len(account) != 2 {
		t.Errorf("a Vault login is explained by %+v, %v", account, err)
	}
	if names := rules.ConsulNames(); !reflect.DeepEqual(names, map[BindType][]string{BindConsulRole: {"admin", "Web_Reader"}}) {
		t.Errorf("names that Consul should have: %v", names)
	}
}

// A rule that computes no valid name ends the logins that it is for, and no others.
func TestBindConsulInvalidName(t *testing.T) {
	rules := rulesOf(t,
		Rule{Name: "vault", BindType: BindPolicy, BindName: "p"},
		Rule{Name: "bad", BindType: BindConsulService, BindName: "x${serviceaccount.annotations.path}"},
	)
	l := runner().login(t)
	var invalid *InvalidNameError
	if got, err := l.bindConsul(rules); !errors.As(err, &invalid) || invalid.Rule != "bad" || !got.Empty() {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := l.bind(rules); err != nil || got.Empty() {
		t.Errorf("a Vault login ends by it: %+v, %v", got, err)
	}
}

// Values are lower-cased as Consul does it; what is written stays as it is.
func TestBindConsulLowerCases(t *testing.T) {
	got, err := runner().login(t).bindConsul(rulesOf(t,
		Rule{Name: "a", BindType: BindConsulService, BindName: "${serviceaccount.annotations.mixed}"},
		Rule{Name: "b", BindType: BindConsulRole, BindName: "Is-${serviceaccount.annotations.mixed}"},
	))
	if err != nil || !reflect.DeepEqual(got.Services, []string{"web"}) || !reflect.DeepEqual(got.Roles, []string{"Is-web"}) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestCompileConsulRules(t *testing.T) {
	for name, row := range map[string]struct {
		rule  Rule
		field string // that is refused; empty if none is
		says  string
	}{
		"service":                    {Rule{BindType: BindConsulService, BindName: "web"}, "", ""},
		"service in upper case":      {Rule{BindType: BindConsulService, BindName: "Web"}, "bind_name", "gives no valid consul-service name"},
		"role in upper case":         {Rule{BindType: BindConsulRole, BindName: "Web"}, "", ""},
		"role with a slash":          {Rule{BindType: BindConsulRole, BindName: "a/b"}, "bind_name", "letters, digits, - and _"},
		"policy":                     {Rule{BindType: BindConsulPolicy, BindName: "global-management"}, "", ""},
		"policy with a slash":        {Rule{BindType: BindConsulPolicy, BindName: "builtin/global-read-only"}, "bind_name", "letters, digits, - and _"},
		"template without variable":  {Rule{BindType: BindConsulTemplatedPolicy, BindName: "builtin/dns"}, "", ""},
		"template with one":          {Rule{BindType: BindConsulTemplatedPolicy, BindName: "builtin/node", BindVarName: "${node.name}"}, "", ""},
		"template of a later Consul": {Rule{BindType: BindConsulTemplatedPolicy, BindName: "builtin/some-day", BindVarName: "x"}, "", ""},
		"template that needs one":    {Rule{BindType: BindConsulTemplatedPolicy, BindName: "builtin/service"}, "bind_vars", "needs one"},
		"template that has none":     {Rule{BindType: BindConsulTemplatedPolicy, BindName: "builtin/dns", BindVarName: "x"}, "bind_vars", "has none"},
		"template that is computed":  {Rule{BindType: BindConsulTemplatedPolicy, BindName: "builtin/${serviceaccount.name}"}, "bind_name", "stands as it is"},
		"template of another name":   {Rule{BindType: BindConsulTemplatedPolicy, BindName: "service"}, "bind_name", "builtin/"},
		"variable of no template":    {Rule{BindType: BindConsulService, BindName: "web", BindVarName: "x"}, "bind_vars", "consul-templated-policy"},
		"variable that is no name":   {Rule{BindType: BindConsulTemplatedPolicy, BindName: "builtin/service", BindVarName: `x" } service "`}, "bind_vars", "not allowed"},
		"variable unknown":           {Rule{BindType: BindConsulTemplatedPolicy, BindName: "builtin/service", BindVarName: "${x.y}"}, "bind_vars", "unknown attribute"},
		"no such type":               {Rule{BindType: "consul-thing", BindName: "x"}, "bind_type", "consul-service, consul-node, consul-role, consul-policy, consul-templated-policy"},
	} {
		t.Run(name, func(t *testing.T) {
			row.rule.Name = "r"
			_, err := Compile(row.rule)
			if row.field == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if input := inputError(t, err, row.field); input != nil && (input.Field != row.field || !strings.Contains(input.Error(), row.says)) {
				t.Errorf("%v, want %s: …%s…", err, row.field, row.says)
			}
		})
	}
}
