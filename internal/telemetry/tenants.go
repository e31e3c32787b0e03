package telemetry

import (
	"maps"
	"time"
)

// maxTenantTroubles bounds what is remembered of namespaces, and with logEvery how many
// lines all of them together can cause.
const maxTenantTroubles = 256

// tenantTrouble is a kind of trouble in one namespace.
type tenantTrouble struct {
	kind   troubleKind
	tenant string
}

// ofTenant is where the lines of a namespace are limited; nil where so many others have
// had one within the last moments that the rest has to share a limit. It is called with
// the lock.
func (l *Log) ofTenant(key tenantTrouble) *trouble {
	if t, ok := l.tenants[key]; ok {
		return t
	}
	if len(l.tenants) >= maxTenantTroubles {
		// Those that may write a line again need not be remembered.
		before := time.Now().Add(-logEvery).UnixNano()
		maps.DeleteFunc(l.tenants, func(_ tenantTrouble, t *trouble) bool { return t.line.Load() <= before })
	}
	if len(l.tenants) >= maxTenantTroubles {
		return nil
	}
	t := newTrouble()
	l.tenants[key] = t
	return t
}
