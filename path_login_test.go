package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"
	authv1 "k8s.io/api/authentication/v1"

	"vault-plugin-auth-kubernetes/internal/kubetest"
)

func setUsername(name string) func(*authv1.TokenReview) {
	return func(r *authv1.TokenReview) { r.Status.User.Username = name }
}

func TestLogin(t *testing.T) {
	m := newDemo(t, nil, fields{
		"token_ttl": 600, "token_max_ttl": 1200, "token_explicit_max_ttl": 1800, "token_num_uses": 2, "token_no_default_policy": true,
		"token_type": "service", "token_period": 300, "alias_metadata": map[string]string{"k": "v"},
	})
	uid := m.api.AddServiceAccount("apps", "web")
	auth := m.mustLogin(m.token())
	wantStrings(t, "metadata", auth.Metadata, map[string]string{
		"role": "demo", "service_account_name": "web", "service_account_namespace": "apps", "service_account_uid": uid, "service_account_secret_name": "",
	})
	wantStrings(t, "alias metadata", auth.Alias.Metadata, map[string]string{
		"service_account_name": "web", "service_account_namespace": "apps", "service_account_uid": uid, "service_account_secret_name": "",
	})
	wantStrings(t, "custom alias metadata", auth.Alias.CustomMetadata, map[string]string{"k": "v"})
	if auth.Alias.Name != uid || auth.DisplayName != "apps-web" || fmt.Sprint(auth.InternalData) != "map[role:demo]" {
		t.Errorf("alias %q, display name %q, internal data %v", auth.Alias.Name, auth.DisplayName, auth.InternalData)
	}
	if fmt.Sprint(auth.Policies) != "[p1 p2]" || auth.TTL != 10*time.Minute || auth.MaxTTL != 20*time.Minute || auth.ExplicitMaxTTL != 30*time.Minute ||
		auth.NumUses != 2 || !auth.NoDefaultPolicy || auth.TokenType != logical.TokenTypeService || auth.Period != 5*time.Minute || !auth.Renewable {
		t.Errorf("the token gets %+v", auth)
	}
	if lines := m.logs.take(); len(lines) > 0 {
		t.Errorf("a login was logged: %v", lines)
	}
	if got := len(m.api.Requests()); got != 1 {
		t.Errorf("%d requests, want 1", got)
	}
}

func wantStrings(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	if !maps.Equal(got, want) {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

func TestRequestsThatCannotSucceed(t *testing.T) {
	m := newDemo(t, nil, nil)
	for name, row := range map[string]struct {
		data  fields
		words string
	}{
		"nothing":                     {nil, "missing role"},
		"no role":                     {fields{"jwt": m.token()}, "missing role"},
		"empty role":                  {fields{"jwt": m.token(), "role": ""}, "missing role"},
		"no token":                    {fields{"role": "demo"}, "missing jwt"},
		"empty token":                 {fields{"role": "demo", "jwt": ""}, "missing jwt"},
		"unknown role":                {fields{"role": "other", "jwt": m.token()}, `invalid role name "other"`},
		"role that cannot exist":      {fields{"role": "../config", "jwt": m.token()}, `invalid role name "../config"`},
		"role with a slash":           {fields{"role": "demo/", "jwt": m.token()}, `invalid role name "demo/"`},
		"role with a newline":         {fields{"role": "demo\n", "jwt": m.token()}, `invalid role name "demo\n"`},
		"role that is absurdly long":  {fields{"role": strings.Repeat("a", maxRoleNameBytes+1), "jwt": m.token()}, "invalid role name"},
		"token and role interchanged": {fields{"role": m.token(), "jwt": "demo"}, "invalid role name"},
	} {
		t.Run(name, func(t *testing.T) {
			o := m.do(logical.UpdateOperation, "login", row.data)
			if o.status != http.StatusBadRequest || !strings.HasPrefix(o.message, row.words) {
				t.Errorf("%d %s, want 400 %s", o.status, o.message, row.words)
			}
			if logged := m.logs.one(t); logged.level != hclog.Debug || logged.fields["outcome"] != "invalid" || logged.fields["role"] != "" {
				t.Errorf("logged %s", logged)
			}
		})
	}
	if got := m.api.Requests(); len(got) > 0 {
		t.Errorf("a request left: %s %s", got[0].Method, got[0].Path)
	}
}

// The claims name one service account and the review another: the review's counts
// for everything.
func TestIdentityIsTheReviews(t *testing.T) {
	m := newDemo(t, fields{"use_annotations_as_alias_metadata": true}, fields{
		"bound_service_account_names": "real", "bound_service_account_namespaces": "none", "bound_service_account_namespace_selector": selectorOfCI,
		"alias_name_source": "serviceaccount_name",
	})
	uid := m.api.AddServiceAccount("reviewed", "real")
	m.api.AddNamespace("reviewed", map[string]string{"team": "ci"})
	m.api.Annotate("reviewed", "real", map[string]string{"vault.hashicorp.com/alias-metadata-from": "real"})
	m.api.Annotate("apps", "web", map[string]string{"vault.hashicorp.com/alias-metadata-from": "claims"})
	m.api.OnReview(func(r *authv1.TokenReview) {
		r.Status.User.Username, r.Status.User.UID = "system:serviceaccount:reviewed:real", uid
	})
	auth := m.mustLogin(m.token())
	if auth.Alias.Name != "reviewed/real" || auth.DisplayName != "reviewed-real" {
		t.Errorf("alias %q, display name %q", auth.Alias.Name, auth.DisplayName)
	}
	want := map[string]string{
		"service_account_name": "real", "service_account_namespace": "reviewed", "service_account_uid": uid, "service_account_secret_name": "",
	}
	wantStrings(t, "alias metadata", auth.Alias.Metadata, withPair(want, "from", "real"))
	wantStrings(t, "metadata", auth.Metadata, withPair(want, "role", "demo"))
	for _, r := range m.api.Requests() {
		if strings.Contains(r.Path, "apps") || strings.Contains(r.Path, "web") {
			t.Errorf("a claim reached the path %s", r.Path)
		}
	}

	m.write("role/demo", fields{"bound_service_account_names": "web"})
	wantRefused(t, m.login("demo", m.token()), http.StatusForbidden)
	m.write("role/demo", fields{"bound_service_account_names": "real", "bound_service_account_namespaces": "apps", "bound_service_account_namespace_selector": ""})
	wantRefused(t, m.login("demo", m.token()), http.StatusForbidden)
}

func withPair(base map[string]string, key, value string) map[string]string {
	result := maps.Clone(base)
	result[key] = value
	return result
}

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
			if row.step == "" {
				if o.status != http.StatusOK {
					t.Errorf("%d %s; logged: %v", o.status, o.message, m.logs.take())
				}
				return
			}
			wantRefused(t, o, http.StatusForbidden)
			if logged := m.logs.one(t); logged.fields["step"] != row.step || logged.level != hclog.Debug {
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
				t.Errorf("%d %s; logged: %v", o.status, o.message, m.logs.take())
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
	if logged := m.logs.one(t); logged.level != hclog.Warn || logged.fields["role"] != "old" {
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

func TestVoidTokens(t *testing.T) {
	for name, void := range map[string]func(*mount) string{
		"service account deleted": func(m *mount) string {
			token := m.token()
			m.api.DeleteServiceAccount("apps", "web")
			return token
		},
		"service account recreated": func(m *mount) string {
			token := m.token()
			m.api.AddServiceAccount("apps", "web")
			return token
		},
		"pod deleted": func(m *mount) string {
			m.api.AddPod("apps", "web-1", "node-1")
			token := m.token(m.api.BoundToPod("web-1"))
			m.api.DeletePod("apps", "web-1")
			return token
		},
		"secret deleted": func(m *mount) string {
			m.write("role/demo", fields{"audience": ""})
			token := m.api.LegacyToken("apps", "web", "web-token")
			m.api.DeleteSecret("apps", "web-token")
			return token
		},
		"another cluster's": func(m *mount) string {
			other := kubetest.Start(m.t)
			other.AddServiceAccount("apps", "web")
			return other.Token("apps", "web", kubetest.Audience("vault"))
		},
		"expired within the leeway": func(m *mount) string { return m.token(kubetest.Expiry(time.Now().Add(-time.Second))) },
	} {
		t.Run(name, func(t *testing.T) {
			m := newDemo(t, nil, nil)
			token := void(m)
			m.api.Forget()
			wantRefused(t, m.login("demo", token), http.StatusForbidden)
			if got := m.api.Count(kubetest.TokenReviews); got != 1 {
				t.Errorf("%d reviews, want 1", got)
			}
			if logged := m.logs.one(t); logged.level != hclog.Debug {
				t.Errorf("logged %s", logged)
			}
		})
	}
}

func TestPodBoundAndLegacyTokens(t *testing.T) {
	m := newDemo(t, nil, fields{"audience": ""})
	m.api.AddPod("apps", "web-1", "node-1")
	m.mustLogin(m.token(m.api.BoundToPod("web-1")))
	auth := m.mustLogin(m.api.LegacyToken("apps", "web", "web-token"))
	if auth.Metadata["service_account_secret_name"] != "web-token" || auth.Alias.Metadata["service_account_secret_name"] != "web-token" {
		t.Errorf("metadata %v, of the alias %v", auth.Metadata, auth.Alias.Metadata)
	}
}

// The one claim that no review reports counts only for the account reviewed.
func TestSecretNameOfAnotherAccount(t *testing.T) {
	m := newDemo(t, nil, fields{"audience": "", "bound_service_account_names": "*"})
	m.api.AddServiceAccount("apps", "real")
	m.api.OnReview(setUsername("system:serviceaccount:apps:real"))
	if auth := m.mustLogin(m.api.LegacyToken("apps", "web", "web-token")); auth.Metadata["service_account_secret_name"] != "" {
		t.Errorf("metadata %v", auth.Metadata)
	}
}

func TestAliasNames(t *testing.T) {
	for source, want := range map[string]func(uid string) string{
		"":                    func(uid string) string { return uid },
		"serviceaccount_uid":  func(uid string) string { return uid },
		"serviceaccount_name": func(string) string { return "apps/web" },
	} {
		t.Run(source, func(t *testing.T) {
			m := newDemo(t, nil, fields{"alias_name_source": source})
			uid := m.api.AddServiceAccount("apps", "web")
			if auth := m.mustLogin(m.token()); auth.Alias.Name != want(uid) {
				t.Errorf("the alias is %q, want %q", auth.Alias.Name, want(uid))
			}
		})
	}
}

func TestStoredAliasNameSourceThatIsUnknown(t *testing.T) {
	m := newDemo(t, nil, nil)
	m.stored("role/old", strings.Replace(vaultRole, "serviceaccount_name", "pod_name", 1))
	wantRefused(t, m.login("old", m.token()), http.StatusServiceUnavailable)
	if logged := m.logs.one(t); logged.level != hclog.Warn || logged.fields["step"] != "alias" || logged.fields["remedy"] == "" {
		t.Errorf("logged %s", logged)
	}
}

func TestAnnotationsBecomeAliasMetadata(t *testing.T) {
	const prefix = "vault.hashicorp.com/alias-metadata-"
	m := newDemo(t, fields{"use_annotations_as_alias_metadata": true}, nil)
	m.api.Annotate("apps", "web", map[string]string{
		prefix + "team": "ci", prefix + "empty": "", "other.example.com/x": "y", "vault.hashicorp.com/alias-metadata": "z",
	})
	auth := m.mustLogin(m.token())
	uid := auth.Metadata["service_account_uid"]
	wantStrings(t, "alias metadata", auth.Alias.Metadata, map[string]string{
		"team": "ci", "empty": "", "service_account_name": "web", "service_account_namespace": "apps", "service_account_uid": uid, "service_account_secret_name": "",
	})
	if auth.Metadata["team"] != "" {
		t.Errorf("the token's metadata is %v; annotations are for the alias", auth.Metadata)
	}
	m.api.Annotate("apps", "web", nil)
	if auth := m.mustLogin(m.token()); len(auth.Alias.Metadata) != 4 {
		t.Errorf("alias metadata is %v", auth.Alias.Metadata)
	}
}

// Whoever may annotate must not become somebody else.
func TestReservedAnnotations(t *testing.T) {
	const prefix = "vault.hashicorp.com/alias-metadata-"
	for _, key := range []string{"service_account_uid", "service_account_name", "service_account_namespace", "service_account_secret_name"} {
		t.Run(key, func(t *testing.T) {
			m := newDemo(t, fields{"use_annotations_as_alias_metadata": true}, nil)
			m.api.Annotate("apps", "web", map[string]string{prefix + key: "x", prefix + "team": "ci"})
			want := fmt.Sprintf(`entity alias metadata keys for only internal use found from the client token's associated service account annotations: keys=["%s"]`, key)
			if o := m.login("demo", m.token()); o.status != http.StatusBadRequest || o.message != want || o.auth != nil {
				t.Errorf("%d %s", o.status, o.message)
			}
			m.write("config", m.config(nil))
			m.mustLogin(m.token()) // annotations that are not used harm nobody
		})
	}
}

func (m *mount) lookahead(role, jwt string) outcome {
	m.t.Helper()
	return m.do(logical.AliasLookaheadOperation, "login", fields{"role": role, "jwt": jwt})
}

func TestAliasLookahead(t *testing.T) {
	m := newDemo(t, nil, fields{"alias_name_source": "serviceaccount_name"})
	o := m.lookahead("demo", m.token())
	if o.status != http.StatusOK || o.auth == nil || o.auth.Alias.Name != "apps/web" {
		t.Fatalf("%d %s, auth %+v", o.status, o.message, o.auth)
	}
	if o.auth.ClientToken != "" || len(o.auth.Policies) > 0 || len(o.auth.Metadata) > 0 || len(o.auth.Alias.Metadata) > 0 {
		t.Errorf("it tells more than the name: %+v, alias %+v", o.auth, o.auth.Alias)
	}
	for name, row := range map[string]struct {
		role, jwt string
		want      int
	}{
		"forged":         {"demo", m.token(kubetest.SignedWith(kubetest.NewECDSAKey())), http.StatusForbidden},
		"another's name": {"demo", m.token(kubetest.Subject("apps", "admin", "x"), kubetest.SignedWith(kubetest.NewECDSAKey())), http.StatusForbidden},
		"malformed":      {"demo", "x.y.z", http.StatusForbidden},
		"wrong audience": {"demo", m.token(kubetest.Audience("other")), http.StatusForbidden},
		"unknown role":   {"other", m.token(), http.StatusBadRequest},
		"no token":       {"demo", "", http.StatusBadRequest},
		"no role":        {"", m.token(), http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) { wantRefused(t, m.lookahead(row.role, row.jwt), row.want) })
	}
}

func TestRoleResolution(t *testing.T) {
	m := newDemo(t, nil, nil)
	for name, row := range map[string]struct {
		data fields
		role string
		want int
	}{
		"known":            {fields{"role": "demo"}, "demo", http.StatusOK},
		"with a token":     {fields{"role": "demo", "jwt": "x"}, "demo", http.StatusOK},
		"in another case":  {fields{"role": "Demo"}, "Demo", http.StatusOK},
		"unknown":          {fields{"role": "other"}, "", http.StatusBadRequest},
		"none":             {fields{"jwt": m.token()}, "", http.StatusBadRequest},
		"cannot be a role": {fields{"role": "../config"}, "", http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			o := m.do(logical.ResolveRoleOperation, "login", row.data)
			if got, _ := o.data["role"].(string); o.status != row.want || got != row.role {
				t.Errorf("%d, role %q; want %d, %q", o.status, got, row.want, row.role)
			}
		})
	}
	if got := m.api.Requests(); len(got) > 0 {
		t.Errorf("a request left: %s %s", got[0].Method, got[0].Path)
	}
}

func TestReviewerTrouble(t *testing.T) {
	noReviewer := fields{"token_reviewer_jwt": nil}
	const operator, client = hclog.Warn, hclog.Debug
	for name, row := range map[string]struct {
		config fields
		before func(*mount)
		token  func(*mount) string
		want   int
		level  hclog.Level
		class  string
	}{
		"reviewer deleted": {
			before: func(m *mount) { m.api.DeleteServiceAccount(kubetest.ReviewerNamespace, kubetest.ReviewerName) },
			want:   http.StatusForbidden, level: operator, class: "unauthorized",
		},
		"reviewer lost its permission": {
			before: func(m *mount) { m.api.Revoke(kubetest.ReviewerNamespace, kubetest.ReviewerName, kubetest.TokenReviews) },
			want:   http.StatusForbidden, level: operator, class: "forbidden",
		},
		"reviewer's token is garbage": {
			config: fields{"token_reviewer_jwt": "garbage"}, want: http.StatusForbidden, level: operator, class: "unauthorized",
		},
		"self-review without permission": {
			config: noReviewer, token: func(m *mount) string { return m.token(kubetest.Audience("vault", m.api.Issuer)) },
			want: http.StatusForbidden, level: client, class: "forbidden",
		},
		"self-review with a token that is not for the API": {
			config: noReviewer, before: func(m *mount) { m.api.Grant("apps", "web", kubetest.TokenReviews) },
			want: http.StatusForbidden, level: client, class: "unauthorized",
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newDemo(t, row.config, nil)
			if row.before != nil {
				row.before(m)
			}
			token := m.token()
			if row.token != nil {
				token = row.token(m)
			}
			wantRefused(t, m.login("demo", token), row.want)
			if logged := m.logs.one(t); logged.level != row.level || logged.fields["class"] != row.class || logged.fields["step"] != "token review" {
				t.Errorf("logged %s", logged)
			}
		})
	}
}

func TestSelfReviewWithPermission(t *testing.T) {
	m := newDemo(t, fields{"token_reviewer_jwt": nil, "use_annotations_as_alias_metadata": true}, fields{
		"bound_service_account_namespaces": "none", "bound_service_account_namespace_selector": "{}",
	})
	m.api.Grant("apps", "web", kubetest.TokenReviews, kubetest.Namespaces, kubetest.ServiceAccounts)
	token := m.token(kubetest.Audience("vault", m.api.Issuer))
	m.mustLogin(" " + token + "\n")
	if got := len(m.api.Requests()); got != 3 {
		t.Errorf("%d requests, want 3", got)
	}
	for _, r := range m.api.Requests() {
		if r.Bearer != token {
			t.Errorf("%s %s had another credential than the login token", r.Method, r.Path)
		}
	}
}

// The look-ups after the review: what the API server says denies, and no answer is
// no denial.
func TestLookUpsThatFail(t *testing.T) {
	for resource, row := range map[kubetest.Resource]struct {
		config, role fields
		step         string
	}{
		kubetest.Namespaces: {
			role: fields{"bound_service_account_namespaces": "none", "bound_service_account_namespace_selector": "{}"}, step: "namespace",
		},
		kubetest.ServiceAccounts: {config: fields{"use_annotations_as_alias_metadata": true}, step: "alias"},
	} {
		for name, failure := range map[string]struct {
			fault kubetest.Fault
			want  int
			class string
		}{
			"credential rejected": {kubetest.Status(http.StatusUnauthorized), http.StatusForbidden, "unauthorized"},
			"no permission":       {kubetest.Status(http.StatusForbidden), http.StatusForbidden, "forbidden"},
			"gone":                {kubetest.Status(http.StatusNotFound), http.StatusForbidden, "not found"},
			"throttled":           {kubetest.Status(http.StatusTooManyRequests), http.StatusServiceUnavailable, "throttled"},
			"server error":        {kubetest.Status(http.StatusInternalServerError), http.StatusServiceUnavailable, "server error"},
			"another kind":        {kubetest.WrongKind(), http.StatusServiceUnavailable, "unusable answer"},
			"page of a proxy":     {kubetest.HTML(http.StatusNotFound), http.StatusServiceUnavailable, "unusable answer"},
		} {
			t.Run(fmt.Sprint(resource, ", ", name), func(t *testing.T) {
				m := newDemo(t, row.config, row.role)
				m.api.Fail(failure.fault, resource)
				wantRefused(t, m.login("demo", m.token()), failure.want)
				logged := m.logs.one(t)
				if logged.level != hclog.Warn || logged.fields["class"] != failure.class || logged.fields["step"] != row.step || logged.fields["remedy"] == "" {
					t.Errorf("logged %s", logged)
				}
				m.api.Heal()
				m.mustLogin(m.token())
			})
		}
	}
}

// An outage is never reported as a denial, and ends by itself.
func TestOutages(t *testing.T) {
	for name, row := range map[string]struct {
		fault kubetest.Fault
		class string
	}{
		"throttled":                   {kubetest.Status(http.StatusTooManyRequests), "throttled"},
		"throttled for an hour":       {kubetest.RetryAfter(http.StatusTooManyRequests, 3600), "throttled"},
		"internal error":              {kubetest.Status(http.StatusInternalServerError), "server error"},
		"unavailable":                 {kubetest.Status(http.StatusServiceUnavailable), "server error"},
		"connection closed":           {kubetest.CloseConnection(), "connection"},
		"truncated":                   {kubetest.Truncate(), "connection"},
		"page of a proxy":             {kubetest.HTML(http.StatusOK), "unusable answer"},
		"login page of a proxy":       {kubetest.HTML(http.StatusUnauthorized), "unusable answer"},
		"block page of a firewall":    {kubetest.HTML(http.StatusForbidden), "unusable answer"},
		"another kind":                {kubetest.WrongKind(), "unusable answer"},
		"an empty object":             {kubetest.Text(http.StatusOK, "application/json", "{}"), "unusable answer"},
		"redirect":                    {kubetest.Redirect(http.StatusFound, "https://example.invalid"), "unusable answer"},
		"no such path":                {http.NotFound, "unusable answer"},
		"TokenReview is switched off": {kubetest.Status(http.StatusNotFound), "not found"},
		"too large":                   {kubetest.Oversize(8<<20, nil), "unusable answer"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newDemo(t, nil, nil)
			m.api.Fail(row.fault)
			wantRefused(t, m.login("demo", m.token()), http.StatusServiceUnavailable)
			logged := m.logs.one(t)
			if logged.level != hclog.Warn || logged.fields["class"] != row.class || logged.fields["outcome"] != "could not ask" || logged.fields["remedy"] == "" {
				t.Errorf("logged %s", logged)
			}
			m.api.Heal()
			m.mustLogin(m.token())
		})
	}
	t.Run("server is gone", func(t *testing.T) {
		m := newDemo(t, nil, nil)
		m.api.Close()
		wantRefused(t, m.login("demo", m.token()), http.StatusServiceUnavailable)
	})
	t.Run("another cluster's CA", func(t *testing.T) {
		m := newDemo(t, fields{"kubernetes_ca_cert": kubetest.Start(t).CAPEM}, nil)
		wantRefused(t, m.login("demo", m.token()), http.StatusServiceUnavailable)
		if logged := m.logs.one(t); logged.fields["class"] != "tls" {
			t.Errorf("logged %s", logged)
		}
	})
}

// A client that went away is no trouble of the operator's.
func TestClientGoesAway(t *testing.T) {
	m := newDemo(t, nil, nil)
	ctx, cancel := context.WithCancel(t.Context())
	m.api.Fail(func(_ http.ResponseWriter, r *http.Request) { cancel(); <-r.Context().Done() })
	_, err := m.HandleRequest(ctx, &logical.Request{
		Operation: logical.UpdateOperation, Path: "login", Data: fields{"role": "demo", "jwt": m.token()}, Storage: m.storage,
	})
	if err == nil {
		t.Error("no error")
	}
	if logged := m.logs.one(t); logged.level != hclog.Debug || logged.fields["class"] != "canceled" {
		t.Errorf("logged %s", logged)
	}
}

// A slow cluster slows its logins and nothing else.
func TestNothingWaitsForALogin(t *testing.T) {
	m := newDemo(t, nil, nil)
	entered := make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(t.Context())
	m.api.Fail(func(w http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-ctx.Done()
		kubetest.Status(http.StatusServiceUnavailable)(w, r)
	})
	var login sync.WaitGroup
	login.Go(func() { m.login("demo", m.token()) })
	<-entered
	// All of these would deadlock the test if they waited.
	m.write("role/other", m.role(nil))
	m.read("role/demo")
	m.write("config", m.config(fields{"issuer": "https://issuer"}))
	m.do(logical.PatchOperation, "config", fields{"issuer": ""})
	m.read("config")
	m.do(logical.DeleteOperation, "role/other", nil)
	m.do(logical.ResolveRoleOperation, "login", fields{"role": "demo"})
	m.InvalidateKey(t.Context(), "config")
	cancel()
	login.Wait()
}

// A storage that fails is an error, not a denial.
func TestStorageErrorsPassThrough(t *testing.T) {
	for _, key := range []string{"config", "role/"} {
		t.Run(key, func(t *testing.T) {
			m := newDemo(t, nil, nil)
			m.storage.fail(key)
			for operation, o := range map[string]outcome{
				"login":      m.login("demo", m.token()),
				"look-ahead": m.lookahead("demo", m.token()),
			} {
				if o.status != http.StatusInternalServerError || !errors.Is(o.err, errStorage) {
					t.Errorf("%s: %d %v", operation, o.status, o.err)
				}
			}
			if key == "role/" {
				if o := m.do(logical.ResolveRoleOperation, "login", fields{"role": "demo"}); !errors.Is(o.err, errStorage) {
					t.Errorf("role resolution: %d %v", o.status, o.err)
				}
			}
			m.storage.fail("")
			m.mustLogin(m.token())
		})
	}
}
