package token

import (
	"slices"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/internal/kubetest"
)

func TestUnverifiedTied(t *testing.T) {
	key := kubetest.NewECDSAKey()
	own := func(more map[string]any) kubetest.Change {
		claims := map[string]any{"namespace": "apps", "serviceaccount": map[string]any{"name": "web", "uid": "u"}}
		for name, value := range more {
			claims[name] = value
		}
		return kubetest.Claim("kubernetes.io", claims)
	}
	object := func(name string) map[string]any { return map[string]any{"name": name, "uid": "u"} }
	for name, row := range map[string]struct {
		token   string
		account string
		to      []string
	}{
		"bound to nothing":     {draft(key).Sign(own(nil)), "apps/web", nil},
		"bound to a pod":       {draft(key).Sign(own(map[string]any{"pod": object("web-1"), "node": object("n1")})), "apps/web", []string{`pod "web-1"`}},
		"bound to a node":      {draft(key).Sign(own(map[string]any{"node": object("n1")})), "apps/web", []string{`node "n1"`}},
		"bound to a secret":    {draft(key).Sign(own(map[string]any{"secret": object("s")})), "apps/web", []string{`secret "s"`}},
		"from a secret":        {legacyDraft(key).Sign(), "apps/web", []string{`secret "web-token"`}},
		"claims of other kind": {draft(key).Sign(kubetest.Claim("kubernetes.io", []int{1})), "/", nil},
	} {
		t.Run(name, func(t *testing.T) {
			parsed, err := Parse(row.token)
			if err != nil {
				t.Fatal(err)
			}
			got := parsed.UnverifiedTied()
			if got.Namespace+"/"+got.Account != row.account || !slices.Equal(got.To, row.to) {
				t.Errorf("got %+v", got)
			}
		})
	}
	later := time.Now().Add(time.Hour).Truncate(time.Second)
	parsed, err := Parse(draft(key).Sign(kubetest.Claim("nbf", later.Unix())))
	if err != nil || !parsed.UnverifiedTied().From.Equal(later) {
		t.Errorf("good from %v (%v), want %v", parsed.UnverifiedTied().From, err, later)
	}
}
