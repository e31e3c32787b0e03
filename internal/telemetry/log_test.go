package telemetry

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"vault-plugin-auth-kubernetes/internal/logtest"
	"vault-plugin-auth-kubernetes/internal/refusal"
)

func outage(class string) error {
	return &refusal.StepError{Step: "token review", Err: &refusal.Refusal{Kind: refusal.CouldNotAsk, Reason: "no answer", Remedy: "look", Class: class, Operator: true}}
}

// Operators filter and alert on these.
func TestLogKeys(t *testing.T) {
	for name, row := range map[string]struct {
		err     error
		level   hclog.Level
		message string
		keys    []string
		fields  map[string]string
	}{
		"denial": {
			err:   &refusal.StepError{Step: "namespace", Err: refusal.Deny("not bound")},
			level: hclog.Debug, message: "login refused",
			keys:   []string{"mount", "role", "step", "outcome", "class", "reason"},
			fields: map[string]string{"mount": "auth/k/", "role": "demo", "step": "namespace", "outcome": "denied", "class": "denied", "reason": "not bound"},
		},
		"wrapped denial": {
			err:   &refusal.StepError{Step: "signature", Err: refusal.DenyFor(errors.New("no key"))},
			level: hclog.Debug, message: "login refused",
			keys:   []string{"mount", "role", "step", "outcome", "class", "reason"},
			fields: map[string]string{"mount": "auth/k/", "role": "demo", "step": "signature", "outcome": "denied", "class": "denied", "reason": "no key"},
		},
		"invalid request": {
			err:   refusal.OfRequest("missing jwt", "missing jwt"),
			level: hclog.Debug, message: "login refused",
			keys:   []string{"mount", "role", "step", "outcome", "class", "reason"},
			fields: map[string]string{"mount": "auth/k/", "role": "", "step": "request", "outcome": "invalid", "class": "invalid request", "reason": "missing jwt"},
		},
		"outage": {
			err:   outage("timeout"),
			level: hclog.Warn, message: "logins fail and need an operator",
			keys: []string{"mount", "role", "step", "outcome", "class", "reason", "remedy"},
			fields: map[string]string{
				"mount": "auth/k/", "role": "demo", "step": "token review", "outcome": "could not ask", "class": "timeout", "reason": "no answer", "remedy": "look",
			},
		},
		"storage": {
			err:   errors.New("reading: storage is sealed"),
			level: hclog.Warn, message: "logins fail and need an operator",
			keys:   []string{"mount", "role", "step", "outcome", "class", "reason"},
			fields: map[string]string{"mount": "auth/k/", "role": "", "step": "request", "outcome": "error", "class": "storage", "reason": "reading: storage is sealed"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := logtest.New()
			NewLog().Refused(l, "auth/k/", "demo", row.err)
			got := l.One(t)
			if got.Level != row.level || got.Message != row.message || !slices.Equal(got.Keys, row.keys) {
				t.Errorf("logged %s with the keys %q", got, got.Keys)
			}
			if !maps.Equal(got.Fields, row.fields) {
				t.Errorf("the line are %v, want %v", got.Fields, row.fields)
			}
		})
	}
}

// The first line comes at once, further ones of its kind once in ten seconds, with
// the number of those that did not.
func TestLogIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, log := logtest.New(), NewLog()
		refuse := func(times int, class string) []logtest.Line {
			for range times {
				log.Refused(l, "auth/k/", "demo", outage(class))
			}
			return l.Take()
		}
		if got := refuse(100, "timeout"); len(got) != 1 || got[0].Fields["suppressed"] != "" {
			t.Errorf("logged %v, want one line", got)
		}
		if got := refuse(1, "dns"); len(got) != 1 {
			t.Errorf("another kind of trouble: logged %v, want one line", got)
		}
		time.Sleep(logEvery - time.Nanosecond) // in the bubble's time
		if got := refuse(1, "timeout"); len(got) != 0 {
			t.Errorf("too early: logged %v", got)
		}
		time.Sleep(time.Nanosecond)
		if got := refuse(3, "timeout"); len(got) != 1 || got[0].Fields["suppressed"] != "100" {
			t.Errorf("logged %v, want one line that says 100", got)
		}
		time.Sleep(logEvery)
		if got := refuse(1, "timeout"); len(got) != 1 || got[0].Fields["suppressed"] != "2" {
			t.Errorf("logged %v, want one line that says 2", got)
		}
		time.Sleep(logEvery)
		if got := refuse(1, "timeout"); len(got) != 1 || got[0].Fields["suppressed"] != "" {
			t.Errorf("logged %v, want one line that says nothing of others", got)
		}
	})
}

// Strangers cannot make memory grow: the kinds are made of fixed words.
func TestLogRemembersKindsAlone(t *testing.T) {
	l, log := logtest.New(), NewLog()
	for i := range 50 {
		log.Refused(l, "auth/k/", fmt.Sprint("role-", i), &refusal.StepError{Step: refusal.StepReview, Err: &refusal.Refusal{
			Kind: refusal.CouldNotAsk, Operator: true, Class: "timeout", Reason: fmt.Sprint("trouble ", i), Remedy: fmt.Sprint("look ", i),
		}})
	}
	if got := len(log.kinds); got != 1 {
		t.Errorf("%d kinds after one kind of trouble: %v", got, log.kinds)
	}
}

func TestLogAtTheSameTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, log := logtest.New(), NewLog()
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				for range 10 {
					log.Refused(l, "auth/k/", "demo", outage("timeout"))
				}
			})
		}
		all.Wait()
		time.Sleep(logEvery)
		log.Refused(l, "auth/k/", "demo", outage("timeout"))
		lines := l.Take()
		if len(lines) != 2 || lines[1].Fields["suppressed"] != "99" {
			t.Errorf("logged %v, want two lines, the second of which says 99", lines)
		}
	})
}

func TestLongReasonsAreCut(t *testing.T) {
	l := logtest.New()
	NewLog().Refused(l, "auth/k/", "demo", &refusal.StepError{Step: "x", Err: refusal.Deny(strings.Repeat("x", 1<<20))})
	if got := l.One(t).Fields["reason"]; len(got) > MaxLoggedBytes+len("…") || !strings.HasPrefix(got, "xxx") {
		t.Errorf("the reason has %d bytes", len(got))
	}
}
