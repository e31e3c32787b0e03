package kube

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"vault-plugin-auth-kubernetes/internal/upstream"
)

// Health of connections: a connection that was quiet this long is probed, and
// closed when the probe is not answered, so that a peer that vanished without a
// word is noticed in seconds and not by TCP's retransmission timeout.
const (
	pingAfter   = 2 * time.Second
	pingTimeout = 3 * time.Second
)

// maxHeaderBytes bounds the headers of one answer, or of a proxy's to CONNECT. An API
// server sends a few hundred bytes; what it stands behind, a few thousand.
const maxHeaderBytes = 64 << 10

// line is one generation of connections.
type line = upstream.Line[*transport]

// transport has connections of its own.
type transport struct {
	*http.Transport
	conns *conns
}

// close ends all connections. Nothing is under way on them.
func (t *transport) close() {
	t.CloseIdleConnections() // which also keeps those out that are about to become idle
	t.conns.close()
}

// transportMaker makes transports of its own for each client. client-go's cache of
// transports is avoided on purpose: it never forgets, and here every change of
// configuration makes a new one.
func transportMaker(o Options, g *gate) (func() *transport, error) {
	tlsConfig := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: o.ServerName}
	if o.CAPEM != "" {
		tlsConfig.RootCAs = x509.NewCertPool()
		if !tlsConfig.RootCAs.AppendCertsFromPEM([]byte(o.CAPEM)) {
			return nil, errors.New("the CA data holds no valid certificate")
		}
	}
	if o.Certificate != nil {
		// Whatever CAs the API server names: with none of them the request would be an
		// anonymous one, and be refused for a permission that nobody lacks.
		tlsConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return o.Certificate, nil }
	}
	proxy := environmentProxy
	if o.Proxy != nil {
		proxy = http.ProxyURL(o.Proxy)
	}
	return func() *transport {
		conns := &conns{}
		return &transport{conns: conns, Transport: &http.Transport{
			Proxy: proxy,
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				return g.dial(ctx, network, address, conns)
			},
			TLSClientConfig:        tlsConfig.Clone(),
			TLSHandshakeTimeout:    o.RequestTimeout,
			ForceAttemptHTTP2:      true,
			MaxIdleConnsPerHost:    64, // only matters where a proxy speaks HTTP/1.1
			IdleConnTimeout:        90 * time.Second,
			MaxResponseHeaderBytes: maxHeaderBytes,
			HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
		}}
	}, nil
}

// linerOfOthers is for requests that the reviewer does not make: without its certificate, and
// apart, since kube-apiserver ends the connection of a request whose credential it does not
// know, and anybody can send one to a login. None is made before it is needed.
func linerOfOthers(o Options, g *gate) (*liner, error) {
	o.Certificate = nil
	maker, err := transportMaker(o, g)
	if err != nil {
		return nil, err
	}
	return &liner{lines: upstream.NewLines(maker, (*transport).close), maker: maker, now: o.Now, meter: o.Meter}, nil
}

// proxyOf is the proxy on the way to a host; nil if there is none.
func proxyOf(t *transport, host *url.URL) *url.URL {
	proxy, err := t.Proxy(&http.Request{URL: host})
	if err != nil {
		return nil // it says so at each request
	}
	return proxy
}

// liner sends each request over the line in use, and once.
type liner struct {
	lines *upstream.Lines[*transport]
	maker func() *transport
	now   func() time.Time
	meter *Meter
}

// RoundTrip sends a request. It counts as under way on its line until its answer was
// read.
func (l *liner) RoundTrip(request *http.Request) (*http.Response, error) {
	if wantsOwnConnection(request.Context()) {
		l.meter.Sent.Add(1)
		return alone(l.maker(), once(request))
	}
	line := l.lines.Begin(l.now())
	attempt := attemptIn(request.Context())
	attempt.lines, attempt.line = l.lines, line
	l.meter.Sent.Add(1)
	response, err := line.Value.RoundTrip(once(request))
	if err != nil {
		l.lines.End(line)
		return nil, err
	}
	response.Body = &endingBody{ReadCloser: response.Body, end: func() { l.lines.End(line) }}
	return response, nil
}

// once is a request that net/http does not repeat by itself. It would do so, up to seven
// times, for whatever has no body or one that it can get again.
func once(request *http.Request) *http.Request {
	single := *request
	single.GetBody = nil
	if single.Body == nil || single.Body == http.NoBody {
		single.Body = emptyBody{}
	}
	return &single
}

// emptyBody is a body of no bytes, which net/http cannot tell from others.
type emptyBody struct{}

func (emptyBody) Read([]byte) (int, error) { return 0, io.EOF }
func (emptyBody) Close() error             { return nil }

// endingBody tells of its end, once.
type endingBody struct {
	io.ReadCloser
	once sync.Once
	end  func()
}

// Close closes the body.
func (b *endingBody) Close() error {
	err := b.ReadCloser.Close()
	b.once.Do(b.end)
	return err
}
