package main

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/kubetest"
)

// check says what tokens are verified by, what that needs, and what a deletion means.
func TestCheckOfVerification(t *testing.T) {
	closed := func(m *mount) { m.api.Fail(kubetest.Status(http.StatusForbidden), kubetest.SigningKeys) }
	for name, row := range map[string]struct {
		config  fields
		before  func(*mount)
		verdict string
		words   []string
	}{
		"review":                  {verdict: "skip", words: []string{"about each token"}},
		"keys":                    {config: fields{"verification": "keys"}, verdict: "pass", words: []string{"until it expires", "1h5m", "24h"}},
		"live":                    {config: fields{"verification": "live"}, verdict: "pass", words: []string{"the next login begins"}},
		"live without watch":      {config: fields{"verification": "live"}, before: func(m *mount) { m.api.Revoke(kubetest.ReviewerNamespace, kubetest.ReviewerName, kubetest.PodWatch) }, verdict: "fail", words: []string{"list pods, watch pods", "about each token"}},
		"live without a reviewer": {config: fields{"verification": "live", "token_reviewer_jwt": nil}, verdict: "fail", words: []string{"issuer"}},
		"keys without keys":       {config: fields{"verification": "keys"}, before: func(m *mount) { m.api.Fail(kubetest.Status(http.StatusForbidden), kubetest.SigningKeys) }, verdict: "fail", words: []string{"may not read", "jwks_url"}},
		"discovery closed":        {config: fields{"verification": "keys"}, before: func(m *mount) { m.api.Fail(kubetest.Status(http.StatusNotFound), kubetest.Discovery) }, verdict: "fail", words: []string{"issuer"}},
		"discovery closed, issuer set": {config: fields{"verification": "keys", "issuer": kubetest.DefaultIssuer},
			before: func(m *mount) { m.api.Fail(kubetest.Status(http.StatusNotFound), kubetest.Discovery) }, verdict: "pass"},
		"any lifetime": {config: fields{"verification": "keys", "verification_accept": "long_lived"}, verdict: "pass", words: []string{"however long"}},
		"a shorter one by the mount": {config: fields{"verification": "keys", "verification_accept": "long_lived", "max_token_lifetime": "2h"},
			verdict: "pass", words: []string{"2h0m0s after"}},
		"keys, nobody to read them": {config: fields{"verification": "keys", "token_reviewer_jwt": nil}, before: closed, verdict: "fail", words: []string{"no reviewer", "who came before"}},
		"review, nobody to read":    {config: fields{"verification": "keys_then_review", "token_reviewer_jwt": nil}, before: closed, verdict: "skip", words: []string{"reads them itself"}},
		"published nowhere": {config: fields{"verification": "keys", "jwks_url": "https://127.0.0.1:1/keys", "issuer": kubetest.DefaultIssuer},
			verdict: "fail", words: []string{"https://127.0.0.1:1/keys", "jwks_url", "jwks_ca_pem"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newDemo(t, row.config, nil)
			if row.before != nil {
				row.before(m)
			}
			wantCheck(t, m.read("check"), "verification", row.verdict, row.words...)
		})
	}
}

// What tokens have to be like where nobody is asked about them is what check compares with.
func TestCheckOfWhatKeysAskFor(t *testing.T) {
	const other = "https://other.example"
	untold := func(m *mount) { m.api.Fail(kubetest.Status(http.StatusNotFound), kubetest.Discovery) }
	rejected := func(m *mount) { m.api.Fail(kubetest.Status(http.StatusUnauthorized)) }
	rule := fields{"selector": `serviceaccount.namespace=="apps"`, "bind_type": "policy", "bind_name": "web"}
	for name, row := range map[string]struct {
		config  fields
		before  func(*mount)
		check   string
		verdict string
		words   []string
		status  int // of a login under the role demo
		review  bool
	}{
		"issuer":                  {config: fields{"verification": "keys"}, check: "issuer", verdict: "pass", words: []string{"tokens must have"}, status: http.StatusOK},
		"another issuer":          {config: fields{"verification": "keys", "issuer": other}, check: "issuer", verdict: "fail", words: []string{other, kubetest.DefaultIssuer}, status: http.StatusForbidden},
		"another issuer, live":    {config: fields{"verification": "live", "issuer": other}, check: "issuer", verdict: "warn", words: []string{other, "each token"}, status: http.StatusOK, review: true},
		"any issuer":              {config: fields{"verification": "keys", "issuer": other, "verification_accept": "any_issuer"}, check: "issuer", verdict: "pass", words: []string{"any issuer"}, status: http.StatusOK},
		"any issuer, none told":   {config: fields{"verification": "keys", "verification_accept": "any_issuer"}, before: untold, check: "issuer", verdict: "skip", words: []string{"any issuer"}, status: http.StatusOK},
		"a rejected reviewer":     {config: fields{"verification": "keys", "issuer": kubetest.DefaultIssuer}, before: rejected, check: "issuer", verdict: "skip", words: []string{"reviewer"}, status: http.StatusForbidden},
		"long-lived and unbound":  {config: fields{"verification": "keys"}, check: "token_posture", verdict: "pass", words: []string{"have to end within"}, status: http.StatusOK},
		"accepted all the same":   {config: fields{"verification": "keys", "verification_accept": "long_lived,not_pod_bound"}, check: "token_posture", verdict: "pass", words: []string{"without a pod", "without an end"}, status: http.StatusOK},
		"a role without audience": {config: fields{"verification": "keys"}, before: func(m *mount) { m.write("role/demo", fields{"audience": ""}) }, check: "configuration", verdict: "warn", words: []string{"demo", "no audience"}, status: http.StatusForbidden},
		"rules without audiences": {config: fields{"verification": "keys", "binding_rule_audiences": nil}, before: func(m *mount) { m.write("binding-rule/web", rule) }, check: "configuration", verdict: "warn", words: []string{"binding_rule_audiences"}, status: http.StatusOK},
		"rules with audiences": {config: fields{"verification": "keys", "binding_rule_audiences": "vault"}, before: func(m *mount) { m.write("binding-rule/web", rule) },
			check: "configuration", verdict: "pass", status: http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			m := newLocal(t, row.config)
			if row.before != nil {
				row.before(m)
			}
			wantCheck(t, m.read("check"), row.check, row.verdict, row.words...)
			got := m.login("demo", m.boundToken())
			if got.status != row.status {
				t.Errorf("a login: %d", got.status)
			}
			if row.review && got.auth.Metadata["verified_by"] != "review" {
				t.Errorf("verified by %q", got.auth.Metadata["verified_by"])
			}
		})
	}
}

// A login by rules without binding_rule_audiences cannot be judged by keys: there is a reason
// and a remedy, the same for a token and for a service account, and the remedy helps.
func TestRulesByKeysNeedAudiences(t *testing.T) {
	m := newLocal(t, fields{"verification": "keys", "binding_rule_audiences": nil})
	m.write("binding-rule/web", fields{"selector": `serviceaccount.namespace=="apps"`, "bind_type": "policy", "bind_name": "web"})
	jwt := m.boundToken()
	wantRefused(t, m.login("", jwt), http.StatusForbidden)
	for _, asked := range []fields{{"jwt": jwt}, {"service_account": "apps/web"}} {
		got := m.write("explain", asked).data
		if got["verdict"] != "denied" || !strings.Contains(fmt.Sprint(got["reason"]), "binding_rule_audiences") || !strings.Contains(fmt.Sprint(got["remedy"]), "binding_rule_audiences") {
			t.Errorf("%v is explained by %v: %v; remedy %v", asked, got["verdict"], got["reason"], got["remedy"])
		}
	}
	m.write("config", m.config(fields{"verification": "keys", "binding_rule_audiences": "vault"}))
	if got := m.login("", jwt); got.status != http.StatusOK {
		t.Errorf("with binding_rule_audiences: %d", got.status)
	}
}

// Whoever writes a role that can let nobody in is told.
func TestRoleWithoutAudienceByKeysWarns(t *testing.T) {
	m := newLocal(t, fields{"verification": "keys"})
	got := m.do(logical.UpdateOperation, "role/demo", fields{"audience": ""})
	if text := strings.Join(got.warnings, " "); !strings.Contains(text, "lets nobody in") || strings.Contains(text, "not required") {
		t.Errorf("the warnings are %q", got.warnings)
	}
}

// A token is the same in Vault's metadata and in the cluster's audit log, by whatever it was
// verified.
func TestMetadataIsTheSameHoweverVerified(t *testing.T) {
	var want map[string]string
	for _, way := range []string{"review", "keys", "live"} {
		m := newLocal(t, fields{"verification": way})
		jwt := m.boundToken(kubetest.Claim("jti", "0b0a"))
		if way == "live" {
			m.mustLogin(jwt)
			m.follow(t)
		}
		got := maps.Clone(m.mustLogin(jwt).Metadata)
		if by := got["verified_by"]; way != "review" && by != way {
			t.Fatalf("%s: verified by %q", way, by)
		}
		for _, own := range []string{"verified_by", "service_account_uid", "pod_uid", "node_uid"} {
			delete(got, own)
		}
		if want == nil {
			want = got
		}
		if !maps.Equal(got, want) || got["credential_id"] != "JTI=0b0a" {
			t.Errorf("%s: %v, by review %v", way, got, want)
		}
	}
}
