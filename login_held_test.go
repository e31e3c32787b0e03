package main

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/internal/kubetest"
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

// Of those who are refused because the API server is down a few are told at once. Those who
// are held back are let in when it returns, also though nobody else comes.
func TestLoginsAreHeldBackUntilTheAPIServerReturns(t *testing.T) {
	m := newDemo(t, nil, nil)
	m.api.Fail(kubetest.ResetStream())
	for range 5 { // as many as it takes to be down
		wantRefused(t, m.login("demo", m.token()), http.StatusServiceUnavailable)
	}
	statuses, jwt := make(chan int, 20), m.token()
	var all sync.WaitGroup
	for range cap(statuses) {
		all.Go(func() { statuses <- m.login("demo", jwt).status })
	}
	// Ten are told at once, less those among the five; the others have between one second and ten.
	for deadline := time.Now().Add(time.Minute); len(statuses)+m.held() < cap(statuses); <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d were told, %d are held back", len(statuses), m.held())
		}
	}
	waiting := m.held()
	m.api.Heal()
	all.Wait()
	close(statuses)
	got := map[int]int{}
	for status := range statuses {
		got[status]++
	}
	let, told := got[http.StatusOK], got[http.StatusServiceUnavailable]
	if waiting == 0 || let < waiting/2 || told < 5 || let+told != cap(statuses) {
		t.Errorf("%d were held back, and logins ended as %v; want a few told at once, and most of the others let in", waiting, got)
	}
	if held := m.held(); held != 0 {
		t.Errorf("%d are held back afterwards", held)
	}
}
