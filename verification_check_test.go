package main

import (
	"net/http"
	"testing"

	"vault-plugin-auth-kubernetes/internal/kubetest"
)

// check says what tokens are verified by, what that needs, and what a deletion means.
func TestCheckOfVerification(t *testing.T) {
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
