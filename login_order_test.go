package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"vault-plugin-auth-kubernetes/internal/kubetest"
)

// strict is a configuration in which a token is checked in every way before the
// API server is asked.
func (m *mount) strict() fields {
	return m.config(fields{
		"pem_keys":               []string{m.api.ECDSAKey().PublicPEM()},
		"issuer":                 m.api.Issuer,
		"disable_iss_validation": false,
	})
}

// Tokens that are refused for what they are: no request leaves, and the step that
// refused is the one that had to.
func TestNoRequestLeavesFor(t *testing.T) {
	stranger := kubetest.NewECDSAKey()
	for name, row := range map[string]struct {
		token func(*mount) string
		step  string
	}{
		"garbage": {func(*mount) string { return "garbage" }, "token form"},
		"space":   {func(*mount) string { return " " }, "token form"},
		"a MiB":   {func(*mount) string { return strings.Repeat("A", 1<<20) }, "token form"},
		"an unsigned token": {func(m *mount) string {
			return kubetest.Forge(fields{"alg": "none"}, fields{"aud": "vault"}, []byte("x"))
		}, "token form"},
		"the public key as a shared secret": {func(m *mount) string {
			return m.token(kubetest.SignedWith(kubetest.SharedSecret(m.api.ECDSAKey().PublicPEM())))
		}, "token form"},
		"an expired token":       {func(m *mount) string { return m.token(kubetest.Expiry(time.Now().Add(-time.Hour))) }, "unverified claims"},
		"a token of tomorrow":    {func(m *mount) string { return m.token(kubetest.Claim("nbf", time.Now().Add(24*time.Hour).Unix())) }, "unverified claims"},
		"a wrong audience":       {func(m *mount) string { return m.token(kubetest.Audience("other")) }, "unverified claims"},
		"no audience":            {func(m *mount) string { return m.token(kubetest.WithoutClaim("aud")) }, "unverified claims"},
		"a wrong issuer":         {func(m *mount) string { return m.token(kubetest.Claim("iss", "https://example.com")) }, "unverified claims"},
		"no issuer":              {func(m *mount) string { return m.token(kubetest.WithoutClaim("iss")) }, "unverified claims"},
		"a stranger's signature": {func(m *mount) string { return m.token(kubetest.SignedWith(stranger)) }, "signature"},
		"a changed claim": {func(m *mount) string {
			good, forged := strings.Split(m.token(), "."), strings.Split(m.token(kubetest.Claim("jti", "x")), ".")
			return good[0] + "." + forged[1] + "." + good[2]
		}, "signature"},
		"a key of another type": {func(m *mount) string { return m.token(kubetest.SignedWith(m.api.RSAKey())) }, "signature"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			m.write("config", m.strict())
			m.write("role/demo", m.role(fields{"bound_service_account_namespace_selector": selectorOfCI}))
			wantRefused(t, m.login("demo", row.token(m)), http.StatusForbidden)
			if requests := m.api.Requests(); len(requests) > 0 {
				t.Errorf("a request left: %s %s", requests[0].Method, requests[0].Path)
			}
			if logged := m.logs.One(t); logged.Fields["step"] != row.step || logged.Fields["outcome"] != "denied" || logged.Level != hclog.Debug {
				t.Errorf("logged %s, want the step %q", logged, row.step)
			}
			wantAgreement(t, m, fields{"role": "demo", "jwt": row.token(m)})
			if requests := m.api.Requests(); len(requests) > 0 {
				t.Errorf("explaining it made a request: %s %s", requests[0].Method, requests[0].Path)
			}
		})
	}
}

// The same mount lets the right token in, so the rows above fail for their reason.
func TestStrictConfigurationAllows(t *testing.T) {
	m := newMount(t)
	m.write("config", m.strict())
	m.write("role/demo", m.role(nil))
	m.mustLogin(m.token())
	m.write("config", merge(m.strict(), fields{"pem_keys": []string{m.api.ECDSAKey().CertificatePEM(), m.api.RSAKey().PublicPEM()}}))
	m.mustLogin(m.token(kubetest.SignedWith(m.api.RSAKey())))
	m.mustLogin(m.token())
}

func TestSourceAddressComesFirst(t *testing.T) {
	m := newDemo(t, nil, fields{"token_bound_cidrs": "203.0.113.0/24"})
	wantRefused(t, m.login("demo", m.token()), http.StatusForbidden)
	if logged := m.logs.One(t); logged.Fields["step"] != "source address" {
		t.Errorf("logged %s", logged)
	}
	if requests := m.api.Requests(); len(requests) > 0 {
		t.Errorf("a request left: %s %s", requests[0].Method, requests[0].Path)
	}
	m.write("role/demo", fields{"token_bound_cidrs": "192.0.2.0/24"})
	if auth := m.mustLogin(m.token()); len(auth.BoundCIDRs) != 1 {
		t.Errorf("the token is bound to %v", auth.BoundCIDRs)
	}
}

// Tokens that only the API server can tell are wrong cost one TokenReview, and no
// other request, whatever the role and the configuration would look up.
func TestForgedTokenCostsOneReview(t *testing.T) {
	stranger := kubetest.NewECDSAKey()
	for name, changes := range map[string][]kubetest.Change{
		"a stranger's signature":                           {kubetest.SignedWith(stranger)},
		"another account's name":                           {kubetest.Subject("apps", "admin", "uid"), kubetest.SignedWith(stranger)},
		"namespace leaves the path":                        {kubetest.Subject("../../../apis/x", "web", "uid"), kubetest.SignedWith(stranger)},
		"namespace leaves the path, with a good signature": {kubetest.Subject("../../../apis/x", "web", "uid")},
		"name leaves the path":                             {kubetest.Subject("apps", "../../secrets/x", "uid")},
		"namespace is a query":                             {kubetest.Subject("apps?fieldSelector=x", "web", "uid")},
		"namespace is escaped":                             {kubetest.Subject("%2e%2e%2f", "web", "uid")},
		"wildcards":                                        {kubetest.Subject("*", "*", "uid")},
		"nobody":                                           {kubetest.Subject("", "", "")},
		"a stale uid":                                      {kubetest.Subject("apps", "web", "uid-of-a-predecessor")},
	} {
		t.Run(name, func(t *testing.T) {
			m := newDemo(t, fields{"use_annotations_as_alias_metadata": true}, fields{
				"bound_service_account_names":              "*",
				"bound_service_account_namespaces":         "none",
				"bound_service_account_namespace_selector": "{}",
			})
			wantRefused(t, m.login("demo", m.token(changes...)), http.StatusForbidden)
			for _, r := range m.api.Requests() {
				if r.Path != "/apis/authentication.k8s.io/v1/tokenreviews" {
					t.Errorf("a request left: %s %s", r.Method, r.Path)
				}
			}
			if got := len(m.api.Requests()); got != 1 {
				t.Errorf("%d requests, want 1", got)
			}
			if logged := m.logs.One(t); logged.Fields["step"] != "token review" || logged.Fields["outcome"] != "denied" || logged.Level != hclog.Debug {
				t.Errorf("logged %s", logged)
			}
			wantAgreement(t, m, fields{"role": "demo", "jwt": m.token(changes...)})
			if got := m.api.Count(kubetest.TokenReviews); got != len(m.api.Requests()) {
				t.Errorf("explaining it asked for more than reviews: %+v", m.api.Requests())
			}
		})
	}
}

// An API server that is itself misled, or a webhook behind it, cannot make the
// plugin use a name in a path that is none.
func TestReviewWithNamesThatAreNone(t *testing.T) {
	for _, username := range []string{
		"system:serviceaccount:../../../apis/x:web", "system:serviceaccount:apps:../secrets", "system:serviceaccount:apps", "system:node:x", "jane", "",
	} {
		t.Run(username, func(t *testing.T) {
			m := newDemo(t, fields{"use_annotations_as_alias_metadata": true}, fields{
				"bound_service_account_names":              "*",
				"bound_service_account_namespaces":         "none",
				"bound_service_account_namespace_selector": "{}",
			})
			m.api.OnReview(setUsername(username))
			wantRefused(t, m.login("demo", m.token()), http.StatusForbidden)
			if got := len(m.api.Requests()); got != 1 {
				t.Errorf("%d requests, want 1: %+v", got, m.api.Requests())
			}
		})
	}
}
