package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// ends is a gauge that is there only while somebody knows when something ends.
type ends struct {
	description *prometheus.Desc
	ends        func() (at time.Time, known bool)
	now         func() time.Time
}

// ReviewerEnds has the metrics tell how long the reviewer's credential is still good.
func (m *Metrics) ReviewerEnds(at func() (at time.Time, known bool), now func() time.Time) {
	m.Registry.MustRegister(&ends{
		description: prometheus.NewDesc(Prefix+"reviewer_seconds_left",
			"How long the reviewer's token or certificate is still good; below 0 once it ended. Not there where it has no end, or no login used it on this node.", nil, nil),
		ends: at, now: now,
	})
}

// Describe is of prometheus.Collector.
func (e *ends) Describe(to chan<- *prometheus.Desc) { to <- e.description }

// Collect is of prometheus.Collector.
func (e *ends) Collect(to chan<- prometheus.Metric) {
	if at, known := e.ends(); known {
		to <- prometheus.MustNewConstMetric(e.description, prometheus.GaugeValue, at.Sub(e.now()).Seconds())
	}
}
