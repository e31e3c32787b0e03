package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	authv1 "k8s.io/api/authentication/v1"

	"vault-plugin-auth-kubernetes/internal/kubetest"
)

func TestBounds(t *testing.T) {
	const selector = "bound_service_account_namespace_selector"
	for name, row := range map[string]struct {
		role fields
		step string // that refuses; "" if none does
	}{
		"exact":                             {nil, ""},
		"one of several":                    {fields{"bound_service_account_names": "a,web,b", "bound_service_account_namespaces": "a,apps,b"}, ""},
		"any":                               {fields{"bound_service_account_names": "*", "bound_service_account_namespaces": "*"}, ""},
		"globs":                             {fields{"bound_service_account_names": "w*b", "bound_service_account_namespaces": "*ps"}, ""},
		"wrong name":                        {fields{"bound_service_account_names": "other"}, "service account name"},
		"beginning of the name":             {fields{"bound_service_account_names": "we"}, "service account name"},
		"name in another case":              {fields{"bound_service_account_names": "Web"}, "service account name"},
		"name that only a regex matches":    {fields{"bound_service_account_names": "w.b"}, "service account name"},
		"glob of other names":               {fields{"bound_service_account_names": "x*,*y"}, "service account name"},
		"wrong namespace":                   {fields{"bound_service_account_namespaces": "other"}, "namespace"},
		"beginning of the namespace":        {fields{"bound_service_account_namespaces": "app"}, "namespace"},
		"glob of other namespaces":          {fields{"bound_service_account_namespaces": "apps-*"}, "namespace"},
		"name and namespace interchanged":   {fields{"bound_service_account_names": "apps", "bound_service_account_namespaces": "web"}, "service account name"},
		"selector matches":                  {fields{"bound_service_account_namespaces": "none", selector: selectorOfCI}, ""},
		"selector alone":                    {fields{"bound_service_account_namespaces": nil, selector: selectorOfCI}, ""},
		"selector in YAML":                  {fields{"bound_service_account_namespaces": "none", selector: "matchLabels:\n  team: ci\n  tier: web\n"}, ""},
		"selector of all":                   {fields{"bound_service_account_namespaces": "none", selector: "{}"}, ""},
		"selector by the name label":        {fields{"bound_service_account_namespaces": "none", selector: `{"matchLabels":{"kubernetes.io/metadata.name":"apps"}}`}, ""},
		"expression In":                     {fields{"bound_service_account_namespaces": "none", selector: expression("team", "In", "cd", "ci")}, ""},
		"expression NotIn":                  {fields{"bound_service_account_namespaces": "none", selector: expression("team", "NotIn", "cd")}, ""},
		"expression Exists":                 {fields{"bound_service_account_namespaces": "none", selector: expression("tier", "Exists")}, ""},
		"expression DoesNotExist":           {fields{"bound_service_account_namespaces": "none", selector: expression("nothing", "DoesNotExist")}, ""},
		"namespace listed, selector not":    {fields{selector: `{"matchLabels":{"team":"other"}}`}, ""},
		"selector matches another value":    {fields{"bound_service_account_namespaces": "none", selector: `{"matchLabels":{"team":"other"}}`}, "namespace"},
		"selector matches one of two":       {fields{"bound_service_account_namespaces": "none", selector: `{"matchLabels":{"team":"ci","tier":"db"}}`}, "namespace"},
		"expression In, no match":           {fields{"bound_service_account_namespaces": "none", selector: expression("team", "In", "cd")}, "namespace"},
		"expression NotIn, no match":        {fields{"bound_service_account_namespaces": "none", selector: expression("team", "NotIn", "ci")}, "namespace"},
		"expression Exists, no match":       {fields{"bound_service_account_namespaces": "none", selector: expression("nothing", "Exists")}, "namespace"},
		"expression DoesNotExist, no match": {fields{"bound_service_account_namespaces": "none", selector: expression("team", "DoesNotExist")}, "namespace"},
		"selector matches, name does not":   {fields{"bound_service_account_names": "other", selector: "{}"}, "service account name"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newDemo(t, nil, row.role)
			m.api.AddNamespace("apps", map[string]string{"team": "ci", "tier": "web"})
			o := m.login("demo", m.token())
			defer wantAgreement(t, m, fields{"role": "demo", "jwt": m.token()})
			if row.step == "" {
				if o.status != http.StatusOK {
					t.Errorf("%d %s; logged: %v", o.status, o.message, m.logs.Take())
				}
				return
			}
			wantRefused(t, o, http.StatusForbidden)
			if logged := m.logs.One(t); logged.Fields["step"] != row.step || logged.Level != hclog.Debug {
				t.Errorf("logged %s, want the step %q", logged, row.step)
			}
		})
	}
}

func expression(key, operator string, values ...string) string {
	quoted := make([]string, len(values))
	for i, value := range values {
		quoted[i] = fmt.Sprintf("%q", value)
	}
	list := ""
	if len(values) > 0 {
		list = fmt.Sprintf(`,"values":[%s]`, strings.Join(quoted, ","))
	}
	return fmt.Sprintf(`{"matchExpressions":[{"key":%q,"operator":%q%s}]}`, key, operator, list)
}

// Labels are asked for only where they can make a difference.
func TestNamespaceIsLookedUpOnlyIfNeeded(t *testing.T) {
	m := newDemo(t, nil, fields{"bound_service_account_namespace_selector": selectorOfCI})
	m.mustLogin(m.token())
	if got := m.api.Count(kubetest.Namespaces); got != 0 {
		t.Errorf("%d look-ups for a namespace that is listed", got)
	}
	m.write("role/demo", fields{"bound_service_account_namespaces": "none"})
	wantRefused(t, m.login("demo", m.token()), http.StatusForbidden)
	if got := m.api.Count(kubetest.Namespaces); got != 1 {
		t.Errorf("%d look-ups for a namespace that is not listed, want 1", got)
	}
	m.api.AddNamespace("apps", map[string]string{"team": "ci"})
	m.mustLogin(m.token()) // labels are not remembered
}

// Selectors that Vault's own method stored: fields that do not exist are ignored,
// as Vault ignores them, and what cannot be parsed matches nothing.
func TestStoredSelectors(t *testing.T) {
	for name, row := range map[string]struct {
		selector string
		allowed  bool
	}{
		"JSON":                     {`{\"matchLabels\":{\"team\":\"ci\"}}`, true},
		"YAML":                     {`matchLabels:\n  team: ci`, true},
		"other labels":             {`{\"matchLabels\":{\"team\":\"other\"}}`, false},
		"further fields":           {`{\"matchLabels\":{\"team\":\"ci\"},\"note\":\"x\"}`, true},
		"further fields, no match": {`{\"matchLabels\":{\"team\":\"other\"},\"note\":\"x\"}`, false},
		"not YAML":                 {`{{`, false},
		"a word":                   {`team=ci`, false},
		"null":                     {`null`, false},
		"unknown operator":         {`{\"matchExpressions\":[{\"key\":\"team\",\"operator\":\"Like\"}]}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			m := newDemo(t, nil, nil)
			m.api.AddNamespace("apps", map[string]string{"team": "ci"})
			entry := strings.Replace(vaultRole, `"bound_service_account_namespace_selector":""`, `"bound_service_account_namespace_selector":"`+row.selector+`"`, 1)
			m.stored("role/old", strings.NewReplacer(`["apps"]`, `["none"]`).Replace(entry))
			o := m.login("old", m.token())
			if row.allowed && o.status != http.StatusOK {
				t.Errorf("%d %s; logged: %v", o.status, o.message, m.logs.Take())
			}
			if !row.allowed {
				wantRefused(t, o, http.StatusForbidden)
			}
		})
	}
}

// An operator learns of a stored selector that cannot be parsed.
func TestStoredSelectorThatCannotBeParsedIsLogged(t *testing.T) {
	m := newDemo(t, nil, nil)
	m.stored("role/old", strings.Replace(vaultRole, `"bound_service_account_namespace_selector":""`, `"bound_service_account_namespace_selector":"{{"`, 1))
	if o := m.login("old", m.token()); o.status != http.StatusOK {
		t.Errorf("a namespace that is listed: %d %s", o.status, o.message)
	}
	if logged := m.logs.One(t); logged.Level != hclog.Warn || logged.Fields["role"] != "old" {
		t.Errorf("logged %s", logged)
	}
}

func TestAudiences(t *testing.T) {
	for name, row := range map[string]struct {
		role  string
		token []string
		want  int
	}{
		"the role's":                      {"vault", []string{"vault"}, http.StatusOK},
		"among others":                    {"vault", []string{"other", "vault"}, http.StatusOK},
		"another":                         {"vault", []string{"other"}, http.StatusForbidden},
		"role without, token for Vault":   {"", []string{"vault"}, http.StatusOK},
		"role without, token for two":     {"", []string{"vault", "other"}, http.StatusOK},
		"role without, token for the API": {"", []string{kubetest.DefaultIssuer}, http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			m := newDemo(t, nil, fields{"audience": row.role})
			defer wantAgreement(t, m, fields{"role": "demo", "jwt": m.token(kubetest.Audience(row.token...))})
			if o := m.login("demo", m.token(kubetest.Audience(row.token...))); o.status != row.want {
				t.Errorf("%d %s, want %d", o.status, o.message, row.want)
			}
		})
	}
}

// What comes back is checked, not only what was sent: a webhook behind the API
// server may not know of audiences.
func TestReviewThatDidNotCheckTheAudience(t *testing.T) {
	for name, audiences := range map[string][]string{"none": nil, "another": {"other"}} {
		t.Run(name, func(t *testing.T) {
			m := newDemo(t, nil, nil)
			m.api.OnReview(func(r *authv1.TokenReview) { r.Status.Audiences = audiences })
			wantRefused(t, m.login("demo", m.token()), http.StatusForbidden)
		})
	}
}
