package token_test

import (
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/internal/kubetest"
	"vault-plugin-auth-kubernetes/internal/token"
)

// What a token says of its kind, as far as it is of the form that Kubernetes gives it.
func TestUnverifiedKind(t *testing.T) {
	api := kubetest.Start(t)
	uid := api.AddServiceAccount("apps", "web")
	api.AddPod("apps", "web-1", "node-1")
	for name, row := range map[string]struct {
		jwt                       string
		lifetime                  time.Duration
		endless, legacy, pod, own bool
	}{
		"projected":                {jwt: api.Token("apps", "web", api.BoundToPod("web-1")), lifetime: time.Hour, pod: true, own: true},
		"of TokenRequest":          {jwt: api.Token("apps", "web"), lifetime: time.Hour, own: true},
		"of a node":                {jwt: api.Token("apps", "web", api.BoundToNode("n")), lifetime: time.Hour, own: true},
		"of a secret":              {jwt: api.LegacyToken("apps", "web", "s"), endless: true, legacy: true, own: true},
		"of another account":       {jwt: api.Token("apps", "db"), lifetime: time.Hour},
		"without an end":           {jwt: api.Token("apps", "web", kubetest.WithoutClaim("exp")), endless: true, own: true},
		"without a beginning":      {jwt: api.Token("apps", "web", kubetest.WithoutClaim("iat")), own: true},
		"null for a beginning":     {jwt: api.Token("apps", "web", kubetest.Claim("iat", nil)), own: true},
		"words for a beginning":    {jwt: api.Token("apps", "web", kubetest.Claim("iat", "today")), own: true},
		"ends before it begins":    {jwt: api.Token("apps", "web", kubetest.Claim("iat", time.Now().Add(9*time.Hour).Unix())), own: true},
		"no word of Kubernetes":    {jwt: api.Token("apps", "web", kubetest.WithoutClaim("kubernetes.io")), lifetime: time.Hour},
		"a list for Kubernetes":    {jwt: api.Token("apps", "web", kubetest.Claim("kubernetes.io", []string{"apps"})), lifetime: time.Hour},
		"nothing of the account":   {jwt: api.Token("apps", "web", kubetest.Claim("kubernetes.io", map[string]any{"namespace": "apps"})), lifetime: time.Hour},
		"a list for the account":   {jwt: api.Token("apps", "web", kubetest.Claim("kubernetes.io", map[string]any{"namespace": "apps", "serviceaccount": []int{1}})), lifetime: time.Hour},
		"claims of both are there": {jwt: api.Token("apps", "web", kubetest.Claim("kubernetes.io/serviceaccount/secret.name", "s")), lifetime: time.Hour, legacy: true},
	} {
		parsed, err := token.Parse(row.jwt)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		k := parsed.UnverifiedKind()
		if k.Lifetime != row.lifetime || k.Endless != row.endless || k.Legacy != row.legacy || k.PodBound != row.pod || k.IsOf("apps", "web", uid) != row.own {
			t.Errorf("%s: %+v, of the account: %t", name, k, k.IsOf("apps", "web", uid))
		}
		if k.IsOf("", "", "") || k.IsOf("apps", "web", "") {
			t.Errorf("%s: it is of an account without a name", name)
		}
	}
}
