package main

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"
	authv1 "k8s.io/api/authentication/v1"

	"vault-plugin-auth-kubernetes/internal/kubetest"
	"vault-plugin-auth-kubernetes/internal/role"
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
	auth := m.mustLogin(m.token(kubetest.Claim("jti", "j")))
	wantStrings(t, "metadata", auth.Metadata, map[string]string{
		"role": "demo", "credential_id": "JTI=j", "service_account_name": "web", "service_account_namespace": "apps", "service_account_uid": uid, "service_account_secret_name": "",
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
	if lines := m.logs.Take(); len(lines) > 0 {
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
		"role that is absurdly long":  {fields{"role": strings.Repeat("a", role.MaxNameBytes+1), "jwt": m.token()}, "invalid role name"},
		"token and role interchanged": {fields{"role": m.token(), "jwt": "demo"}, "invalid role name"},
	} {
		t.Run(name, func(t *testing.T) {
			o := m.do(logical.UpdateOperation, "login", row.data)
			if o.status != http.StatusBadRequest || !strings.HasPrefix(o.message, row.words) {
				t.Errorf("%d %s, want 400 %s", o.status, o.message, row.words)
			}
			if logged := m.logs.One(t); logged.Level != hclog.Debug || logged.Fields["outcome"] != "invalid" || logged.Fields["role"] != "" {
				t.Errorf("logged %s", logged)
			}
			wantAgreement(t, m, row.data)
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
	auth := m.mustLogin(m.token(kubetest.Claim("jti", "j")))
	if auth.Alias.Name != "reviewed/real" || auth.DisplayName != "reviewed-real" {
		t.Errorf("alias %q, display name %q", auth.Alias.Name, auth.DisplayName)
	}
	want := map[string]string{
		"service_account_name": "real", "service_account_namespace": "reviewed", "service_account_uid": uid, "service_account_secret_name": "",
	}
	wantStrings(t, "alias metadata", auth.Alias.Metadata, withPair(want, "from", "real"))
	wantStrings(t, "metadata", auth.Metadata, withPair(withPair(want, "role", "demo"), "credential_id", "JTI=j"))
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
		"expired beyond the API server's leeway, within the plugin's own": func(m *mount) string { return m.token(kubetest.Expiry(time.Now().Add(-2 * time.Minute))) },
	} {
		t.Run(name, func(t *testing.T) {
			m := newDemo(t, nil, nil)
			token := void(m)
			m.api.Forget()
			wantRefused(t, m.login("demo", token), http.StatusForbidden)
			if got := m.api.Count(kubetest.TokenReviews); got != 1 {
				t.Errorf("%d reviews, want 1", got)
			}
			if logged := m.logs.One(t); logged.Level != hclog.Debug {
				t.Errorf("logged %s", logged)
			}
			wantAgreement(t, m, fields{"role": "demo", "jwt": token})
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
	if logged := m.logs.One(t); logged.Level != hclog.Warn || logged.Fields["step"] != "alias" || logged.Fields["remedy"] == "" {
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

// The host asks for the role by itself, and only compares the name with those that have
// quotas: one that no role has is as good as none.
func TestRoleResolution(t *testing.T) {
	m := newDemo(t, nil, nil)
	m.mustLogin(m.token()) // so that the configuration was read
	m.api.Forget()
	m.storage.reads.Store(0)
	for name, row := range map[string]struct {
		data fields
		role string
	}{
		"known":            {fields{"role": "demo"}, "demo"},
		"with a token":     {fields{"role": "demo", "jwt": "x"}, "demo"},
		"in another case":  {fields{"role": "Demo"}, "demo"},
		"unknown":          {fields{"role": "other"}, "other"},
		"none":             {fields{"jwt": m.token()}, ""},
		"a number":         {fields{"role": 5}, "5"},
		"cannot be a role": {fields{"role": "../config"}, "../config"},
	} {
		t.Run(name, func(t *testing.T) {
			o := m.do(logical.ResolveRoleOperation, "login", row.data)
			if got, _ := o.data["role"].(string); o.status != http.StatusOK || got != row.role {
				t.Errorf("%d, role %q; want %q", o.status, got, row.role)
			}
		})
	}
	if reads := m.storage.reads.Load(); reads > 0 {
		t.Errorf("%d reads of storage", reads)
	}
	if got := m.api.Requests(); len(got) > 0 {
		t.Errorf("a request left: %s %s", got[0].Method, got[0].Path)
	}
}

// What is answered is never as long as what was asked; names that could be one are
// answered in Vault's words.
func TestLongRoleName(t *testing.T) {
	m := newDemo(t, nil, nil)
	for _, name := range []string{strings.Repeat("a", 200<<10), strings.Repeat("\x00", 200<<10), strings.Repeat("a", role.MaxNameBytes+1), "eyJ" + strings.Repeat("a", 200<<10)} {
		for what, operation := range map[string]struct {
			operation logical.Operation
			path      string
		}{
			"login": {logical.UpdateOperation, "login"}, "look-ahead": {logical.AliasLookaheadOperation, "login"},
			"resolve role": {logical.ResolveRoleOperation, "login"}, "explain": {logical.UpdateOperation, "explain"},
		} {
			o := m.do(operation.operation, operation.path, fields{"role": name, "jwt": m.token()})
			if size := len(fmt.Sprint(o)); size > 4<<10 {
				t.Errorf("%s: answered with %d bytes", what, size)
			}
			if login := what == "login" || what == "look-ahead"; login && (o.status != http.StatusBadRequest || o.message != "invalid role name: it has more than 512 bytes") {
				t.Errorf("%s: %d %s", what, o.status, o.message)
			}
			for _, line := range m.logs.Take() {
				if len(fmt.Sprint(line)) > 4<<10 {
					t.Errorf("%s: a line of %d bytes is logged", what, len(fmt.Sprint(line)))
				}
			}
		}
	}
	name := strings.Repeat("a", role.MaxNameBytes)
	if o := m.login(name, m.token()); o.status != http.StatusBadRequest || o.message != fmt.Sprintf("invalid role name %q", name) {
		t.Errorf("%d %s", o.status, o.message)
	}
}
