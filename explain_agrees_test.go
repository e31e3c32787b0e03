package main

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/logtest"
	"vault-plugin-auth-kubernetes/internal/scrub"
	"vault-plugin-auth-kubernetes/internal/sent"
	"vault-plugin-auth-kubernetes/internal/telemetry"
)

// explain explains a login from the address that the tests log in from.
func (m *mount) explain(data fields) outcome {
	m.t.Helper()
	o := m.do(logical.UpdateOperation, "explain", merge(fields{"remote_addr": "192.0.2.1"}, data))
	m.wantGolden(o)
	return o
}

// wantAgreement makes a login and has it explained, which have to end alike: in the
// same step, for the same reason, with the same words for the client, or with the
// same token. The tables of the login's tests call it, so that they are tables of
// explain's as well.
func wantAgreement(t *testing.T, m *mount, data fields) {
	t.Helper()
	m.logs.Take()
	m.log = telemetry.NewLog() // lines are limited in rate, and all are needed here
	login := m.do(logical.UpdateOperation, "login", data)
	logged := m.logs.Take()
	got := m.explain(data)
	if extra := m.logs.Take(); slices.ContainsFunc(extra, func(l logtest.Line) bool { return strings.Contains(l.Message, "login") }) {
		t.Errorf("explaining was logged as a login: %v", extra)
	}
	if jwt, _ := data["jwt"].(string); jwt == "" {
		if got.status != http.StatusBadRequest || got.message != "missing jwt" {
			t.Errorf("without a token: %d %s", got.status, got.message)
		}
		return
	}
	if got.status != http.StatusOK || got.auth != nil {
		t.Fatalf("explaining: %d %s, issued: %t", got.status, got.message, got.auth != nil)
	}
	wantNoToken(t, got, data)
	if login.auth != nil {
		wantSameToken(t, got.data, login.auth)
		return
	}
	wantSameRefusal(t, got.data, login, logged)
}

func wantSameToken(t *testing.T, got fields, auth *logical.Auth) {
	t.Helper()
	if got["verdict"] != "allowed" || got["client_sees"] != "200 and a Vault token" || got["failed_step"] != nil {
		t.Errorf("the login was allowed, explained as %v: %v", got["verdict"], got["reason"])
		return
	}
	if !slices.Equal(got["policies"].([]string), auth.Policies) || got["alias_name"] != auth.Alias.Name || got["display_name"] != auth.DisplayName ||
		!maps.Equal(partsOf(got, "token_metadata"), auth.Metadata) {
		t.Errorf("the login gave %+v, explained as %v", auth, got)
	}
	for key, value := range got {
		if strings.HasPrefix(key, "step_") && value != "allowed" {
			t.Errorf("%s is %v", key, value)
		}
	}
}

func wantSameRefusal(t *testing.T, got fields, login outcome, logged []logtest.Line) {
	t.Helper()
	if want := fmt.Sprint(login.status, " ", login.message); !withoutToken(got["client_sees"], want) {
		t.Errorf("the client sees %q, want %q", got["client_sees"], want)
	}
	if got["policies"] != nil || got["alias_name"] != nil {
		t.Errorf("a login that was refused would get %v", got)
	}
	if got["remedy"] == nil {
		t.Errorf("no remedy for %v: %v", got["failed_step"], got["reason"])
	}
	if len(logged) != 1 {
		t.Fatalf("the login logged %v, want one line", logged)
	}
	line := logged[0].Fields
	if line["outcome"] != "error" && got["verdict"] != line["outcome"] || got["failed_step"] != line["step"] {
		t.Errorf("the login ended in %s: %s (%s), explained as %v: %v (%v)",
			line["step"], line["outcome"], line["reason"], got["failed_step"], got["verdict"], got["reason"])
	}
	// Other reasons hold ports, which are new each time.
	if line["outcome"] == "denied" && line["class"] == "denied" && got["reason"] != line["reason"] {
		t.Errorf("the reason is %q, of the login %q", got["reason"], line["reason"])
	}
}

// withoutToken tells whether a text is the wanted one, but for a token in it.
func withoutToken(got any, want string) bool {
	text, _ := got.(string)
	before, after, cut := strings.Cut(text, scrub.Redacted)
	return text == want || cut && strings.HasPrefix(want, before) && strings.HasSuffix(want, after)
}

// wantNoToken fails the test if the answer repeats a token of the request, or a part
// of one.
func wantNoToken(t *testing.T, got outcome, data fields) {
	t.Helper()
	text := fmt.Sprint(got.data, got.warnings, got.message)
	for _, field := range []string{"jwt", "role"} {
		secret, _ := data[field].(string)
		if field == "role" && !strings.HasPrefix(secret, "eyJ") {
			continue
		}
		for part := range strings.SplitSeq(strings.TrimSpace(secret), ".") {
			if len(part) >= sent.MinTokenBytes && strings.Contains(text, part) {
				t.Errorf("the answer repeats %q of the token: %s", part, text)
			}
		}
	}
}
