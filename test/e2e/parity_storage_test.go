package e2e

import (
	"net/http"
	"reflect"
	"strings"
	"testing"

	"vault-plugin-auth-kubernetes/test/testbed"
)

// TestSwitchInPlace switches a mount of Vault's own method to this plugin and back
// without writing anything anew: each reads what the other has stored, and takes
// care of the tokens that the other has issued.
func TestSwitchInPlace(t *testing.T) {
	t.Parallel()
	c := mainCluster(t)
	server := newServer(t)
	m := server.newBuiltinMount(t)
	builtin := server.builtinVersion(t)
	server.registerAsKubernetes(t)
	a := c.newAccount(t, c.newNamespace(t, map[string]string{"team": "a", "generation": "1"}), "app", nil)
	s := &switched{mount: m, tokens: map[string]string{}, jwt: c.newToken(t, a, audience)}

	m.must(t, http.MethodPost, "config", with(c.config(), fields{
		"pem_keys":               []string{c.SigningPublicKeyPEM, pemFixtures().ecdsa},
		"issuer":                 c.Issuer,
		"disable_iss_validation": false,
	}))
	for name, role := range storedRoles(a) {
		m.must(t, http.MethodPost, "role/"+name, role)
	}
	before := s.readAll(t)
	s.use(t, before, "with the built-in")

	s.switchTo(t, bed.PluginVersion)
	s.expect(t, before, "after the switch to this plugin")
	s.use(t, before, "with this plugin")
	// Both kinds of entry once more, written by this plugin.
	m.must(t, http.MethodPost, "role/from-plugin", storedRoles(a)["every"])
	m.must(t, http.MethodPost, "role/old", fields{"ttl": "11m"})
	m.must(t, http.MethodPost, "config", with(c.config(), fields{"issuer": "https://unused"}))
	written := s.readAll(t)
	if len(written) != len(before)+1 || reflect.DeepEqual(written["role/old"], before["role/old"]) {
		t.Fatalf("what this plugin wrote does not show: %v", compact(written))
	}
	s.use(t, written, "with entries of this plugin")

	s.switchTo(t, builtin)
	s.expect(t, written, "after the switch back")
	s.use(t, written, "with the built-in again")
}

// registerAsKubernetes gives this plugin the name of Vault's own method, beside it
// and with a version.
func (s server) registerAsKubernetes(t *testing.T) {
	t.Helper()
	s.must(t, http.MethodPost, "sys/plugins/catalog/auth/kubernetes", fields{
		"command": testbed.PluginName, "sha256": bed.PluginSHA256, "version": bed.PluginVersion,
	})
}

// storedRoles are roles with all fields, of today and of old.
func storedRoles(a account) map[string]fields {
	bound := fields{"bound_service_account_names": a.name, "bound_service_account_namespaces": a.namespace, "audience": audience}
	return map[string]fields{
		"least": bound,
		"every": with(bound, fields{
			selectorField:             `{"matchLabels":{"team":"a"}}`,
			"alias_name_source":       "serviceaccount_name",
			"token_bound_cidrs":       "127.0.0.0/8",
			"token_explicit_max_ttl":  "3h",
			"token_max_ttl":           "2h",
			"token_no_default_policy": true,
			"token_policies":          "new",
			"token_ttl":               "10m",
			"token_type":              "service",
		}),
		"batch":    with(bound, fields{"token_type": "batch", "token_ttl": "10m"}),
		"periodic": with(bound, fields{"token_period": "10m"}),
		"selected": with(bound, fields{"bound_service_account_namespaces": nil, selectorField: "matchLabels:\n  team: a\n"}),
		// In YAML the label's value is a number, which Vault's own method takes.
		"selected-number": with(bound, fields{"bound_service_account_namespaces": nil, selectorField: "matchLabels:\n  generation: 1\n"}),
		"old": with(bound, fields{
			"audience": nil, "policies": "a,b", "ttl": "10m", "max_ttl": "2h", "bound_cidrs": "127.0.0.0/8",
		}),
		"old-uses":   with(bound, fields{"num_uses": 5}),
		"old-period": with(bound, fields{"period": "10m"}),
		"Upper.Case": bound,
	}
}

// switched is a mount on its way.
type switched struct {
	mount  mount
	jwt    string
	tokens map[string]string // by what they are; each has been issued by one method or the other
}

func (s *switched) switchTo(t *testing.T, version string) {
	t.Helper()
	path, server := "sys/auth/"+s.mount.path, s.mount.server
	server.must(t, http.MethodPost, path+"/tune", fields{"plugin_version": version})
	server.must(t, http.MethodPut, "sys/plugins/reload/backend", fields{"mounts": "auth/" + s.mount.path + "/"})
	if running := server.must(t, http.MethodGet, path, nil).data()["running_plugin_version"]; running != version {
		t.Fatalf("the mount runs version %v, want %s", running, version)
	}
}

// readAll reads everything that the mount has, by path.
func (s *switched) readAll(t *testing.T) map[string]any {
	t.Helper()
	all := map[string]any{"config": neutral(t, s.mount, s.mount.must(t, http.MethodGet, "config", nil)).data()}
	for _, name := range stringsOf(s.mount.must(t, "LIST", "role", nil).data()["keys"]) {
		all["role/"+name] = neutral(t, s.mount, s.mount.must(t, http.MethodGet, "role/"+name, nil)).data()
	}
	return all
}

// expect compares everything that the mount has.
func (s *switched) expect(t *testing.T, want map[string]any, when string) {
	t.Helper()
	got := s.readAll(t)
	for path := range with(want, got) {
		if !reflect.DeepEqual(got[path], want[path]) {
			t.Errorf("%s, %s is\n%s\nand was\n%s", when, path, compact(got[path]), compact(want[path]))
		}
	}
}

// use logs in under each role, and renews what can be renewed of all tokens there
// are so far.
func (s *switched) use(t *testing.T, entries map[string]any, when string) {
	t.Helper()
	for path := range entries {
		role, isRole := strings.CutPrefix(path, "role/")
		if !isRole {
			continue
		}
		a := s.mount.login(t, fields{"role": role, "jwt": s.jwt})
		if a.Status != http.StatusOK {
			t.Errorf("login %s as %s: %v", when, role, a)
			continue
		}
		token := secret("Vault token", a.auth()["client_token"].(string))
		if a.auth()["renewable"] == true && a.auth()["num_uses"] == 0.0 {
			s.tokens[when+" as "+role] = token
		}
	}
	for what, token := range s.tokens {
		if a := s.mount.server.renew(t, token, 0); a.Status != http.StatusOK {
			t.Errorf("%s, renewal of the token from %s: %v", when, what, a)
		}
	}
}
