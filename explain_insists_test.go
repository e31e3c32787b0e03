package main

import (
	"net/http"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/kubetest"
)

// Whoever wants to know what is wrong asks the API server whatever is known of it, by each
// way to explain.
func TestExplainAsksWhateverIsKnown(t *testing.T) {
	c := newConsulMount(t, nil)
	c.rule("labels", `serviceaccount.labels.tier == "front"`, "policy", "front") // which has to be looked at
	c.api.Fail(kubetest.ResetStream())
	for range 5 { // as many as it takes to be down
		wantRefused(t, c.login("", c.jwt), http.StatusServiceUnavailable)
	}
	for name, question := range map[string]fields{
		"a login":         {"jwt": c.jwt},
		"a Consul token":  {"jwt": c.jwt, "consul": true},
		"without a token": {"service_account": "apps/web"},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(c.api.Requests())
			if o := c.do(logical.UpdateOperation, "explain", question); o.status >= http.StatusBadRequest {
				t.Fatalf("explain: %v", o)
			}
			if len(c.api.Requests()) == before {
				t.Error("it did not ask the API server, which was down a moment ago")
			}
		})
	}
}
