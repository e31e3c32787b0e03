package telemetry

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"vault-plugin-auth-kubernetes/internal/logtest"
	"vault-plugin-auth-kubernetes/internal/refusal"
)

func troubleOf(namespace, class string) error {
	return &refusal.StepError{Step: "binding rules", Err: &refusal.Refusal{Kind: refusal.Denied, Operator: true, Tenant: namespace, Class: class, Reason: "no valid name"}}
}

// What the owner of one namespace causes, however much it is, hides no line of another.
func TestTenantsDoNotHideEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, log := logtest.New(), NewLog()
		flood := func(namespace string, times int) []logtest.Line {
			for range times {
				log.Refused(l, "auth/k/", "", troubleOf(namespace, "invalid name"))
			}
			return l.Take()
		}
		if got := flood("evil", 10_000); len(got) != 1 || got[0].Fields["namespace"] != "evil" {
			t.Errorf("a flood: logged %v, want one line that names the namespace", got)
		}
		if got := flood("shop", 1); len(got) != 1 || got[0].Level != hclog.Warn || got[0].Fields["namespace"] != "shop" || got[0].Fields["suppressed"] != "" {
			t.Errorf("the victim: logged %v, want its line at once", got)
		}
		time.Sleep(logEvery)
		if got := flood("evil", 1); len(got) != 1 || got[0].Fields["suppressed"] != "9999" {
			t.Errorf("later: logged %v, want one line that says 9999", got)
		}
	})
}

// Many namespaces neither fill the memory nor the log.
func TestTenantsAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, log := logtest.New(), NewLog()
		for range 3 {
			for i := range 10_000 {
				log.Refused(l, "auth/k/", "", troubleOf(fmt.Sprint("ns-", i), "invalid name"))
			}
		}
		if got := len(l.Take()); got != maxTenantTroubles+1 {
			t.Errorf("%d lines, want one for each of %d namespaces and one for the rest", got, maxTenantTroubles)
		}
		if len(log.tenants) > maxTenantTroubles {
			t.Errorf("%d namespaces are remembered", len(log.tenants))
		}
		time.Sleep(logEvery)
		log.Refused(l, "auth/k/", "", troubleOf("late", "invalid name"))
		if got := l.Take(); len(got) != 1 || got[0].Fields["namespace"] != "late" || len(log.tenants) != 1 {
			t.Errorf("once they are quiet: logged %v, %d namespaces are remembered", got, len(log.tenants))
		}
	})
}
