package faults

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestEndlessAnswer streams a gigabyte of JSON to each of some logins at a time.
// The plugin must neither keep it nor read it to its end.
func TestEndlessAnswer(t *testing.T) {
	const size, logins = 1 << 30, 8
	var sent atomic.Int64
	chunk := bytes.Repeat([]byte("x"), 1<<16)
	api := newFakeAPI(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","status":{"error":"`)
		for total := 0; total < size; total += len(chunk) {
			n, err := w.Write(chunk)
			sent.Add(int64(n))
			if err != nil {
				return // nobody listens any more
			}
		}
	})
	m := newMount(t)
	m.configure(t, api.url, api.caPEM)
	token := kube.newToken(t)
	if a := m.login(t, token); a.status != http.StatusServiceUnavailable { // so that the plugin has its usual size
		t.Fatalf("want a 503, got %v", a)
	}

	before := pluginOf(t, bed.Vault.PID)
	sent.Store(0)
	var clients sync.WaitGroup
	for range logins {
		clients.Go(func() {
			a := m.login(t, token)
			if a.status != http.StatusServiceUnavailable || strings.TrimSpace(a.body) != unavailableBody {
				t.Errorf("want 503 %s, got %v", unavailableBody, a)
			}
		})
	}
	clients.Wait()
	after := look(t, before.pid)
	t.Logf("%d MiB were sent to %d logins; before: %v; after: %v", sent.Load()>>20, logins, before, after)
	// One answer is cut at 4 MiB, and what holds it doubles as it grows.
	if grown := (after.peakKiB - before.rssKiB) >> 10; grown > logins*16 {
		t.Errorf("the plugin's memory grew by %d MiB at its peak", grown)
	}
	if sent.Load() > logins*(16<<20) {
		t.Errorf("the plugin took %d MiB", sent.Load()>>20)
	}
	checkLog(t, m, answerRow{
		status: http.StatusServiceUnavailable, outcome: "could not ask", class: "unusable answer", reason: "longer than 4 MiB", remedy: checkIsAPI,
	}, token)
	if a := m.login(t, token); a.took > allowed(t, 5*time.Second) {
		t.Errorf("a login took %v", a.took)
	}
}
