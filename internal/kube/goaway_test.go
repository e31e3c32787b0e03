package kube_test

import (
	"sync"
	"testing"

	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/kubetest"
)

// kube-apiserver ends the connection of each request with a credential that it rejects.
// Those that share the connection are told of the credential all the same, in at most two
// requests each, and none of them looks like an API server that cannot be reached.
func TestRejectedCredentialIsNoOutage(t *testing.T) {
	s := kubetest.Start(t)
	c, meter, _ := metered(t, s, credential("of.another.cluster"))
	const rounds, atOnce = 12, 16
	for range rounds {
		var together sync.WaitGroup
		for range atOnce {
			together.Go(func() {
				_, err := c.ReviewToken(t.Context(), loginToken, nil)
				wantFailure(t, err, kube.Unauthorized)
			})
		}
		together.Wait()
	}
	if sent := meter.Sent.Load(); sent > 2*rounds*atOnce {
		t.Errorf("%d requests for %d reviews", sent, rounds*atOnce)
	}
	if c.State().Circuit.Down {
		t.Error("the API server counts as down, and it answered")
	}
}
