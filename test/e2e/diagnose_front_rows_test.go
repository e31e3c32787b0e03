package e2e

import (
	"io"
	"net/http"
)

// words answers every request alike, as what stands before an API server and lets nobody
// through does.
func words(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body) // the client may be gone
	}
}

// frontRows are about what stands before an API server and answers in its place.
func frontRows() []diagnosis {
	front := func(name, verdict, cause, remedy string, answer http.HandlerFunc) diagnosis {
		return diagnosis{
			name: name, step: "token review", verdict: verdict, unmended: true,
			config: behind(func() frontOptions { return frontOptions{answer: answer} }),
			finds:  []found{{"server", "fail", cause, remedy}, {"reviewer", "fail", cause, remedy}},
		}
	}
	const itsCredential, aPerson = "wants a credential of its own", "a page that is for people"
	return []diagnosis{
		front("Rancher's proxy, which wants its own key", explainDenied, "must authenticate", itsCredential,
			words(http.StatusUnauthorized, "application/json", `{"type":"error","status":"401","message":"must authenticate"}`)),
		front("a cloud's front that lets nobody in", explainDenied, "PERMISSION_DENIED", itsCredential,
			words(http.StatusForbidden, "application/json; charset=UTF-8", `{"error":{"code":403,"message":"no","status":"PERMISSION_DENIED"}}`)),
		front("a firewall's page", explainCouldNotAsk, "", aPerson,
			words(http.StatusForbidden, "text/html", "<html><body>Request blocked</body></html>")),
		front("a redirect to a login page", explainCouldNotAsk, "sso.example", "sends clients elsewhere",
			func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "https://sso.example/login", http.StatusFound)
			}),
	}
}
