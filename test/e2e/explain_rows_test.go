package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// checkExplanation has the login of a row explained, on the real processes: the client
// has to read what the explanation says that it reads, and to get what it says.
func (f *fixture) checkExplanation(t *testing.T, body fields, login answer) {
	t.Helper()
	// A login takes no notice of fields that do not exist; explain refuses them.
	request := fields{"remote_addr": "127.0.0.1"}
	for _, field := range []string{"role", "jwt", "reviewer_jwt"} {
		if value, ok := body[field]; ok {
			request[field] = value
		}
	}
	got := f.mounts.ours.send(t, http.MethodPost, "explain", request)
	if got.Status != http.StatusOK {
		// A request that is no login at all, such as one without a token.
		if jwt, _ := body["jwt"].(string); got.Status != login.Status || jwt != "" && !slices.Equal(got.errors(), login.errors()) {
			t.Errorf("explaining answers %v, the login %v", got, login)
		}
		return
	}
	explained := got.data()
	for part := range strings.SplitSeq(fmt.Sprint(body["jwt"], ".", body["reviewer_jwt"]), ".") {
		if part = strings.TrimSpace(part); len(part) >= 20 && strings.Contains(got.String(), part) {
			t.Errorf("the explanation repeats %q of a token", part)
		}
	}
	if login.Status == http.StatusOK {
		if explained["verdict"] != "allowed" || explained["display_name"] == nil || explained["failed_step"] != nil {
			t.Errorf("the login was allowed, the explanation is %v", got)
		}
		return
	}
	status, message, _ := strings.Cut(fmt.Sprint(explained["client_sees"]), " ")
	message, _, _ = strings.Cut(message, "[redacted]")
	if status != fmt.Sprint(login.Status) || !strings.Contains(strings.Join(login.errors(), "\n"), message) {
		t.Errorf("the client sees %v, by the explanation %v", login, explained["client_sees"])
	}
	for _, key := range []string{"verdict", "failed_step", "reason", "remedy"} {
		if text, _ := explained[key].(string); text == "" || text == "allowed" {
			t.Errorf("the login was refused (%v), and %s is %q", login, key, text)
		}
	}
	t.Logf("%v in %v: %v; %v", explained["verdict"], explained["failed_step"], explained["reason"], explained["remedy"])
}
