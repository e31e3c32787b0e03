package main

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/kubetest"
	"vault-plugin-auth-kubernetes/internal/serve"
	"vault-plugin-auth-kubernetes/internal/upstream"
)

// held is how many logins are held back.
func (m *mount) held() int {
	m.t.Helper()
	c, _ := m.cluster.Peek()
	if c == nil {
		m.t.Fatal("the mount has no cluster")
	}
	return c.Client.State().Held
}

// crowdHeldBack is a mount whose API server is down, and to which so many have come. Some
// were told so at once, the others are held back.
func crowdHeldBack(ctx context.Context, t *testing.T, n int) (m *mount, statuses chan int, waiting int) {
	t.Helper()
	m = newDemo(t, nil, nil)
	m.api.Fail(kubetest.ResetStream())
	for range 5 { // as many as it takes to be down
		wantRefused(t, m.login("demo", m.token()), http.StatusServiceUnavailable)
	}
	statuses, jwt := make(chan int, n), m.token()
	for range n {
		go func() {
			statuses <- m.as(ctx, logical.UpdateOperation, "login", fields{"role": "demo", "jwt": jwt}).status
		}()
	}
	// Ten are told at once, less those among the five.
	for deadline := time.Now().Add(time.Minute); len(statuses)+m.held() < n; <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d were told, %d are held back", len(statuses), m.held())
		}
	}
	return m, statuses, m.held()
}

// Of those who are refused because the API server is down a few are told at once. Those who
// are held back are let in when it returns, also though nobody else comes.
func TestLoginsAreHeldBackUntilTheAPIServerReturns(t *testing.T) {
	m, statuses, waiting := crowdHeldBack(t.Context(), t, 20)
	m.api.Heal()
	got := map[int]int{}
	for range cap(statuses) {
		got[<-statuses]++
	}
	let, told := got[http.StatusOK], got[http.StatusServiceUnavailable]
	if waiting == 0 || let < waiting/2 || told < 5 || let+told != cap(statuses) {
		t.Errorf("%d were held back, and logins ended as %v; want a few told at once, and most of the others let in", waiting, got)
	}
	if held := m.held(); held != 0 {
		t.Errorf("%d are held back afterwards", held)
	}
}

// Those who are held back do not keep the process when it is to end: a reload of any mount
// would wait for them.
func TestHeldLoginsEndWithTheProcess(t *testing.T) {
	soon := make(chan struct{})
	m, statuses, waiting := crowdHeldBack(serve.WithEnding(t.Context(), soon), t, 40)
	close(soon)
	late := time.After(upstream.HoldAtMost / 2) // half of them would be held for all of that
	for range cap(statuses) {
		select {
		case status := <-statuses:
			if status != http.StatusServiceUnavailable {
				t.Errorf("a login ended with %d", status)
			}
		case <-late:
			t.Fatalf("%d of %d are held back though the process is to end", m.held(), waiting)
		}
	}
}
