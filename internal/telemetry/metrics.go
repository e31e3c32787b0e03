package telemetry

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"vault-plugin-auth-kubernetes/internal/consulacl"
	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/refusal"
)

// Prefix begins the names of all metrics but those of the process.
const Prefix = "vault_kubernetes_auth_"

// Values of labels. Every value of every label is one of a fixed list of words, so
// that no stranger can make a label grow; what is in no list is otherWord.
const (
	resultOK       = "ok"
	Confirmed      = "confirmed"
	resultHit      = "hit"
	resultMiss     = "miss"
	renewalRenewed = "renewed"
	renewalRefused = "refused"
	renewalFailed  = "error"
	Other          = "other"
)

// reviewBuckets are seconds. A review takes a millisecond or two; two attempts of the
// longest request_timeout take two minutes.
var reviewBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20, 60, 120}

// requestWords are what is asked of the API server, by the name that errors have for
// it.
var requestWords = map[string]string{
	kube.OpReview:         "token_review",
	kube.OpNamespace:      "namespace",
	kube.OpServiceAccount: "service_account",
	kube.OpSigningKeys:    "signing_keys",
	kube.OpPod:            "pod",
	kube.OpFollow:         "follow",
	kube.OpTokenRequest:   "token_request",
}

// Metrics are the numbers of one mount, since its plugin process began to serve it.
// What is counted on the way of every login is looked up beforehand, and costs an
// atomic addition or two.
type Metrics struct {
	Registry *prometheus.Registry
	Meter    kube.Meter

	logins   *table
	renewals map[string]prometheus.Counter
	Skipped  prometheus.Counter

	reviews       map[string]prometheus.Counter
	reviewSeconds prometheus.Histogram
	requests      *table
	lookups       map[bool]prometheus.Counter
	verified      *table

	ConfigLoads, RoleLoads, RuleLoads prometheus.Counter

	ConsulMeter    consulacl.Meter
	consulLogins   *table
	consulRequests *table
}

// processCollectors are of the process, and shared by its mounts: they are larger than
// all that a mount counts itself.
var processCollectors = sync.OnceValue(func() []prometheus.Collector {
	return []prometheus.Collector{
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	}
})

// NewMetrics makes the metrics of a mount of the version of the plugin. rules tells how
// many binding rules there are.
func NewMetrics(version string, rules func() int) *Metrics {
	m := &Metrics{Registry: prometheus.NewRegistry()}
	m.Registry.MustRegister(processCollectors()...)
	m.countLogins()
	m.countReviews()
	m.countRequests()
	m.countConsul()
	loads := m.counterVec("storage_loads_total", "Reads of Vault's storage, by what was read. Logins read what they need once, and look again about once a minute.", "object")
	m.ConfigLoads, m.RoleLoads, m.RuleLoads = loads.WithLabelValues("config"), loads.WithLabelValues("role"), loads.WithLabelValues("binding_rule")
	m.gauge("binding_rules", "Binding rules in memory; 0 until the first login without a role.", func() float64 { return float64(rules()) })
	info := m.gaugeVec("build_info", "1, with the version of the plugin.", "version")
	info.WithLabelValues(version).Set(1)
	return m
}

func (m *Metrics) countLogins() {
	m.logins = m.table("logins_total", "Logins by outcome, and where they were refused by step and class. Alias look-ahead and explain are no logins.", loginEnds(), false, "outcome", "step", "class")
	renewals := m.counterVec("renewals_total", "Renewals of tokens that the mount issued, by outcome.", "outcome")
	m.renewals = map[string]prometheus.Counter{}
	for _, outcome := range []string{renewalRenewed, renewalRefused, renewalFailed} {
		m.renewals[outcome] = renewals.WithLabelValues(outcome)
	}
	m.Skipped = m.counter("renewal_checks_skipped_total", "Looks at the cluster that a renewal went on without, since the cluster could not be asked. A renewal by binding rules has two.")
}

func (m *Metrics) countReviews() {
	results := m.counterVec("token_reviews_total", "TokenReviews by what the API server said, those of explain included.", "result")
	m.reviews = map[string]prometheus.Counter{}
	for _, result := range []string{Confirmed, word(refusal.Denied.String()), word(refusal.CouldNotAsk.String()), refusal.Kind(0).String()} {
		m.reviews[result] = results.WithLabelValues(result)
	}
	m.reviewSeconds = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: Prefix + "token_review_duration_seconds", Buckets: reviewBuckets,
		Help: "How long the API server took for a TokenReview, a second attempt included and the wait for a turn not.",
	})
	m.Registry.MustRegister(m.reviewSeconds)
	lookups := m.counterVec("review_cache_lookups_total", "Reviews that token_review_cache_ttl could save: hit, or miss. Logins that share one review are misses.", "result")
	m.verified = m.table("verifications_total", "Tokens judged with verification=keys or live, by the way and the result: confirmed, refused as wrong_signature or deleted, or the doubt, which is a refusal with keys and a TokenReview with live.", verifications(), false, "by", "result")
	m.lookups = map[bool]prometheus.Counter{true: lookups.WithLabelValues(resultHit), false: lookups.WithLabelValues(resultMiss)}
}

func (m *Metrics) countRequests() {
	m.requests = m.table("api_requests_total", "Requests to the Kubernetes API server, by what was asked for and how it ended.", requestEnds(), false, "request", "result")
	m.Meter.Done = m.requestDone
	m.gauge("api_requests_in_flight", "Requests to the API server that are under way.", func() float64 { return float64(m.Meter.Underway.Load()) })
	m.count("api_requests_sent_total", "Requests that left for the API server. Each attempt is one, and a request has at most two.", func() float64 { return float64(m.Meter.Sent.Load()) })
	m.gauge("api_connections", "Connections to the API server that are open.", func() float64 { return float64(m.Meter.Connections.Load()) })
	m.count("api_connections_made_total", "Connections to the API server that were made.", func() float64 { return float64(m.Meter.Connected.Load()) })
	m.gauge("api_requests_waiting", "Requests that wait for their turn (max_concurrent_reviews).", func() float64 { return float64(m.Meter.Waiting.Load()) })
}

// requestEnds are what may become of requests to the API server: each failure of those that
// every login needs, and of the others those that say that the reviewer is not let in. Their
// outages are in how logins end.
var requestEnds = sync.OnceValue(func() *rows {
	var all []labels
	for _, op := range slices.Sorted(maps.Keys(requestWords)) {
		all = append(all, requestLabels(op, ""))
		for _, failure := range kube.Failures {
			if op == kube.OpReview || failure.Refuses() {
				all = append(all, requestLabels(op, failure))
			}
		}
	}
	return newRows(all)
})

// requestDone is told of each request to the API server.
func (m *Metrics) requestDone(op string, failure kube.Failure, took time.Duration) {
	m.requests.inc(requestLabels(op, failure))
	if op == kube.OpReview && took > 0 {
		m.reviewSeconds.Observe(took.Seconds())
	}
}

// requestLabels are the values of the labels request and result.
func requestLabels(op string, failure kube.Failure) labels {
	request, ok := requestWords[op]
	if !ok {
		request = Other
	}
	switch {
	case failure == "":
		return labels{request, resultOK}
	case slices.Contains(kube.Failures, failure):
		return labels{request, word(string(failure))}
	}
	return labels{request, Other}
}

// Verified is told how a token was judged without a review, or why it could not be. Both
// are fixed words.
func (m *Metrics) Verified(by, result string) { m.verified.inc(labels{by, word(result)}) }

// verifications are those that settle whose a token is. Doubts are no failures.
var verifications = sync.OnceValue(func() *rows {
	return newRows([]labels{
		{"keys", Confirmed}, {"keys", "wrong_signature"},
		{"live", Confirmed}, {"live", "wrong_signature"}, {"live", "deleted"},
	})
})

// CacheLookup is told whether a review was remembered.
func (m *Metrics) CacheLookup(hit bool) { m.lookups[hit].Inc() }

// word is a text as the value of a label.
func word(text string) string { return strings.ReplaceAll(text, " ", "_") }

func (m *Metrics) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: Prefix + name, Help: help})
	m.Registry.MustRegister(c)
	return c
}

func (m *Metrics) counterVec(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: Prefix + name, Help: help}, labels)
	m.Registry.MustRegister(c)
	return c
}

func (m *Metrics) gauge(name, help string, value func() float64) {
	m.Registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: Prefix + name, Help: help}, value))
}

// count is a counter that is kept elsewhere.
func (m *Metrics) count(name, help string, value func() float64) {
	m.Registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: Prefix + name, Help: help}, value))
}

func (m *Metrics) gaugeVec(name, help string, labels ...string) *prometheus.GaugeVec {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: Prefix + name, Help: help}, labels)
	m.Registry.MustRegister(g)
	return g
}
