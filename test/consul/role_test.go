package consul

import (
	"errors"
	"net/http"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
	vault "github.com/hashicorp/vault/api"
)

// A role with use_binding_rules is an auth method to Consul's clients and an element of
// the path for who wants a lease; by both doors its own bounds have to hold, and no other
// role opens either.
func TestRolesAsAuthMethods(t *testing.T) {
	f := servers(t)
	m := f.newShop(t)
	bounds := map[string]any{"bound_service_account_names": "web", "bound_service_account_namespaces": "*"}
	m.must(t, "role/plain", bounds)
	bounds["use_binding_rules"] = true
	m.must(t, "role/webs", bounds)
	for _, row := range []struct {
		name, method, account string
		refusal               string // of a login as at a Consul; none where a token is given
		status                int    // of the same with a lease
	}{
		{name: "within its bounds", method: "webs", account: "prod/web"},
		{name: "outside of its bounds, where rules grant something", method: "webs", account: "prod/api", refusal: "Permission denied", status: http.StatusForbidden},
		{name: "the rules themselves have no such bounds", method: "kubernetes", account: "prod/api"},
		{name: "within its bounds, where no rule grants anything", method: "webs", account: "staging/web", refusal: "Permission denied", status: http.StatusForbidden},
		{name: "a role without use_binding_rules", method: "plain", account: "prod/web", refusal: "ACL not found", status: http.StatusBadRequest},
		{name: "no role", method: "none", account: "prod/web", refusal: "ACL not found", status: http.StatusBadRequest},
	} {
		t.Run(row.name, func(t *testing.T) {
			before := len(f.minted(t))
			jwt := f.accounts[row.account].jwt
			token, _, err := m.client.ACL().Login(&consul.ACLLoginParams{AuthMethod: row.method, BearerToken: jwt}, nil)
			secret, leaseErr := f.vault.Logical().WriteWithContext(t.Context(), m.path+"/consul/token/"+row.method, map[string]any{"jwt": jwt})
			if row.refusal != "" {
				var ofConsul consul.StatusError
				if !errors.As(err, &ofConsul) || ofConsul.Code != http.StatusForbidden || ofConsul.Body != row.refusal {
					t.Errorf("as at a Consul: %v", err)
				}
				var ofVault *vault.ResponseError
				if !errors.As(leaseErr, &ofVault) || ofVault.StatusCode != row.status {
					t.Errorf("with a lease: %v", leaseErr)
				}
				if after := len(f.minted(t)); after != before {
					t.Errorf("refused, and Consul has %d tokens more", after-before)
				}
				return
			}
			if err != nil || leaseErr != nil {
				t.Fatalf("as at a Consul: %v; with a lease: %v", err, leaseErr)
			}
			if token.AuthMethod != row.method {
				t.Errorf("the token is of the method %q", token.AuthMethod)
			}
			f.readBack(t, token)
			f.wantAlive(t, secret, true, "with a lease")
			if err := f.vault.Sys().RevokeWithContext(t.Context(), secret.LeaseID); err != nil {
				t.Error(err)
			}
			f.awaitGone(t, secret, 10*time.Second, "revoked")
		})
	}
}
