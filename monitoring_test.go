package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	dto "github.com/prometheus/client_model/go"
	"sigs.k8s.io/yaml"

	"vault-plugin-auth-kubernetes/internal/kubetest"
	"vault-plugin-auth-kubernetes/internal/telemetry"
)

const monitoringDir = "deploy/monitoring"

// alertExpressions are those of the alerts, by name.
func alertExpressions(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(monitoringDir, "alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	expressions := map[string]string{}
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			expressions[rule.Alert] = rule.Expr
		}
	}
	return expressions
}

var (
	selected = regexp.MustCompile(`(vault_kubernetes_auth_\w+)(?:\{([^}]*)\})?`)
	matchers = regexp.MustCompile(`(\w+)(=~|=)"([^"]*)"`)
)

// amount adds up what an expression selects of what a mount counts.
func (m *mount) amount(expression string) (total float64) {
	m.t.Helper()
	families := m.scrape()
	for _, selector := range selected.FindAllStringSubmatch(expression, -1) {
		family := families[strings.TrimSuffix(selector[1], "_bucket")]
		for _, metric := range family.GetMetric() {
			if matches(metric, selector[2]) {
				total += metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + float64(metric.GetHistogram().GetSampleCount())
			}
		}
	}
	return total
}

func matches(metric *dto.Metric, selector string) bool {
	for _, matcher := range matchers.FindAllStringSubmatch(selector, -1) {
		pattern := regexp.QuoteMeta(matcher[3])
		if matcher[2] == "=~" {
			pattern = matcher[3]
		}
		anchored := regexp.MustCompile("^(?:" + pattern + ")$")
		if !slices.ContainsFunc(metric.GetLabel(), func(pair *dto.LabelPair) bool {
			return pair.GetName() == matcher[1] && anchored.MatchString(pair.GetValue())
		}) {
			return false
		}
	}
	return true
}

// Each alert looks at something that its symptom changes, and at nothing that a login which
// is allowed, or refused for the client's own sake, does. That it is raised by that much,
// deploy/monitoring/alerts_test.yaml shows.
func TestAlertsSeeTheirSymptoms(t *testing.T) {
	login := func(m *mount) { m.login("demo", m.token()) }
	symptoms := map[string]func(*mount){
		"VaultKubernetesAuthCannotAsk": func(m *mount) { m.api.Fail(kubetest.Status(http.StatusInternalServerError)); login(m) },
		"VaultKubernetesAuthReviewerRefused": func(m *mount) {
			m.api.Fail(kubetest.Status(http.StatusForbidden))
			login(m)
		},
		"VaultKubernetesAuthMisconfigured": func(m *mount) {
			m.do(logical.PatchOperation, "config", fields{"binding_rule_role": "nobody-wrote-it"})
			m.loginByRules(m.token())
		},
		"VaultKubernetesAuthDenials": func(m *mount) { m.login("demo", "no token") },
		"VaultKubernetesAuthStorageFails": func(m *mount) {
			m.InvalidateKey(m.t.Context(), "role/demo")
			m.storage.fail("role/demo")
			login(m)
		},
		"VaultKubernetesAuthSlow": login,
		"VaultKubernetesAuthRenewalsUnchecked": func(m *mount) {
			auth := m.login("demo", m.token()).auth
			m.api.Fail(kubetest.Status(http.StatusInternalServerError))
			m.renew(auth)
		},
	}
	expressions := alertExpressions(t)
	for name, expression := range expressions {
		t.Run(name, func(t *testing.T) {
			m := newDemo(t, nil, nil)
			m.rule("base", "", "policy", "base")
			before := m.amount(expression)
			switch name {
			case "VaultKubernetesAuthQueue":
				m.wantQueue(expression)
				return
			case "VaultKubernetesAuthReviewerEnds": // which the time alone changes
				wantReviewerEnds(t, expression)
				return
			}
			cause := symptoms[name]
			if cause == nil {
				t.Fatal("nothing here causes its symptom")
			}
			// The first every review changes, the second is about how many are refused.
			if name != "VaultKubernetesAuthSlow" && name != "VaultKubernetesAuthDenials" {
				login(m)
				m.login("demo", "no token")
				if got := m.amount(expression); got != before {
					t.Errorf("usual logins change it from %v to %v", before, got)
				}
			}
			cause(m)
			if got := m.amount(expression); got <= before {
				t.Errorf("its symptom leaves it at %v", got)
			}
			wantWords(t, expression)
		})
	}
}

// wantWords wants the classes and results that an alert asks for to be words that metrics
// have: those of the log, with _ for each space.
func wantWords(t *testing.T, expression string) {
	t.Helper()
	known := map[string]bool{}
	for _, class := range telemetry.Classes {
		known[strings.ReplaceAll(class, " ", "_")] = true
	}
	for _, matcher := range matchers.FindAllStringSubmatch(expression, -1) {
		for value := range strings.SplitSeq(matcher[3], "|") {
			if (matcher[1] == "class" || matcher[1] == "result") && !known[value] {
				t.Errorf("it asks for the %s %q, which no metric has", matcher[1], value)
			}
		}
	}
}

// wantQueue has two logins wait for an API server that hangs, where one may be under way.
func (m *mount) wantQueue(expression string) {
	m.t.Helper()
	m.do(logical.PatchOperation, "config", fields{"max_concurrent_reviews": 1})
	m.whileOneWaits(func() bool { return m.amount(expression) != 0 })
}

// wantReviewerEnds has the time of the reviewer's token run out, by both metrics that the alert
// compares.
func wantReviewerEnds(t *testing.T, expression string) {
	t.Helper()
	const left, life = "reviewer_seconds_left", "reviewer_lifetime_seconds"
	for _, metric := range []string{left, life} {
		if !strings.Contains(expression, telemetry.Prefix+metric) {
			t.Errorf("it does not ask for %s", metric)
		}
	}
	m, clock := newClockedDemo(t, nil)
	m.write("config", m.config(fields{"token_reviewer_jwt": m.api.Token(kubetest.ReviewerNamespace, kubetest.ReviewerName,
		kubetest.Audience(m.api.Issuer), kubetest.Claim("iat", clock.now().Unix()), kubetest.Expiry(clock.now().Add(time.Hour)))}))
	m.mustLogin(m.tokenFor(clock))
	for _, step := range []struct {
		passes time.Duration
		raises bool
	}{{50 * time.Minute, false}, {2 * time.Minute, true}, {9 * time.Minute, true}} {
		clock.advance(step.passes)
		values := m.values()
		if raises := values[left] < 0.15*values[life]; raises != step.raises || values[life] != 3600 {
			t.Errorf("%v of %v seconds are left", values[left], values[life])
		}
	}
}

// The dashboard asks for metrics that there are, and docs/metrics.md says what to do about
// each alert.
func TestMonitoringIsOfThisPlugin(t *testing.T) {
	m := newDemo(t, nil, nil)
	m.mustLogin(m.token()) // some are there only once a reviewer is known
	families := m.scrape()
	text, err := os.ReadFile(filepath.Join(monitoringDir, "dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	asked := 0
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			for _, name := range selected.FindAllStringSubmatch(target.Expr, -1) {
				asked++
				if families[strings.TrimSuffix(name[1], "_bucket")] == nil {
					t.Errorf("%s asks for %s", panel.Title, name[1])
				}
			}
		}
	}
	if asked == 0 {
		t.Error("the dashboard asks for nothing")
	}
	docs, err := os.ReadFile("docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, expression := range alertExpressions(t) {
		if !strings.Contains(string(docs), "| `"+name+"` |") {
			t.Errorf("docs/metrics.md does not say what to do about %s", name)
		}
		for _, selector := range selected.FindAllStringSubmatch(expression, -1) {
			if families[strings.TrimSuffix(selector[1], "_bucket")] == nil {
				t.Errorf("%s asks for %s", name, selector[1])
			}
		}
	}
}
