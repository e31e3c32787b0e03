package kube_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/kubetest"
)

func TestProbe(t *testing.T) {
	other := kubetest.Start(t)
	for name, row := range map[string]struct {
		server  kubetest.Options
		change  func(*kube.Options)
		stage   kube.Stage
		failure kube.Failure // "" if there is no error
		// what is wrong with the certificate, if one was shown
		shown, wrongName, untrusted bool
	}{
		"good":               {stage: kube.Arrived, shown: true},
		"good, over HTTP/1":  {server: kubetest.Options{HTTP1: true}, stage: kube.Arrived, shown: true},
		"good, another name": {server: kubetest.Options{Names: []string{"kube.test"}}, change: serverName("kube.test"), stage: kube.Arrived, shown: true},
		"wrong CA": {
			change: func(o *kube.Options) { o.CAPEM = other.CAPEM }, stage: kube.Handshake, failure: kube.TLS, shown: true, untrusted: true,
		},
		"system roots": {
			change: func(o *kube.Options) { o.CAPEM = "" }, stage: kube.Handshake, failure: kube.TLS, shown: true, untrusted: true,
		},
		"wrong name": {
			server: kubetest.Options{Names: []string{"kubernetes.default.svc"}}, stage: kube.Handshake, failure: kube.TLS, shown: true, wrongName: true,
		},
		"wrong tls_server_name": {change: serverName("elsewhere.test"), stage: kube.Handshake, failure: kube.TLS, shown: true, wrongName: true},
		// That it is expired is for the caller to see; its CA and its name are right.
		"expired":       {server: kubetest.Options{NotAfter: time.Now().Add(-time.Minute)}, stage: kube.Handshake, failure: kube.TLS, shown: true},
		"not valid yet": {server: kubetest.Options{NotAfter: time.Now().Add(1000 * time.Hour)}, stage: kube.Handshake, failure: kube.TLS, shown: true},
		"expired, wrong CA and wrong name": {
			server: kubetest.Options{NotAfter: time.Now().Add(-time.Minute), Names: []string{"kubernetes.default.svc"}},
			change: func(o *kube.Options) { o.CAPEM = other.CAPEM },
			stage:  kube.Handshake, failure: kube.TLS, shown: true, wrongName: true, untrusted: true,
		},
		"no common TLS version": {
			server: kubetest.Options{TLS: func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }},
			stage:  kube.Handshake, failure: kube.TLS,
		},
		"https to an http port": {change: plainServer(t), stage: kube.Handshake, failure: kube.TLS},
		"closed port":           {change: func(o *kube.Options) { o.Host.Host = closedPort(t) }, stage: kube.Connecting, failure: kube.Connection},
		"name does not resolve": {change: func(o *kube.Options) { o.Host.Host = "kubernetes.invalid:6443" }, stage: kube.Resolving, failure: kube.DNS},
		"silent port":           {change: silentPort(t), stage: kube.Handshake, failure: kube.Timeout},
		"port that hangs up":    {change: hangingUp(t), stage: kube.Handshake, failure: kube.Connection},
		"http":                  {change: func(o *kube.Options) { o.Host.Scheme = "http" }, stage: kube.Arrived},
	} {
		t.Run(name, func(t *testing.T) {
			s := kubetest.StartWith(t, row.server)
			c := newClient(t, s, func(o *kube.Options) {
				if row.change != nil {
					row.change(o)
				}
			})
			p := c.Probe(t.Context())
			if p.Stage != row.stage {
				t.Errorf("it ends %s, want %s: %v", p.Stage, row.stage, p.Err)
			}
			if row.failure == "" && p.Err != nil {
				t.Error(p.Err)
			} else if row.failure != "" {
				wantFailure(t, p.Err, row.failure)
			}
			if (p.Remote != "") != slices.Contains([]kube.Stage{kube.Handshake, kube.Arrived}, row.stage) {
				t.Errorf("%s: the connection is to %q", p.Stage, p.Remote)
			}
			if (p.Certificate != nil) != row.shown {
				t.Fatalf("the certificate is %v", p.Certificate)
			}
			if row.shown && ((p.Certificate.Name != nil) != row.wrongName || (p.Certificate.Trust != nil) != row.untrusted) {
				t.Errorf("name: %v, trust: %v", p.Certificate.Name, p.Certificate.Trust)
			}
			for _, r := range s.Requests() {
				if r.Bearer != "" || row.failure != "" {
					t.Errorf("%s %s reached the server, with %q", r.Method, r.Path, r.Bearer)
				}
			}
		})
	}
}

func serverName(name string) func(*kube.Options) {
	return func(o *kube.Options) { o.ServerName = name }
}

// hangingUp closes each connection that it accepts, once the client has spoken.
func hangingUp(t *testing.T) func(*kube.Options) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 1))
			_ = conn.Close()
		}
	}()
	return func(o *kube.Options) { o.Host.Host = l.Addr().String() }
}

// connectProxy is an HTTP proxy that takes CONNECT, over TLS if it is to; its answer
// is 200 unless told otherwise.
func connectProxy(t *testing.T, start func(*httptest.Server), status int) (*httptest.Server, *[]http.Header) {
	t.Helper()
	var seen []http.Header
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header.Clone())
		if r.Method != http.MethodConnect || status != http.StatusOK {
			w.WriteHeader(status)
			return
		}
		upstream, err := net.Dial("tcp", r.Host)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer upstream.Close()
		client, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer client.Close()
		_, _ = io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n")
		go func() {
			_, _ = io.Copy(upstream, client)
			_ = upstream.(*net.TCPConn).CloseWrite()
		}()
		_, _ = io.Copy(client, upstream)
	}))
	start(server)
	t.Cleanup(server.Close)
	return server, &seen
}

func through(t *testing.T, proxy string) func(*kube.Options) {
	t.Helper()
	u, err := url.Parse(proxy)
	if err != nil {
		t.Fatal(err)
	}
	return func(o *kube.Options) { o.Proxy = u }
}

func TestProbeThroughAProxy(t *testing.T) {
	s := kubetest.Start(t)
	good, seen := connectProxy(t, (*httptest.Server).Start, http.StatusOK)
	c := newClient(t, s, through(t, good.URL))
	p := c.Probe(t.Context())
	if p.Err != nil || p.Stage != kube.Arrived || "http://"+p.Proxy != good.URL || p.Remote != p.Proxy || p.Certificate == nil {
		t.Errorf("%+v", p)
	}
	if len(*seen) != 1 || (*seen)[0].Get("Authorization") != "" {
		t.Errorf("the proxy saw %v", *seen)
	}
	if _, err := c.Issuer(t.Context()); err != nil {
		t.Errorf("requests do not work as the probe does: %v", err)
	}

	refusing, _ := connectProxy(t, (*httptest.Server).Start, http.StatusForbidden)
	p = newClient(t, s, through(t, refusing.URL)).Probe(t.Context())
	if p.Err == nil || p.Stage != kube.Tunnelling || !strings.HasPrefix(p.ProxyAnswer, "403") || p.Certificate != nil {
		t.Errorf("a proxy that refuses: %+v", p)
	}

	p = newClient(t, s, through(t, "http://"+closedPort(t))).Probe(t.Context())
	if p.Err == nil || p.Stage != kube.Connecting || p.Remote != "" {
		t.Errorf("a proxy that is not there: %+v", p)
	}

	p = newClient(t, s, through(t, good.URL), func(o *kube.Options) { o.CAPEM = kubetest.Start(t).CAPEM }).Probe(t.Context())
	if p.Err == nil || p.Stage != kube.Handshake || p.Certificate == nil || p.Certificate.Trust == nil {
		t.Errorf("another CA behind a proxy: %+v", p)
	}
}

// A proxy that is spoken to over TLS has a certificate of its own. Its password is
// not sent before that was verified.
func TestProbeThroughATLSProxy(t *testing.T) {
	s := kubetest.Start(t)
	proxy, seen := connectProxy(t, (*httptest.Server).StartTLS, http.StatusOK)
	secured := strings.Replace(proxy.URL, "https://", "https://user:password@", 1)

	p := newClient(t, s, through(t, secured)).Probe(t.Context())
	var unverified *tls.CertificateVerificationError
	if p.Stage != kube.Tunnelling || !errors.As(p.Err, &unverified) || p.Certificate != nil || len(*seen) > 0 {
		t.Errorf("an untrusted proxy: %+v, which saw %v", p, *seen)
	}

	both := s.CAPEM + encodeCertificate(proxy.Certificate().Raw)
	p = newClient(t, s, through(t, secured), func(o *kube.Options) { o.CAPEM = both }).Probe(t.Context())
	if p.Err != nil || p.Stage != kube.Arrived || p.Certificate.Leaf.Subject.CommonName != "kube-apiserver" {
		t.Errorf("a trusted proxy: %+v", p)
	}
}

func TestProbeIsBounded(t *testing.T) {
	s := kubetest.Start(t)
	s.Fail(kubetest.Hang())
	c := newClient(t, s)
	start := time.Now()
	if p := c.Probe(t.Context()); p.Err != nil || time.Since(start) > long/2 {
		t.Errorf("it waits for an answer that it does not need: %+v", p)
	}
	ctx, cancel := contextWithTimeout(t, soon)
	defer cancel()
	busy := newClient(t, s, func(o *kube.Options) { o.MaxConcurrent = 1 })
	go func() { _, _ = busy.Issuer(ctx) }()
	await(t, func() bool { return s.Count(kubetest.Discovery) > 0 })
	wantFailure(t, busy.Probe(ctx).Err, kube.Busy)
}
