package faults

import (
	"net/http"
	"slices"
	"testing"
)

// TestReviewsByTheRealAPIServer: once it has answered one, it is asked in protobuf, and what
// it says itself is not asked a second time in JSON.
func TestReviewsByTheRealAPIServer(t *testing.T) {
	const json, protobuf = "application/json", "application/vnd.kubernetes.protobuf"
	w := newWatcher(t)
	m := newMount(t)
	m.configure(t, w.url, w.caPEM, nil)
	jwt := kube.newToken(t)
	for _, row := range []struct {
		name, reviewer string // reviewer is a credential in the place of the reviewer's
		status         int
		forms          []string
	}{
		{"first", "", http.StatusOK, []string{json}},
		{"second", "", http.StatusOK, []string{protobuf}},
		{"third", "", http.StatusOK, []string{protobuf}},
		{"credential rejected", "no.such.token", http.StatusForbidden, []string{protobuf}},
		{"not permitted", jwt, http.StatusForbidden, []string{protobuf}},
		{"after that", "", http.StatusOK, []string{protobuf}},
	} {
		w.as(row.reviewer)
		a := m.login(t, jwt)
		if forms := w.takeForms(); a.status != row.status || !slices.Equal(forms, row.forms) {
			t.Errorf("%s: %v, asked in %q, want %d and %q", row.name, a, forms, row.status, row.forms)
		}
	}
}
