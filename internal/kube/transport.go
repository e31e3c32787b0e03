package kube

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"
)

// Health of connections: a connection that was quiet this long is probed, and
// closed when the probe is not answered, so that a peer that vanished without a
// word is noticed in seconds and not by TCP's retransmission timeout.
const (
	pingAfter   = 2 * time.Second
	pingTimeout = 3 * time.Second
)

// renewable is a transport that can be replaced by a fresh one, with connections
// of its own, while requests are under way.
type renewable struct {
	make    func() *http.Transport
	current atomic.Pointer[http.Transport]
}

// newTransport makes transports of its own for each client. client-go's cache of
// transports is avoided on purpose: it never forgets, and here every change of
// configuration makes a new one.
func newTransport(o Options) (*renewable, error) {
	tlsConfig := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: o.ServerName}
	if o.CAPEM != "" {
		tlsConfig.RootCAs = x509.NewCertPool()
		if !tlsConfig.RootCAs.AppendCertsFromPEM([]byte(o.CAPEM)) {
			return nil, errors.New("the CA data holds no valid certificate")
		}
	}
	proxy := environmentProxy
	if o.Proxy != nil {
		proxy = http.ProxyURL(o.Proxy)
	}
	dialer := &net.Dialer{Timeout: o.RequestTimeout, KeepAlive: 15 * time.Second}
	r := &renewable{make: func() *http.Transport {
		return &http.Transport{
			Proxy:               proxy,
			DialContext:         dialer.DialContext,
			TLSClientConfig:     tlsConfig.Clone(),
			TLSHandshakeTimeout: o.RequestTimeout,
			ForceAttemptHTTP2:   true,
			MaxIdleConnsPerHost: 64, // only matters where a proxy speaks HTTP/1.1
			IdleConnTimeout:     90 * time.Second,
			HTTP2:               &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
		}
	}}
	r.current.Store(r.make())
	return r, nil
}

// proxyOf is the proxy on the way to a host; nil if there is none.
func proxyOf(r *renewable, host *url.URL) *url.URL {
	proxy, err := r.current.Load().Proxy(&http.Request{URL: host})
	if err != nil {
		return nil // it says so at each request
	}
	return proxy
}

func (r *renewable) RoundTrip(request *http.Request) (*http.Response, error) {
	return r.current.Load().RoundTrip(request)
}

// renew replaces old, unless somebody did already. Requests that are under way on
// it end there.
func (r *renewable) renew(old *http.Transport) {
	if r.current.CompareAndSwap(old, r.make()) {
		old.CloseIdleConnections()
	}
}

func (r *renewable) closeIdle() { r.current.Load().CloseIdleConnections() }

func newHTTPClient(transport http.RoundTripper, o Options) *http.Client {
	return &http.Client{
		Transport: &authenticated{next: transport, credential: o.Credential, userAgent: o.UserAgent},
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

// withoutCredential makes a request anonymous.
func withoutCredential(ctx context.Context) context.Context {
	return context.WithValue(ctx, anonymousKey{}, true)
}

type anonymousKey struct{}

// errUnsendable is about a credential such as one with a line break within.
var errUnsendable = errors.New("the reviewer's credential holds characters that no token has")

// authenticated adds the bearer token and the user agent to requests, and bounds
// their answers in size and patience.
type authenticated struct {
	next       http.RoundTripper
	credential func() string
	userAgent  string
}

func (a *authenticated) RoundTrip(r *http.Request) (*http.Response, error) {
	bearer, known := a.bearer(r.Context()), sentIn(r.Context())
	known.secrets = known.secrets.And(bearer) // a pod's token may have been renewed since
	if !httpguts.ValidHeaderFieldValue(bearer) {
		if r.Body != nil {
			_ = r.Body.Close() // as a RoundTripper must, also when it fails
		}
		return nil, errUnsendable
	}
	r = r.WithContext(r.Context()) // a RoundTripper must not modify its argument
	r.Header = r.Header.Clone()
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	r.Header.Set("User-Agent", a.userAgent)
	asked := time.Now()
	response, err := a.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	observe(r.Context(), asked, response)
	if wait, late := retryTooLate(r.Context(), response); late {
		// client-go would wait for nothing, and report a timeout in place of
		// what the API server said.
		response.Header.Del("Retry-After")
		if asked, ok := r.Context().Value(patienceKey{}).(*patience); ok {
			asked.wait = wait
		}
	}
	response.Body = &boundedBody{ReadCloser: response.Body, left: maxResponseBytes}
	if response.StatusCode < http.StatusOK || response.StatusCode >= http.StatusMultipleChoices {
		response.Body = &clearedBody{ReadCloser: response.Body, known: known, header: response.Header}
	}
	return response, nil
}

// bearer is the token to send, or "" for none.
func (a *authenticated) bearer(ctx context.Context) string {
	if anonymous, _ := ctx.Value(anonymousKey{}).(bool); anonymous {
		return ""
	}
	if bearer := a.credential(); bearer != "" {
		return bearer
	}
	fallback, _ := ctx.Value(fallbackCredentialKey{}).(string)
	return fallback
}

// retryTooLate tells whether the API server asks to come back, after a while, when
// the deadline of the attempt will have passed.
func retryTooLate(ctx context.Context, response *http.Response) (wait time.Duration, late bool) {
	deadline, limited := ctx.Deadline()
	seconds, err := strconv.Atoi(response.Header.Get("Retry-After"))
	wait = time.Duration(seconds) * time.Second
	return wait, limited && err == nil && time.Now().Add(wait).After(deadline)
}

type patienceKey struct{}

// patience is how long the API server asked to wait, where that is longer than one
// attempt may take.
type patience struct{ wait time.Duration }

// granted waits, if the time was asked for and is left.
func (p *patience) granted(ctx context.Context) bool {
	deadline, _ := ctx.Deadline()
	if p.wait <= 0 || time.Now().Add(p.wait).After(deadline) {
		return false
	}
	select {
	case <-time.After(p.wait):
		return true
	case <-ctx.Done():
		return false
	}
}
