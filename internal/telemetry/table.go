package telemetry

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// labels are the values of the labels of one counter, in their order; what a counter has
// fewer of is empty at the end.
type labels [4]string

// rows are the sets of labels that a counter is expected to have. All mounts share them.
type rows struct {
	all   []labels
	index map[labels]int
}

func newRows(all []labels) *rows {
	r := &rows{index: map[labels]int{}}
	for _, row := range all {
		if _, known := r.index[row]; !known {
			r.index[row] = len(r.all)
			r.all = append(r.all, row)
		}
	}
	return r
}

// A table is a counter all of whose expected sets of labels are there at 0: Prometheus sees
// an increase only of what was there before, so of a counter that begins at 1 the first
// failure is in no rate and in no alert. A set costs a mount eight bytes; what scrapers read
// is made for them. A set that is not expected is counted as well, from 1.
type table struct {
	desc   *prometheus.Desc
	rows   *rows
	width  int
	counts []atomic.Uint64
	others *prometheus.CounterVec
	used   atomic.Bool // until then only what was counted is there
}

// table makes a counter that is there from the beginning, unless later says that it is
// not before its first use.
func (m *Metrics) table(name, help string, r *rows, later bool, names ...string) *table {
	t := &table{
		desc: prometheus.NewDesc(Prefix+name, help, names, nil),
		rows: r, width: len(names), counts: make([]atomic.Uint64, len(r.all)),
		others: prometheus.NewCounterVec(prometheus.CounterOpts{Name: Prefix + name, Help: help}, names),
	}
	t.used.Store(!later)
	m.Registry.MustRegister(t)
	return t
}

func (t *table) inc(of labels) {
	t.use()
	if at, expected := t.rows.index[of]; expected {
		t.counts[at].Add(1)
		return
	}
	t.others.WithLabelValues(of[:t.width]...).Inc()
}

// use has all that is expected be there.
func (t *table) use() {
	if !t.used.Load() {
		t.used.Store(true)
	}
}

// Describe is of prometheus.Collector.
func (t *table) Describe(ch chan<- *prometheus.Desc) { ch <- t.desc }

// Collect is of prometheus.Collector.
func (t *table) Collect(ch chan<- prometheus.Metric) {
	for i, row := range t.rows.all {
		if t.used.Load() {
			ch <- prometheus.MustNewConstMetric(t.desc, prometheus.CounterValue, float64(t.counts[i].Load()), row[:t.width]...)
		}
	}
	t.others.Collect(ch)
}
