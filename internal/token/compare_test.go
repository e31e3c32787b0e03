package token

import (
	"testing"

	"vault-plugin-auth-kubernetes/internal/kubetest"
)

func TestKeysIn(t *testing.T) {
	a, b, c := kubetest.NewECDSAKey(), kubetest.NewECDSAKey(), kubetest.NewRSAKey()
	all := keysOf(t, a.PublicPEM(), b.CertificatePEM(), c.PublicPEM())
	for name, row := range map[string]struct {
		keys Keys
		want int
	}{
		"none":                       {Keys{}, 0},
		"one":                        {keysOf(t, b.PublicPEM()), 1},
		"one, as a certificate":      {keysOf(t, a.CertificatePEM()), 1},
		"a stranger":                 {keysOf(t, kubetest.NewECDSAKey().PublicPEM()), 0},
		"one of another kind":        {keysOf(t, c.PublicPEM()), 1},
		"some, and a stranger":       {keysOf(t, a.PublicPEM(), c.PublicPEM(), kubetest.NewRSAKey().PublicPEM()), 2},
		"the same one several times": {keysOf(t, a.PublicPEM(), a.PublicPEM()), 2},
	} {
		if got := row.keys.In(all); got != row.want {
			t.Errorf("%s: %d of %d keys, want %d", name, got, row.keys.Len(), row.want)
		}
	}
}
