package kube_test

import (
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/kubetest"
)

// Each way in which a server fails, seen by each call.
func TestFailures(t *testing.T) {
	for name, row := range map[string]struct {
		fault   kubetest.Fault
		want    kube.Failure
		timeout time.Duration
	}{
		"credential rejected":             {kubetest.Status(http.StatusUnauthorized), kube.Unauthorized, long},
		"permission missing":              {kubetest.Status(http.StatusForbidden), kube.Forbidden, long},
		"object missing":                  {kubetest.Status(http.StatusNotFound), kube.NotFound, long},
		"throttled":                       {kubetest.Status(http.StatusTooManyRequests), kube.Throttled, long},
		"throttled beyond the deadline":   {kubetest.RetryAfter(http.StatusTooManyRequests, 3600), kube.Throttled, long},
		"internal error":                  {kubetest.Status(http.StatusInternalServerError), kube.ServerError, long},
		"unavailable":                     {kubetest.Status(http.StatusServiceUnavailable), kube.ServerError, long},
		"unavailable beyond the deadline": {kubetest.RetryAfter(http.StatusServiceUnavailable, 3600), kube.ServerError, long},
		"gateway timeout":                 {kubetest.HTML(http.StatusGatewayTimeout), kube.ServerError, long},
		"bad request":                     {kubetest.Status(http.StatusBadRequest), kube.Malformed, long},
		"path missing":                    {http.NotFound, kube.Malformed, long},
		"page of a proxy":                 {kubetest.HTML(http.StatusOK), kube.Malformed, long},
		"login page of a proxy":           {kubetest.HTML(http.StatusUnauthorized), kube.Malformed, long},
		"block page of a firewall":        {kubetest.HTML(http.StatusForbidden), kube.Malformed, long},
		"page missing":                    {kubetest.HTML(http.StatusNotFound), kube.Malformed, long},
		"wrong kind":                      {kubetest.WrongKind(), kube.Malformed, long},
		"no kind":                         {kubetest.Text(http.StatusOK, "application/json", `{}`), kube.Malformed, long},
		"success without an object":       {kubetest.Text(http.StatusOK, "application/json", `{"kind":"Status","apiVersion":"v1","status":"Success"}`), kube.Malformed, long},
		"nothing":                         {kubetest.Text(http.StatusOK, "application/json", ""), kube.Malformed, long},
		"no content":                      {kubetest.Text(http.StatusNoContent, "", ""), kube.Malformed, long},
		"not JSON":                        {kubetest.Text(http.StatusOK, "application/json", "<html>"), kube.Malformed, long},
		"JSON null":                       {kubetest.Text(http.StatusOK, "application/json", "null"), kube.Malformed, long},
		"JSON of another shape":           {kubetest.Text(http.StatusOK, "application/json", `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","status":[]}`), kube.Malformed, long},
		"redirect":                        {kubetest.Redirect(http.StatusFound, "https://example.invalid/"), kube.Malformed, long},
		"redirect that keeps the method":  {kubetest.Redirect(http.StatusTemporaryRedirect, "https://example.invalid/"), kube.Malformed, long},
		"too large":                       {kubetest.Oversize(8<<20, nil), kube.Malformed, long},
		"hangs":                           {kubetest.Hang(), kube.Timeout, soon},
		"never ends":                      {kubetest.Slow(soon / 10), kube.Timeout, soon},
		"truncated":                       {kubetest.Truncate(), kube.Connection, long},
	} {
		t.Run(name, func(t *testing.T) {
			for protocol, o := range map[string]kubetest.Options{"HTTP/2": {}, "HTTP/1.1": {HTTP1: true}} {
				s := kubetest.StartWith(t, o)
				c := newClient(t, s, timeout(row.timeout))
				s.Fail(row.fault)
				for call, ask := range everyCall() {
					t.Run(protocol+" "+call, func(t *testing.T) { wantFailure(t, ask(t.Context(), c), row.want) })
				}
			}
		})
	}
}

func TestConnectionBreaks(t *testing.T) {
	for name, fault := range map[string]kubetest.Fault{
		"connection closed": kubetest.CloseConnection(),
		"stream reset":      kubetest.ResetStream(),
	} {
		for protocol, o := range map[string]kubetest.Options{"HTTP/2": {}, "HTTP/1.1": {HTTP1: true}} {
			for call, ask := range calls {
				t.Run(name+" "+protocol+" "+call, func(t *testing.T) {
					t.Parallel()
					s := kubetest.StartWith(t, o)
					s.Fail(fault)
					wantFailure(t, ask(t.Context(), newClient(t, s)), kube.Connection)
				})
			}
		}
	}
}

// The API server answers with a page and may, or may not, cut the connection
// before it was read.
func TestHTTPToAnHTTPSPort(t *testing.T) {
	s := kubetest.Start(t)
	c := newClient(t, s, func(o *kube.Options) { o.Host.Scheme = "http" })
	for call, ask := range calls {
		t.Run(call, func(t *testing.T) { wantFailure(t, ask(t.Context(), c), kube.Malformed, kube.Connection) })
	}
}

func TestFailuresBeforeTheRequest(t *testing.T) {
	expired := kubetest.Options{NotAfter: time.Now().Add(-time.Minute)}
	otherName := kubetest.Options{Names: []string{"kubernetes.default.svc"}}
	clientCertificate := kubetest.Options{TLS: func(c *tls.Config) { c.ClientAuth, c.MaxVersion = tls.RequireAnyClientCert, tls.VersionTLS12 }}
	oldTLS := kubetest.Options{TLS: func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }}
	other := kubetest.Start(t)
	for name, row := range map[string]struct {
		server kubetest.Options
		change func(*kube.Options)
		want   kube.Failure
	}{
		"wrong CA":                     {change: func(o *kube.Options) { o.CAPEM = other.CAPEM }, want: kube.TLS},
		"system roots":                 {change: func(o *kube.Options) { o.CAPEM = "" }, want: kube.TLS},
		"wrong name":                   {server: otherName, want: kube.TLS},
		"expired certificate":          {server: expired, want: kube.TLS},
		"client certificate asked for": {server: clientCertificate, want: kube.TLS},
		"no common TLS version":        {server: oldTLS, want: kube.TLS},
		"https to an http port":        {change: plainServer(t), want: kube.Malformed},
		"closed port":                  {change: func(o *kube.Options) { o.Host.Host = closedPort(t) }, want: kube.Connection},
		"name does not resolve":        {change: func(o *kube.Options) { o.Host.Host = "kubernetes.invalid" }, want: kube.DNS},
		"silent port":                  {change: silentPort(t), want: kube.Timeout},
		"credential with a newline":    {change: credential("a\nb"), want: kube.Setup},
	} {
		t.Run(name, func(t *testing.T) {
			s := kubetest.StartWith(t, row.server)
			c := newClient(t, s, func(o *kube.Options) {
				if row.change != nil {
					row.change(o)
				}
			})
			for call, ask := range everyCall() {
				t.Run(call, func(t *testing.T) { wantFailure(t, ask(t.Context(), c), row.want) })
			}
			if requests := s.Requests(); len(requests) > 0 {
				t.Errorf("%+v reached the server", requests[0])
			}
		})
	}
}

func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// silentPort accepts connections and says nothing.
func silentPort(t *testing.T) func(*kube.Options) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return func(o *kube.Options) { o.Host.Host, o.RequestTimeout = l.Addr().String(), soon }
}

// plainServer speaks HTTP where HTTPS is expected.
func plainServer(t *testing.T) func(*kube.Options) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: long}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { server.Close() })
	return func(o *kube.Options) { o.Host.Host = l.Addr().String() }
}

func TestBadCA(t *testing.T) {
	host, err := kube.ParseHost("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	_, err = kube.New(kube.Options{Host: host, CAPEM: "garbage", Credential: func() string { return "" }, RequestTimeout: long})
	wantFailure(t, err, kube.Setup)
}

// No error text may hold a token: errors are logged.
func TestErrorsHoldNoToken(t *testing.T) {
	for name, fault := range map[string]kubetest.Fault{
		"credential rejected": kubetest.Status(http.StatusUnauthorized),
		"page of a proxy":     kubetest.HTML(http.StatusBadGateway),
		"connection closed":   kubetest.CloseConnection(),
		"redirect":            kubetest.Redirect(http.StatusFound, "/"),
	} {
		for call, ask := range everyCall() {
			t.Run(name+" "+call, func(t *testing.T) {
				s := kubetest.Start(t)
				s.Fail(fault)
				err := ask(t.Context(), newClient(t, s, timeout(soon)))
				if err == nil {
					t.Fatal("no error")
				}
				for _, secret := range []string{s.Reviewer, loginToken, "Authorization", "Bearer"} {
					if strings.Contains(err.Error(), secret) {
						t.Errorf("the error holds %q: %v", secret, err)
					}
				}
			})
		}
	}
}
