package faults

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestUnreachable is the table of what the log says where there is no answer at
// all. The client always reads the same.
func TestUnreachable(t *testing.T) {
	const checkCA = "check kubernetes_ca_cert against the API server's certificate, and that its name covers kubernetes_host"
	api := newFakeAPI(t, vouches)
	plain := httptest.NewUnstartedServer(http.HandlerFunc(vouches))
	plain.Config.ErrorLog = log.New(io.Discard, "", 0) // it gets what it cannot read
	plain.Start()
	t.Cleanup(plain.Close)
	for _, row := range []struct {
		name, host, caPEM     string
		class, reason, remedy string
	}{
		{
			"another authority", api.url, kube.CAPEM,
			"tls", "certificate", checkCA,
		},
		{
			"a name that the certificate lacks", strings.Replace(api.url, "127.0.0.1", "localhost", 1), api.caPEM,
			"tls", "not localhost", checkCA,
		},
		{
			"plain HTTP", strings.Replace(plain.URL, "http:", "https:", 1), kube.CAPEM,
			"unusable answer", "HTTP response to HTTPS client", checkIsAPI,
		},
		{
			"refused connection", "https://" + freePorts(t, 1)[0], kube.CAPEM,
			"connection", "connection refused", checkReachable,
		},
		{
			// No name ends a label so, and the resolver need not ask anybody for it.
			"a name that does not exist", "https://kubernetes-.invalid:6443", kube.CAPEM,
			"dns", "kubernetes-.invalid", "check the name in kubernetes_host and the resolver of the machine that runs Vault",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			m := newMount(t)
			m.configure(t, row.host, row.caPEM)
			token := kube.newToken(t)
			a := m.login(t, token)
			if a.status != http.StatusServiceUnavailable || strings.TrimSpace(a.body) != unavailableBody {
				t.Errorf("want 503 %s, got %v", unavailableBody, a)
			}
			if a.took > 20*time.Second+allowed(t, time.Second) {
				t.Errorf("the login took %v, which is beyond two attempts", a.took)
			}
			checkLog(t, m, answerRow{
				status: a.status, outcome: "could not ask", class: row.class, reason: row.reason, remedy: row.remedy,
			}, token)
		})
	}
}
