package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// ends are gauges that are there only while somebody knows when something ends.
type ends struct {
	left, life *prometheus.Desc
	ends       func() (at time.Time, life time.Duration, known bool)
	now        func() time.Time
}

// ReviewerEnds has the metrics tell how long the reviewer's credential is still good, and how
// long it was in all: what is little for one that lasts a year is much for one that is replaced
// each hour. A life of 0 is not known.
func (m *Metrics) ReviewerEnds(at func() (at time.Time, life time.Duration, known bool), now func() time.Time) {
	m.Registry.MustRegister(&ends{
		left: prometheus.NewDesc(Prefix+"reviewer_seconds_left",
			"How long the reviewer's token or certificate is still good; below 0 once it ended. Not there where it has no end, or no login used it on this node.", nil, nil),
		life: prometheus.NewDesc(Prefix+"reviewer_lifetime_seconds",
			"How long the reviewer's token or certificate was good when it was made. Not there where it does not tell.", nil, nil),
		ends: at, now: now,
	})
}

// Describe is of prometheus.Collector.
func (e *ends) Describe(to chan<- *prometheus.Desc) {
	to <- e.left
	to <- e.life
}

// Collect is of prometheus.Collector.
func (e *ends) Collect(to chan<- prometheus.Metric) {
	at, life, known := e.ends()
	if !known {
		return
	}
	to <- prometheus.MustNewConstMetric(e.left, prometheus.GaugeValue, at.Sub(e.now()).Seconds())
	if life > 0 {
		to <- prometheus.MustNewConstMetric(e.life, prometheus.GaugeValue, life.Seconds())
	}
}
