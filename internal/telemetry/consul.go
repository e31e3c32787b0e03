package telemetry

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"vault-plugin-auth-kubernetes/internal/consulacl"
	"vault-plugin-auth-kubernetes/internal/refusal"
)

// The doors by which a Consul token is asked for.
const (
	DoorLogin = "login" // as at a Consul
	DoorLease = "lease" // as a secret of Vault's
)

func (m *Metrics) countConsul() {
	m.consulLogins = m.counterVec("consul_logins_total", "Logins for a Consul token, by door and outcome, and where they were refused by step and class.", "door", "outcome", "step", "class")
	m.consulAllowed = map[string]prometheus.Counter{}
	for _, door := range []string{DoorLogin, DoorLease} {
		m.consulAllowed[door] = m.consulLogins.WithLabelValues(door, "allowed", "", "")
	}
	m.consulRequests = m.counterVec("consul_requests_total", "Requests to Consul, by what was asked for and how it ended.", "request", "result")
	m.ConsulMeter.Done = m.consulRequestDone
	for _, op := range consulacl.Ops {
		m.consulRequests.WithLabelValues(word(op), resultOK)
	}
	counts := func(name, help string, of *atomic.Int64) {
		m.Registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: Prefix + name, Help: help}, func() float64 { return float64(of.Load()) }))
	}
	counts("consul_tokens_made_total", "Consul tokens that were made.", &m.ConsulMeter.Minted)
	counts("consul_tokens_revoked_total", "Consul tokens that were taken back: by logout, and with their lease.", &m.ConsulMeter.Revoked)
	counts("consul_tokens_undone_total", "Consul tokens that nobody got, or that may not have been made, and that are certainly gone.", &m.ConsulMeter.Undone)
	counts("consul_tokens_left_total", "Consul tokens that nobody got, or that may not have been made, and that could not be taken back: they expire by themselves.", &m.ConsulMeter.Left)
	m.gauge("consul_tokens_pending", "Consul tokens that nobody got, or that may not have been made, and that are going to be taken back.", func() float64 { return float64(m.ConsulMeter.Pending.Load()) })
}

// ConsulLogin counts a login for a Consul token that ended with err, nil if it was allowed.
func (m *Metrics) ConsulLogin(door string, err error) {
	if err == nil {
		m.consulAllowed[door].Inc()
		return
	}
	r, at := refusal.WhyEnded(err)
	end := loginEnd{kind: r.Kind, step: at, class: r.Class}
	m.consulLogins.WithLabelValues(append([]string{door}, end.labels()...)...).Inc()
}

// consulRequestDone is told of each request to Consul.
func (m *Metrics) consulRequestDone(op string, failure consulacl.Failure, _ time.Duration) {
	request, result := Other, Other
	if slices.Contains(consulacl.Ops, op) {
		request = word(op)
	}
	switch {
	case failure == "":
		result = resultOK
	case slices.Contains(consulacl.Failures, failure):
		result = word(string(failure))
	}
	m.consulRequests.WithLabelValues(request, result).Inc()
}
