package main

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/kubetest"
	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/telemetry"
)

// scrape reads the metrics as Prometheus does, and returns the families by name.
func (m *mount) scrape() map[string]*dto.MetricFamily {
	m.t.Helper()
	data := m.read("metrics")
	if data[logical.HTTPContentType] != "text/plain; version=0.0.4; charset=utf-8" || data[logical.HTTPStatusCode] != http.StatusOK {
		m.t.Errorf("content type %v, status %v", data[logical.HTTPContentType], data[logical.HTTPStatusCode])
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(data[logical.HTTPRawBody].([]byte)))
	if err != nil {
		m.t.Fatal(err)
	}
	return families
}

// values are the mount's own counters and gauges that are not 0, as name{values of
// labels, in the order of their names}. Of a histogram it is the count.
func (m *mount) values() map[string]float64 {
	m.t.Helper()
	values := map[string]float64{}
	for name, family := range m.scrape() {
		name, ours := strings.CutPrefix(name, telemetry.Prefix)
		if !ours || name == "build_info" {
			continue
		}
		for _, metric := range family.GetMetric() {
			var labels []string
			for _, pair := range metric.GetLabel() {
				labels = append(labels, pair.GetValue())
			}
			key := name
			if len(labels) > 0 {
				key += "{" + strings.Join(labels, ",") + "}"
			}
			value := metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + float64(metric.GetHistogram().GetSampleCount())
			if value != 0 {
				values[key] = value
			}
		}
	}
	return values
}

func wantValues(t *testing.T, got, want map[string]float64) {
	t.Helper()
	if !maps.Equal(got, want) {
		t.Errorf("the metrics are\n%v\nwant\n%v", got, want)
	}
}

// counted runs f and returns what it changed.
func (m *mount) counted(f func()) map[string]float64 {
	m.t.Helper()
	before := m.values()
	f()
	changed := map[string]float64{}
	for key, value := range m.values() {
		if value != before[key] && !strings.HasPrefix(key, "reviewer_") { // which the time changes
			changed[key] = value - before[key]
		}
	}
	return changed
}

// What is counted, and where. Labels stand in the order of their names: class,
// outcome, step of logins and request, result of requests.
func TestMetricsOfLogins(t *testing.T) {
	review := func(result, ended string) map[string]float64 {
		return map[string]float64{
			"token_reviews_total{" + result + "}": 1, "api_requests_total{token_review," + ended + "}": 1, "token_review_duration_seconds": 1,
			"api_requests_sent_total": 1,
		}
	}
	login := func(end string, more map[string]float64) map[string]float64 {
		want := map[string]float64{"logins_total{" + end + "}": 1}
		maps.Copy(want, more)
		return want
	}
	for name, row := range map[string]struct {
		config, role fields
		prepare      func(m *mount)
		request      func(m *mount) fields
		want         map[string]float64
	}{
		"allowed":      {want: login(",allowed,", review("confirmed", "ok"))},
		"not bound":    {role: fields{"bound_service_account_names": "db"}, want: login("denied,denied,service_account_name", review("confirmed", "ok"))},
		"unknown role": {request: func(m *mount) fields { return fields{"role": "nobody", "jwt": m.token()} }, want: login("invalid_request,invalid,request", map[string]float64{"storage_loads_total{role}": 1})},
		"malformed":    {request: func(*mount) fields { return fields{"role": "demo", "jwt": "x"} }, want: login("denied,denied,token_form", nil)},
		"forged": {request: func(m *mount) fields {
			return fields{"role": "demo", "jwt": m.token(kubetest.SignedWith(kubetest.NewECDSAKey()))}
		}, want: login("denied,denied,token_review", review("denied", "ok"))},
		"no permission": {prepare: func(m *mount) { m.api.Revoke("kube-system", "reviewer", kubetest.TokenReviews) }, want: login("forbidden,denied,token_review", review("denied", "forbidden"))},
		"outage":        {prepare: func(m *mount) { m.api.Fail(kubetest.Status(http.StatusInternalServerError)) }, want: login("server_error,could_not_ask,token_review", review("could_not_ask", "server_error"))},
		"labels forbidden": {
			role:    fields{"selector": `namespace.labels.team == "x"`},
			prepare: func(m *mount) { m.api.Revoke("kube-system", "reviewer", kubetest.Namespaces) },
			want: login("forbidden,denied,selector", func() map[string]float64 {
				want := review("confirmed", "ok")
				want["api_requests_total{namespace,forbidden}"] = 1
				want["api_requests_sent_total"] = 2
				return want
			}()),
		},
		"storage":          {prepare: func(m *mount) { m.InvalidateKey(m.t.Context(), "role/demo"); m.storage.fail("role/") }, want: login("storage,error,request", map[string]float64{"storage_loads_total{role}": 1})},
		"no configuration": {prepare: func(m *mount) { m.do(logical.DeleteOperation, "config", nil) }, want: login("configuration,error,configuration", map[string]float64{"storage_loads_total{config}": 1})},
	} {
		t.Run(name, func(t *testing.T) {
			m := newDemo(t, row.config, row.role)
			m.login("demo", m.token()) // reads the configuration and the role
			if row.prepare != nil {
				row.prepare(m)
			}
			request := fields{"role": "demo", "jwt": m.token()}
			if row.request != nil {
				request = row.request(m)
			}
			wantValues(t, m.counted(func() { m.do(logical.UpdateOperation, "login", request) }), row.want)
		})
	}
}

// What is no login is not counted as one; the requests it makes are requests.
func TestMetricsOfWhatIsNoLogin(t *testing.T) {
	m := newDemo(t, nil, nil)
	m.mustLogin(m.token())
	for what, f := range map[string]func(){
		"look-ahead":           func() { m.lookahead("demo", m.token()) },
		"refused look-ahead":   func() { m.lookahead("demo", "x") },
		"explanation":          func() { m.explain(fields{"role": "demo", "jwt": m.token()}) },
		"explained refusal":    func() { m.explain(fields{"role": "demo", "jwt": "x"}) },
		"resolution of a role": func() { m.do(logical.ResolveRoleOperation, "login", fields{"role": "demo"}) },
	} {
		for key := range m.counted(f) {
			if strings.HasPrefix(key, "logins_total") {
				t.Errorf("%s counts as %s", what, key)
			}
		}
	}
}

func TestMetricsOfRenewals(t *testing.T) {
	m := newDemo(t, nil, nil)
	auth := m.mustLogin(m.token())
	renewed := func(want map[string]float64) {
		t.Helper()
		wantValues(t, m.counted(func() { m.renew(auth) }), want)
	}
	renewed(map[string]float64{"renewals_total{renewed}": 1, "api_requests_total{service_account,ok}": 1, "api_requests_sent_total": 1})
	m.api.Revoke("kube-system", "reviewer", kubetest.ServiceAccounts)
	renewed(map[string]float64{"renewals_total{renewed}": 1, "renewal_checks_skipped_total": 1, "api_requests_total{service_account,forbidden}": 1, "api_requests_sent_total": 1})
	m.api.Grant("kube-system", "reviewer", kubetest.ServiceAccounts)
	m.api.DeleteServiceAccount("apps", "web")
	m.logs.Take()
	renewed(map[string]float64{"renewals_total{refused}": 1, "api_requests_total{service_account,not_found}": 1, "api_requests_sent_total": 1})
	logged := m.logs.One(t)
	if want := []string{"mount", "role", "step", "outcome", "class", "reason"}; logged.Level != hclog.Debug || logged.Message != "renewal refused" || !slices.Equal(logged.Keys, want) || logged.Fields["role"] != "demo" {
		t.Errorf("logged %s with %q", logged, logged.Keys)
	}
	m.do(logical.DeleteOperation, "role/demo", nil)
	renewed(map[string]float64{"renewals_total{error}": 1, "storage_loads_total{role}": 1})
}

func TestMetricsOfTheCacheAndRules(t *testing.T) {
	m := newRules(t, fields{"token_review_cache_ttl": 30})
	m.rule("a", "", "policy", "p")
	m.rule("b", "", "policy", "q")
	jwt := m.token()
	got := m.counted(func() { m.mustLoginByRules(jwt) })
	if got["binding_rules"] != 2 || got["storage_loads_total{binding_rule}"] != 2 || got["storage_loads_total{config}"] != 1 || got["review_cache_lookups_total{miss}"] != 1 {
		t.Errorf("the first login: %v", got)
	}
	wantValues(t, m.counted(func() { m.mustLoginByRules(jwt) }), map[string]float64{"logins_total{,allowed,}": 1, "review_cache_lookups_total{hit}": 1})
}

// With one turn, one request is under way and the other waits.
func TestMetricsOfRequestsUnderWay(t *testing.T) {
	m := newDemo(t, fields{"max_concurrent_reviews": 1}, nil)
	m.whileOneWaits(func() bool {
		got := m.values()
		return got["api_requests_in_flight"] == 1 && got["api_requests_waiting"] == 1
	})
	if got := m.values(); got["api_requests_in_flight"] != 0 || got["api_requests_waiting"] != 0 {
		t.Errorf("afterwards the metrics are %v", got)
	}
}

// whileOneWaits has two logins ask an API server that hangs, of a mount with one turn, until
// that is seen.
func (m *mount) whileOneWaits(seen func() bool) {
	m.t.Helper()
	ended := make(chan struct{})
	m.api.Fail(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-ended:
		case <-r.Context().Done():
		}
	})
	var logins sync.WaitGroup
	for range 2 {
		logins.Go(func() { m.login("demo", m.token()) })
	}
	for deadline := time.Now().Add(10 * time.Second); !seen(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			m.t.Errorf("nobody waits; the metrics are %v", m.values())
			break
		}
	}
	close(ended)
	logins.Wait()
}

// series are all there are, by name and labels.
func (m *mount) series() []string {
	var all []string
	for name, family := range m.scrape() {
		if !strings.HasPrefix(name, telemetry.Prefix) {
			continue
		}
		for _, metric := range family.GetMetric() {
			all = append(all, fmt.Sprint(name, metric.GetLabel()))
		}
	}
	slices.Sort(all)
	return all
}

// expectedEnds are the counters of logins that a mount has before anybody logs in.
var expectedEnds = sync.OnceValue(func() map[string]bool {
	metrics := telemetry.NewMetrics(version, func() int { return 0 })
	metrics.UseConsul()
	return endsIn(metrics)
})

// wantExpectedEnds fails a test in which a login ended in a way that no counter was there for
// beforehand: Prometheus sees no first failure in a counter that begins at 1.
func (m *mount) wantExpectedEnds() {
	for end := range endsIn(m.metrics) {
		if !expectedEnds()[end] && !strings.Contains(end, telemetry.Other) {
			m.t.Errorf("a login ended in a way that has no counter at 0: %s", end)
		}
	}
}

func endsIn(metrics *telemetry.Metrics) map[string]bool {
	ends := map[string]bool{}
	families, err := metrics.Registry.Gather()
	if err != nil {
		panic(err) // the counters contradict each other
	}
	for _, family := range families {
		if name := family.GetName(); strings.HasSuffix(name, "logins_total") {
			for _, metric := range family.GetMetric() {
				ends[fmt.Sprint(name, metric.GetLabel())] = true
			}
		}
	}
	return ends
}

// Failures are in rates from the first one on.
func TestFailuresBeginAtZero(t *testing.T) {
	m := newDemo(t, nil, nil)
	for _, series := range []string{
		`logins_total{outcome="could_not_ask",step="binding_rules",class="timeout"}`,
		`logins_total{outcome="could_not_ask",step="selector",class="server_error"}`,
		`logins_total{outcome="denied",step="binding_rules",class="invalid_name"}`,
		`logins_total{outcome="denied",step="alias",class="forbidden"}`,
		`logins_total{outcome="error",step="binding_rules",class="storage"}`,
		`api_requests_total{request="service_account",result="forbidden"}`,
		`api_requests_total{request="token_review",result="tls"}`,
		`verifications_total{by="keys",result="wrong_signature"}`,
	} {
		if !m.hasAtZero(t, series) {
			t.Errorf("%s is not there at 0", series)
		}
	}
	if consul := `consul_logins_total{door="lease",outcome="could_not_ask",step="consul_token",class="consul_unreachable"}`; m.hasAtZero(t, consul) {
		t.Errorf("%s is there without a Consul", consul)
	} else if m.metrics.UseConsul(); !m.hasAtZero(t, consul) {
		t.Errorf("%s is not there with a Consul", consul)
	}
}

// hasAtZero tells whether the metrics have a line for the series, whatever the order of
// its labels, and the value is 0.
func (m *mount) hasAtZero(t *testing.T, series string) bool {
	t.Helper()
	name, of, _ := strings.Cut(strings.TrimSuffix(series, "}"), "{")
	want := strings.Split(of, ",")
	slices.Sort(want)
	line := telemetry.Prefix + name + "{" + strings.Join(want, ",") + "} 0\n"
	return strings.Contains(string(m.read("metrics")[logical.HTTPRawBody].([]byte)), line)
}

// Nothing that a stranger chooses gets into a label.
func TestMetricsDoNotGrow(t *testing.T) {
	m := newDemo(t, nil, nil)
	m.mustLogin(m.token()) // from then on it is known when the reviewer's token ends
	before := m.series()
	for i := range 30 {
		m.login(fmt.Sprint("role-", i), m.token())
		m.login("demo", fmt.Sprint("garbage-", i))
		m.login("demo", m.token(kubetest.Audience(fmt.Sprint(i))))
		m.login("demo", m.token(kubetest.Subject(fmt.Sprint("ns", i), fmt.Sprint("name", i), "x")))
		m.api.FailTimes(1, kubetest.Text(http.StatusInternalServerError, "text/plain", fmt.Sprint("trouble ", i)))
		m.login("demo", m.token())
	}
	if after := m.series(); !slices.Equal(before, after) {
		t.Errorf("%d series, and then %d", len(before), len(after))
	}
	for _, name := range before {
		if strings.Contains(name, telemetry.Other) && !strings.Contains(name, "api_requests") {
			t.Errorf("there is %s", name)
		}
	}
	if len(before) > 300 {
		t.Errorf("%d series of one mount", len(before))
	}
}

// A word that is on no list is one word, whatever it is.
func TestMetricsOfUnknownWords(t *testing.T) {
	m := newDemo(t, nil, nil)
	for i := range 10 {
		m.metrics.Login(&refusal.StepError{Step: refusal.Step(fmt.Sprint("step ", i)), Err: &refusal.Refusal{Kind: refusal.Denied, Class: fmt.Sprint("class ", i)}})
		m.metrics.Meter.Done(fmt.Sprint("op ", i), "", time.Second)
	}
	wantValues(t, m.counted(func() {}), map[string]float64{})
	got := m.values()
	if got["logins_total{other,denied,other}"] != 10 || got["api_requests_total{other,ok}"] != 10 {
		t.Errorf("the metrics are %v", got)
	}
}

// The metrics know all classes that there are, and none is written down elsewhere.
func TestClassesAreListed(t *testing.T) {
	defined, err := os.ReadFile("internal/refusal/steps.go")
	if err != nil {
		t.Fatal(err)
	}
	constants := regexp.MustCompile(`(?m)^\s+[Cc]lass\w+\s+= "([^"]*)"`).FindAllStringSubmatch(string(defined), -1)
	if len(constants) < 7 {
		t.Errorf("only %d classes were found; the pattern must be wrong", len(constants))
	}
	for _, match := range constants {
		if !slices.Contains(telemetry.Classes, match[1]) {
			t.Errorf("the class %q is not listed", match[1])
		}
	}
	literal := regexp.MustCompile(`Class[:=]\s*"([^"]*)"`)
	for _, pattern := range []string{"*.go", "internal/*/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if text, err := os.ReadFile(file); err != nil || !strings.HasSuffix(file, "_test.go") && literal.Match(text) {
				t.Errorf("%s writes a class down, error %v", file, err)
			}
		}
	}
}

// The documentation lists exactly the metrics that there are, with their types and
// labels.
func TestMetricsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| `("+telemetry.Prefix+"[a-z_]+)` \\| ([a-z]+) \\| ([^|]*) \\|").FindAllStringSubmatch(string(text), -1) {
		documented = append(documented, strings.Join(row[1:], " "))
	}
	m := newLocal(t, fields{"verification": "live"})
	m.follow(t)
	m.metrics.UseConsul()
	var exist []string
	for name, family := range m.scrape() {
		if !strings.HasPrefix(name, telemetry.Prefix) {
			if !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") {
				t.Errorf("the metric %s has no prefix", name)
			}
			continue
		}
		var labels []string
		for _, pair := range family.GetMetric()[0].GetLabel() {
			labels = append(labels, "`"+pair.GetName()+"`")
		}
		exist = append(exist, strings.Join([]string{name, strings.ToLower(family.GetType().String()), strings.Join(labels, ", ")}, " "))
	}
	slices.Sort(documented)
	slices.Sort(exist)
	if !slices.Equal(documented, exist) {
		t.Errorf("documented are\n%s\nthere are\n%s", strings.Join(documented, "\n"), strings.Join(exist, "\n"))
	}
}

func TestMetricsAtTheSameTime(t *testing.T) {
	m := newDemo(t, nil, nil)
	m.rule("a", "", "policy", "p")
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 5 {
				m.login("demo", m.token())
				m.login("demo", "x")
				m.loginByRules(m.token())
			}
		})
		all.Go(func() {
			for range 5 {
				m.values()
			}
		})
	}
	all.Wait()
	got := m.values()
	if got["logins_total{,allowed,}"] != 40 || got["logins_total{denied,denied,token_form}"] != 20 || got["token_reviews_total{confirmed}"] != 40 {
		t.Errorf("the metrics are %v", got)
	}
}

// Successful logins are logged where the environment asks for it, and only there.
func TestAllowedLoginsAreLoggedIfAsked(t *testing.T) {
	for level, want := range map[string]bool{"": false, "info": false, "debug": true, "TRACE": true, "nonsense": false} {
		t.Setenv("VAULT_LOG_LEVEL", level)
		m := newDemo(t, nil, nil)
		m.log = telemetry.NewLog()
		token := m.token()
		m.mustLogin(token)
		lines := m.logs.Take()
		if (len(lines) == 1) != want || len(lines) > 1 {
			t.Errorf("level %q: logged %v", level, lines)
		}
		if len(lines) != 1 {
			continue
		}
		if got := lines[0]; got.Level != hclog.Debug || got.Message != "login allowed" ||
			!slices.Equal(got.Keys, []string{"mount", "role", "outcome", "namespace", "service_account", "uid"}) || got.Fields["service_account"] != "web" {
			t.Errorf("logged %s with %q", got, got.Keys)
		}
	}
}

func BenchmarkMetricsOfALogin(b *testing.B) {
	m := telemetry.NewMetrics(version, func() int { return 0 })
	b.ReportAllocs()
	for b.Loop() {
		m.Meter.Done(kube.OpReview, "", 3*time.Millisecond)
		m.Reviewed(nil)
		m.Login(nil)
	}
}

func BenchmarkMetricsOfARefusal(b *testing.B) {
	m := telemetry.NewMetrics(version, func() int { return 0 })
	err := error(&refusal.StepError{Step: "namespace", Err: refusal.Deny("not bound")})
	b.ReportAllocs()
	for b.Loop() {
		m.Login(err)
	}
}
