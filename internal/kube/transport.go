package kube

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"time"
)

// maxResponseBytes bounds one answer of the API server. etcd does not store
// objects beyond about 1.5 MiB, so no real answer is near it.
const maxResponseBytes = 4 << 20

// Health of connections: a connection that was quiet this long is probed, and
// closed when the probe is not answered, so that a peer that vanished without a
// word is noticed in seconds and not by TCP's retransmission timeout.
const (
	pingAfter   = 5 * time.Second
	pingTimeout = 5 * time.Second
)

// errClosed marks an answer that ended early.
var errClosed = io.ErrUnexpectedEOF

// newTransport makes a transport of its own for each client. client-go's cache
// of transports is avoided on purpose: it never forgets, and here every change
// of configuration makes a new one.
func newTransport(o Options) (*http.Transport, error) {
	tlsConfig := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CAPEM != "" {
		tlsConfig.RootCAs = x509.NewCertPool()
		if !tlsConfig.RootCAs.AppendCertsFromPEM([]byte(o.CAPEM)) {
			return nil, errors.New("the CA data holds no valid certificate")
		}
	}
	dialer := &net.Dialer{Timeout: o.RequestTimeout, KeepAlive: 15 * time.Second}
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         dialer.DialContext,
		TLSClientConfig:     tlsConfig,
		TLSHandshakeTimeout: o.RequestTimeout,
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: 64, // only matters where a proxy speaks HTTP/1.1
		IdleConnTimeout:     90 * time.Second,
		HTTP2:               &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
	}, nil
}

func newHTTPClient(transport http.RoundTripper, credential func() string) *http.Client {
	return &http.Client{
		Transport: &authenticated{next: transport, credential: credential},
		// A redirect would take the credential, or the token under review, to
		// a host that nobody configured. The 3xx itself becomes an error.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

type fallbackCredentialKey struct{}

// withFallbackCredential keeps the token that a request is about at hand for the
// case that no reviewer credential is configured.
func withFallbackCredential(ctx context.Context, token string) context.Context {
	return context.WithValue(ctx, fallbackCredentialKey{}, token)
}

// authenticated adds the bearer token to requests and bounds their answers.
type authenticated struct {
	next       http.RoundTripper
	credential func() string
}

func (a *authenticated) RoundTrip(r *http.Request) (*http.Response, error) {
	bearer := a.credential()
	if bearer == "" {
		bearer, _ = r.Context().Value(fallbackCredentialKey{}).(string)
	}
	r = r.Clone(r.Context()) // a RoundTripper must not modify its argument
	r.Header.Set("Authorization", "Bearer "+bearer)
	response, err := a.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	response.Body = http.MaxBytesReader(nil, response.Body, maxResponseBytes)
	return response, nil
}
