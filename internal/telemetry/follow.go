package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Followed is what a mount that follows its cluster knows of it.
type Followed struct {
	Age                   time.Duration // of the oldest of it
	ServiceAccounts, Pods int
}

// followed collects that. Where nothing is followed there is no number: 0 would say that
// all is known as of now.
type followed struct {
	now          func() (Followed, bool)
	age, objects *prometheus.Desc
}

// Follow adds what is known of a cluster that is followed; now returns false if none is, or
// not all is known yet.
func (m *Metrics) Follow(now func() (Followed, bool)) {
	m.Registry.MustRegister(&followed{
		now: now,
		age: prometheus.NewDesc(Prefix+"live_age_seconds",
			"How old what verification=live knows is; from live_staleness on the API server is asked about each token. Absent while nothing is followed.", nil, nil),
		objects: prometheus.NewDesc(Prefix+"live_objects",
			"Objects that verification=live knows, by kind. Absent while nothing is followed.", []string{"kind"}, nil),
	})
}

// Describe is called by the registry.
func (f *followed) Describe(to chan<- *prometheus.Desc) { to <- f.age; to <- f.objects }

// Collect is called by the registry.
func (f *followed) Collect(to chan<- prometheus.Metric) {
	known, ok := f.now()
	if !ok {
		return
	}
	to <- prometheus.MustNewConstMetric(f.age, prometheus.GaugeValue, known.Age.Seconds())
	to <- prometheus.MustNewConstMetric(f.objects, prometheus.GaugeValue, float64(known.ServiceAccounts), "service_account")
	to <- prometheus.MustNewConstMetric(f.objects, prometheus.GaugeValue, float64(known.Pods), "pod")
}
