package faults

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestRoleWriteRate has an import, a Terraform run, or some operators at a time, write
// roles: with this plugin and with Vault's own method in turn. The figure is for
// people; what is asserted is only that writers of different roles do not wait for
// each other as if there were one.
func TestRoleWriteRate(t *testing.T) {
	const writers, bound = 8, 3
	v := newVault(t, nil)
	api := newFakeAPI(t, vouches)
	methods := []string{ours, builtIn}
	mounts, rates := map[string]mount{}, map[string][]float64{}
	for _, method := range methods {
		mounts[method] = newMountIn(t, v, method, api)
		mounts[method].writeRoles(t, writers, time.Second) // each role is there, and all is warm
	}
	for range scaled(3, 5, 9) {
		for _, method := range methods {
			rates[method] = append(rates[method], mounts[method].writeRoles(t, writers, scaled(time.Second, 2*time.Second, 5*time.Second)))
		}
		slices.Reverse(methods)
	}
	ratio := median(rates[builtIn]) / median(rates[ours])
	t.Logf("%d writers, roles written a second: %s %.0f, %s %.0f (medians of %d rounds); the latter is %.2f times the former",
		writers, ours, median(rates[ours]), builtIn, median(rates[builtIn]), len(rates[ours]), ratio)
	if ratio > bound {
		t.Errorf("Vault's own method writes %.1f times as many roles", ratio)
	}
}

// writeRoles returns how many a second some writers manage, each of roles of its own.
func (m mount) writeRoles(t *testing.T, writers int, d time.Duration) float64 {
	t.Helper()
	var group sync.WaitGroup
	var written atomic.Int64
	began := time.Now()
	for w := range writers {
		group.Go(func() {
			for n := 0; time.Since(began) < d; n++ {
				a, err := m.send(request{http.MethodPost, fmt.Sprintf("role/w%d-%02d", w, n%50), role()})
				if err != nil || a.status >= http.StatusBadRequest {
					t.Errorf("write a role: %v, %v", a, err)
					return
				}
				written.Add(1)
			}
		})
	}
	group.Wait()
	return float64(written.Load()) / time.Since(began).Seconds()
}

func median(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}
