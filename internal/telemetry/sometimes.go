package telemetry

import (
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"vault-plugin-auth-kubernetes/internal/refusal"
)

// troubleKind is made of fixed words only, so there are few of them.
type troubleKind struct {
	step  refusal.Step
	class string
}

type trouble struct {
	sometimes  rate.Sometimes
	suppressed atomic.Int64
	// line is when its last line was written, in nanoseconds since 1970.
	line atomic.Int64
}

func newTrouble() *trouble {
	t := &trouble{sometimes: rate.Sometimes{First: 1, Interval: logEvery}}
	t.line.Store(time.Now().UnixNano()) // it is there to write one at once
	return t
}

func (l *Log) sometimes(kind troubleKind, tenant string, write func(suppressed int64)) {
	t := l.trouble(kind, tenant)
	written := false
	t.sometimes.Do(func() {
		written = true
		t.line.Store(time.Now().UnixNano())
		write(t.suppressed.Swap(0))
	})
	if !written {
		t.suppressed.Add(1)
	}
}

// trouble is where lines of a kind are limited, together with those of the same tenant
// if there is one.
func (l *Log) trouble(kind troubleKind, tenant string) *trouble {
	l.mu.Lock()
	defer l.mu.Unlock()
	if tenant != "" {
		if t := l.ofTenant(tenantTrouble{kind, tenant}); t != nil {
			return t
		}
	}
	t, ok := l.kinds[kind]
	if !ok {
		t = newTrouble()
		l.kinds[kind] = t
	}
	return t
}
