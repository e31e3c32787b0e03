package cluster

import (
	"testing"

	"vault-plugin-auth-kubernetes/internal/config"
)

// Only who asks as the same reviewer shares what is known of a cluster: a certificate is a
// credential as a token is.
func TestSharedNameIsOfTheCredential(t *testing.T) {
	names := map[string]bool{}
	for _, entry := range []config.Entry{
		{}, {TokenReviewerJWT: "a"}, {TokenReviewerJWT: "b"},
		{ClientCert: "a", ClientKey: "a"}, {ClientCert: "b", ClientKey: "a"}, {ClientCert: "a", ClientKey: "b"},
	} {
		entry.Host = "https://k8s.example"
		name := (&Options{}).sharedName(&entry, "ca")
		if names[name] {
			t.Errorf("%+v shares what another reviewer was told", entry)
		}
		names[name] = true
	}
}
