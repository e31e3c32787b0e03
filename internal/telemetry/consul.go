package telemetry

import (
	"slices"
	"sync"
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
	m.consulLogins = m.table("consul_logins_total", "Logins for a Consul token, by door and outcome, and where they were refused by step and class.", consulEnds(), true, "door", "outcome", "step", "class")
	m.consulRequests = m.table("consul_requests_total", "Requests to Consul, by what was asked for and how it ended.", consulRequestEnds(), true, "request", "result")
	m.ConsulMeter.Done = m.consulRequestDone
	counts := func(name, help string, of *atomic.Int64) {
		m.Registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: Prefix + name, Help: help}, func() float64 { return float64(of.Load()) }))
	}
	counts("consul_tokens_made_total", "Consul tokens that were made.", &m.ConsulMeter.Minted)
	counts("consul_tokens_revoked_total", "Consul tokens that were taken back: by logout, and with their lease.", &m.ConsulMeter.Revoked)
	counts("consul_tokens_undone_total", "Consul tokens that nobody got, or that may not have been made, and that are certainly gone.", &m.ConsulMeter.Undone)
	counts("consul_tokens_left_total", "Consul tokens that nobody got, or that may not have been made, and that could not be taken back: they expire by themselves.", &m.ConsulMeter.Left)
	m.gauge("consul_tokens_pending", "Consul tokens that nobody got, or that may not have been made, and that are going to be taken back.", func() float64 { return float64(m.ConsulMeter.Pending.Load()) })
}

// UseConsul has the counters of Consul be there at 0, in a mount that has a Consul.
func (m *Metrics) UseConsul() {
	m.consulLogins.use()
	m.consulRequests.use()
}

// consulEnds are the ways in which logins for a Consul token may end.
var consulEnds = sync.OnceValue(func() *rows {
	ends := []loginEnd{
		{refusal.Invalid, refusal.StepRequest, refusal.ClassInvalid},
		{refusal.Kind(0), refusal.StepRequest, refusal.ClassStorage},
		{refusal.Denied, refusal.StepConsulRules, refusal.ClassInvalidName},
		{refusal.CouldNotAsk, refusal.StepConfiguration, refusal.ClassConfiguration},
		{refusal.Denied, refusal.StepReview, refusal.ClassNoReviewer},
	}
	for _, s := range refusal.ConsulSteps {
		if s != refusal.StepConfiguration {
			ends = append(ends, loginEnd{refusal.Denied, s, refusal.ClassDenied})
		}
	}
	for _, failure := range consulacl.Failures {
		ends = append(ends, loginEnd{refusal.CouldNotAsk, refusal.StepConsulToken, string(failure)})
	}
	ends = append(ends, failuresIn(refusal.StepReview)...)
	var all []labels
	for _, door := range []string{DoorLogin, DoorLease} {
		all = append(all, labels{door, allowed[0]})
		for _, end := range ends {
			all = append(all, end.of(door))
		}
	}
	return newRows(all)
})

// of are the labels of a login by a door.
func (e loginEnd) of(door string) labels {
	l := e.labels()
	return labels{door, l[0], l[1], l[2]}
}

// consulRequestEnds are what may become of requests to Consul: of a token that is made each
// failure, since that is what logins need.
var consulRequestEnds = sync.OnceValue(func() *rows {
	var all []labels
	for _, op := range consulacl.Ops {
		all = append(all, labels{word(op), resultOK})
		for _, failure := range consulacl.Failures {
			if op == consulacl.OpCreate {
				all = append(all, labels{word(op), word(string(failure))})
			}
		}
	}
	return newRows(all)
})

// ConsulLogin counts a login for a Consul token that ended with err, nil if it was allowed.
func (m *Metrics) ConsulLogin(door string, err error) {
	if err == nil {
		m.consulLogins.inc(labels{door, allowed[0]})
		return
	}
	r, at := refusal.WhyEnded(err)
	m.consulLogins.inc(loginEnd{kind: r.Kind, step: at, class: r.Class}.of(door))
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
	m.consulRequests.inc(labels{request, result})
}
