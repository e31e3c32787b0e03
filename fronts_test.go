package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"vault-plugin-auth-kubernetes/internal/kubetest"
)

const (
	rancherJSON = `{"baseType":"error","code":"Unauthorized","message":"must authenticate","status":401,"type":"error"}`
	cloudJSON   = `{"error":{"code":403,"message":"The caller does not have permission","status":"PERMISSION_DENIED"}}`
	loginPage   = "<!DOCTYPE html><html><head><title>Sign in</title></head><body>Sign in</body></html>"

	itsCredential = "wants a credential of its own"
	aPerson       = "a page that is for people"
	elsewhere     = "sends clients elsewhere"
	baseURL       = "is the base URL of a Kubernetes API server"
	asTheyAre     = "masks or changes tokens"
	health        = "the API server's own health"
)

func faulty(fault kubetest.Fault) kubetest.Front {
	return func(http.Handler) http.Handler { return http.HandlerFunc(fault) }
}

func challenge(fault kubetest.Fault) kubetest.Fault {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="gateway"`)
		fault(w, r)
	}
}

// comeBack says when to come back, in whatever words.
func comeBack(when string, fault kubetest.Fault) kubetest.Fault {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", when)
		fault(w, r)
	}
}

// TestFronts meets what stands between Vault and an API server as people have it: what
// login answers, what the log and explain say of it, and how many requests it costs.
func TestFronts(t *testing.T) {
	const denied, outage = http.StatusForbidden, http.StatusServiceUnavailable
	for name, row := range map[string]struct {
		front    func(m *mount, token string) kubetest.Front
		status   int
		class    string
		reason   string // a part of it
		remedy   string // a part of it
		requests int
		quiet    bool // the client's doing
	}{
		"Rancher's proxy, which wants its own key": {
			front:  answering(kubetest.Text(http.StatusUnauthorized, "application/json", rancherJSON)),
			status: denied, class: "gateway", reason: "must authenticate", remedy: itsCredential, requests: 1,
		},
		"a cloud's front that lets nobody in": {
			front:  answering(kubetest.Text(http.StatusForbidden, "application/json; charset=UTF-8", cloudJSON)),
			status: denied, class: "gateway", reason: "PERMISSION_DENIED", remedy: itsCredential, requests: 1,
		},
		"a gateway that says it in a word": {
			front:  answering(challenge(kubetest.Text(http.StatusUnauthorized, "text/plain", "Jwt is missing"))),
			status: denied, class: "gateway", reason: `Bearer realm=\"gateway\"`, remedy: itsCredential, requests: 1,
		},
		"a gateway that says nothing": {
			front:  answering(challenge(kubetest.Text(http.StatusUnauthorized, "", ""))),
			status: denied, class: "gateway", reason: "Www-Authenticate", remedy: itsCredential, requests: 1,
		},
		"JSON that looks like a Status": {
			front:  answering(kubetest.Text(http.StatusUnauthorized, "application/json", `{"status":"Unauthorized","message":"no","code":401}`)),
			status: denied, class: "gateway", reason: `"message\":\"no\"`, remedy: itsCredential, requests: 1,
		},
		"a page to log in at": {
			front:  answering(kubetest.Text(http.StatusUnauthorized, "text/html", loginPage)),
			status: outage, class: "unusable answer", remedy: aPerson, requests: 1,
		},
		"a page that says that something was blocked": {
			front:  answering(kubetest.HTML(http.StatusForbidden)),
			status: outage, class: "unusable answer", remedy: aPerson, requests: 1,
		},
		"a page in place of an answer": {
			front:  answering(kubetest.HTML(http.StatusOK)),
			status: outage, class: "unusable answer", remedy: baseURL, requests: 1,
		},
		"a redirect to a login page": {
			front:  answering(kubetest.Redirect(http.StatusFound, "https://sso.example/login?next=%2F")),
			status: outage, class: "unusable answer", reason: "sso.example", remedy: elsewhere, requests: 1,
		},
		"a redirect that keeps the method": {
			front:  answering(kubetest.Redirect(http.StatusPermanentRedirect, "https://other.example/")),
			status: outage, class: "unusable answer", reason: "other.example", remedy: elsewhere, requests: 1,
		},
		"a firewall that knows no TokenReview": {
			front:  answering(kubetest.Text(http.StatusUnsupportedMediaType, "application/json", `{"error":"unsupported"}`)),
			status: outage, class: "unusable answer", reason: "unsupported", remedy: "pass JSON on", requests: 1,
		},
		"a name that leads to no API server": {
			front:  answering(kubetest.Text(http.StatusNotFound, "text/plain", "default backend - 404")),
			status: outage, class: "unusable answer", reason: "default backend", remedy: baseURL, requests: 1,
		},
		"a balancer without an API server behind it": {
			front:  answering(kubetest.HTML(http.StatusServiceUnavailable)),
			status: outage, class: "server error", remedy: health, requests: 1,
		},
		"one that throttles in words of its own": {
			front:  answering(kubetest.Text(http.StatusTooManyRequests, "text/plain", "slow down")),
			status: outage, class: "throttled", remedy: health, requests: 1,
		},
		// What it says of coming back is followed once, where there is time for that.
		"an API server that throttles": {
			front:  answering(kubetest.Status(http.StatusTooManyRequests)),
			status: outage, class: "throttled", remedy: health, requests: 1,
		},
		"an API server that throttles, and may be asked again at once": {
			front:  answering(kubetest.RetryAfter(http.StatusTooManyRequests, 0)),
			status: outage, class: "throttled", remedy: health, requests: 2,
		},
		"an API server that throttles for longer than a login waits": {
			front:  answering(kubetest.RetryAfter(http.StatusTooManyRequests, 3600)),
			status: outage, class: "throttled", remedy: health, requests: 1,
		},
		"an API server that is not ready": {
			front:  answering(kubetest.Status(http.StatusServiceUnavailable)),
			status: outage, class: "server error", remedy: health, requests: 1,
		},
		"an API server that is not ready, and may be asked again at once": {
			front:  answering(kubetest.RetryAfter(http.StatusServiceUnavailable, 0)),
			status: outage, class: "server error", remedy: health, requests: 2,
		},
		"an API server that is not ready for longer than a login waits": {
			front:  answering(kubetest.RetryAfter(http.StatusServiceUnavailable, 3600)),
			status: outage, class: "server error", remedy: health, requests: 1,
		},
		"a balancer that names the time at which to come back, in words of its own": {
			front:  answering(comeBack("Thu, 01 Jan 1970 00:00:01 GMT", kubetest.HTML(http.StatusServiceUnavailable))),
			status: outage, class: "server error", remedy: health, requests: 2,
		},
		"a gateway that throttles by minutes": {
			front:  answering(comeBack("300", kubetest.Text(http.StatusTooManyRequests, "application/json", `{"error":"rate limit"}`))),
			status: outage, class: "throttled", remedy: health, requests: 1,
		},
		"one whose time to come back cannot be read": {
			front:  answering(comeBack("soon", kubetest.Text(http.StatusTooManyRequests, "text/plain", "slow down"))),
			status: outage, class: "throttled", remedy: health, requests: 1,
		},
		"one that drops Authorization": {
			front:  func(*mount, string) kubetest.Front { return kubetest.WithoutAuthorization() },
			status: denied, class: "forbidden", reason: "system:anonymous", remedy: "pass the Authorization header on", requests: 1,
		},
		"one that leads to another cluster": {
			front: func(m *mount, _ string) kubetest.Front {
				other := kubetest.Start(m.t)
				other.AddServiceAccount("apps", "web")
				return kubetest.AnsweredBy(other, other.Reviewer, kubetest.ServiceAccounts)
			},
			status: denied, class: "denied", reason: "has another uid", requests: 2, quiet: true,
		},
		"one that leads to another cluster, which does not know the reviewer": {
			front:  func(m *mount, _ string) kubetest.Front { return kubetest.AnsweredBy(kubetest.Start(m.t), "") },
			status: denied, class: "unauthorized", remedy: "rejects the reviewer's credential", requests: 1,
		},
		"one that shortens answers": {
			front:  func(*mount, string) kubetest.Front { return kubetest.Shortening(100) },
			status: outage, class: "unusable answer", remedy: baseURL, requests: 1,
		},
		"one that masks tokens in requests": {
			front:  func(_ *mount, token string) kubetest.Front { return kubetest.Replacing(token, "[REDACTED]", false) },
			status: outage, class: "unusable answer", reason: "about another token", remedy: asTheyAre, requests: 1,
		},
		"one that masks tokens in answers": {
			front:  func(_ *mount, token string) kubetest.Front { return kubetest.Replacing(token, "[REDACTED]", true) },
			status: outage, class: "unusable answer", reason: "about another token", remedy: asTheyAre, requests: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newDemo(t, fields{"use_annotations_as_alias_metadata": true}, nil)
			token := m.token()
			m.api.Behind(row.front(m, token))
			before := len(m.api.Requests())
			wantRefused(t, m.login("demo", token), row.status)
			if got := len(m.api.Requests()) - before; got != row.requests {
				t.Errorf("%d requests, want %d", got, row.requests)
			}
			logged := m.logs.One(t)
			level := hclog.Warn
			if row.quiet {
				level = hclog.Debug
			}
			reason, remedy := fmt.Sprint(logged.Fields["reason"]), fmt.Sprint(logged.Fields["remedy"])
			if logged.Level != level || logged.Fields["class"] != row.class || !strings.Contains(reason, row.reason) || row.remedy != "" && !strings.Contains(remedy, row.remedy) {
				t.Errorf("logged %s\nwant the class %q, %q and %q", logged, row.class, row.reason, row.remedy)
			}
			explanation := m.write("explain", fields{"role": "demo", "jwt": token}).data
			if said := fmt.Sprint(explanation["remedy"]); row.remedy != "" && !strings.Contains(said, row.remedy) {
				t.Errorf("the remedy of explain is %q, want %q", said, row.remedy)
			}
			wantAgreement(t, m, fields{"role": "demo", "jwt": token})
			if strings.Contains(reason+remedy, token) {
				t.Error("the log has the token")
			}
		})
	}
}

func answering(fault kubetest.Fault) func(*mount, string) kubetest.Front {
	return func(*mount, string) kubetest.Front { return faulty(fault) }
}

// TestFrontThatKnowsJSONOnly: whatever a firewall says to protobuf, logins go through it.
func TestFrontThatKnowsJSONOnly(t *testing.T) {
	m := newDemo(t, fields{"use_annotations_as_alias_metadata": true}, fields{"selector": `namespace.labels.team != "x"`})
	m.api.Behind(kubetest.JSONOnly(kubetest.HTML(http.StatusForbidden)))
	m.mustLogin(m.token())
	if got := len(m.api.Requests()); got != 3 {
		t.Errorf("%d requests, want 3", got)
	}
}

// TestCheckBehindAFront: check names what answers in the API server's place.
func TestCheckBehindAFront(t *testing.T) {
	m := newDemo(t, nil, nil)
	m.api.Behind(faulty(kubetest.Text(http.StatusUnauthorized, "application/json", rancherJSON)))
	found := m.read("check")
	for _, key := range []string{"server", "reviewer"} {
		if text := fmt.Sprint(found[key]); !strings.HasPrefix(text, "fail: ") || !strings.Contains(text, "must authenticate") ||
			!strings.Contains(fmt.Sprint(found[key+"_remedy"]), itsCredential) {
			t.Errorf("%s: %v, %v", key, found[key], found[key+"_remedy"])
		}
	}
}

// TestPlainHTTPToATLSPort is kubernetes_host with http in place of https.
func TestPlainHTTPToATLSPort(t *testing.T) {
	m := newDemo(t, nil, nil)
	m.write("config", m.config(fields{"kubernetes_host": strings.Replace(m.api.URL, "https", "http", 1)}))
	token := m.token()
	wantRefused(t, m.login("demo", token), http.StatusServiceUnavailable)
	if remedy := fmt.Sprint(m.logs.One(t).Fields["remedy"]); !strings.Contains(remedy, "https:// in place of http://") {
		t.Errorf("the remedy is %q", remedy)
	}
}
