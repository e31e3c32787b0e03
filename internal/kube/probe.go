package kube

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync"
	"time"
)

// Stage is a part of the way to an API server.
type Stage string

// The stages, in their order.
const (
	Resolving  Stage = "resolving"  // the name, of the proxy if there is one
	Connecting Stage = "connecting" // to the API server, or to the proxy
	Tunnelling Stage = "tunnelling" // from the proxy to the API server
	Handshake  Stage = "handshake"  // TLS
	Arrived    Stage = "arrived"    // and trusted, where there is TLS
)

// Probe is what one look at the way to the API server found. Its texts may name
// hosts.
type Probe struct {
	// Target is the host and port of the API server.
	Target string
	// Proxy is the host and port of the proxy on the way; empty if there is none.
	Proxy string
	// Addresses are what the name of Target, or of Proxy, resolved to; none if
	// it is an address already.
	Addresses []string
	// Remote is the address that took the connection, after Took; empty if none
	// did.
	Remote string
	Took   time.Duration
	// ProxyAnswer is the status line of a proxy's answer to CONNECT.
	ProxyAnswer string
	// Certificate is what the API server showed, trusted or not; nil if it came
	// to none.
	Certificate *Certificate
	// Stage is the one that failed with Err, or Arrived.
	Stage Stage
	// Err is of type *Error.
	Err error
}

// Certificate is what a server showed, and each reason not to trust it by itself:
// crypto/tls reports but the first that it comes upon.
type Certificate struct {
	Leaf *x509.Certificate
	// ServerName is the name that it was asked to be for.
	ServerName string
	// Name says why it is not for ServerName; nil if it is.
	Name error
	// Trust says why no CA that is trusted stands behind it, whatever its own
	// dates and names; nil if one does.
	Trust error
}

// Probe looks how far the way to the API server leads, on a connection of its own.
// No credential is sent, and, where there is TLS, nothing at all before the
// certificate was verified.
// It takes no longer than one attempt at a request.
func (c *Client) Probe(ctx context.Context) *Probe {
	ctx, cancel := context.WithTimeout(Insist(ctx), c.timeout)
	defer cancel()
	transport := c.makeTransport()
	defer transport.close()
	p := &prober{cancel: cancel, start: time.Now(), known: &sent{secrets: c.Secrets()}, host: c.host, serverName: c.serverName, roots: transport.TLSClientConfig.RootCAs}
	p.found.Target, p.found.Stage = withPort(c.host), Connecting
	if err := c.turns.Acquire(ctx, 1); err != nil {
		return p.result(&Error{Op: probing, Failure: busyOrCanceled(err), Err: fmt.Errorf("waiting for a turn: %w", err)})
	}
	defer c.turns.Release(1)
	p.prepare(transport.Transport)
	a := newAttempt(ctx, c.now())
	defer a.letGo()
	defer a.end()
	request, err := http.NewRequestWithContext(httptrace.WithClientTrace(a.ctx, p.trace()), http.MethodGet, c.host.JoinPath("version").String(), nil)
	if err != nil {
		return p.result(&Error{Op: probing, Failure: Setup, Err: err})
	}
	if proxy, err := transport.Proxy(request); err == nil && proxy != nil {
		p.throughProxy(proxy)
	}
	response, err := transport.RoundTrip(request)
	if response != nil {
		_ = response.Body.Close() // what it says does not matter here
	}
	return p.result(wrap(probing, err))
}

// probing is the Op of errors of a probe.
const probing = "connect"

// prober fills a Probe. The transport may call it from several goroutines, and
// after the request has ended.
type prober struct {
	cancel     context.CancelFunc
	start      time.Time
	known      *sent
	host       *url.URL
	serverName string
	roots      *x509.CertPool

	mu    sync.Mutex
	found Probe
	// left are the names of the servers with which TLS is still to be spoken.
	left []string
}

// prepare makes a transport that ends where the probe does.
func (p *prober) prepare(transport *http.Transport) {
	// One connection, closed afterwards; which HTTP it would speak does not
	// matter.
	transport.DisableKeepAlives = true
	transport.ForceAttemptHTTP2 = false
	transport.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	// crypto/tls drops a certificate that it does not trust, which is the one that
	// has to be shown. So verification is done by hand, in verify: the same one,
	// and a handshake that fails it fails as it would without this. Nothing was
	// sent by then.
	transport.TLSClientConfig.InsecureSkipVerify = true
	transport.TLSClientConfig.VerifyConnection = p.verify
	transport.OnProxyConnectResponse = func(_ context.Context, _ *url.URL, _ *http.Request, answer *http.Response) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.found.ProxyAnswer = p.known.secrets.Text(answer.Status)
		return nil
	}
	if p.host.Scheme == "https" {
		p.left = []string{p.host.Hostname()}
	}
}

func (p *prober) throughProxy(proxy *url.URL) {
	p.found.Proxy = withPort(proxy)
	if proxy.Scheme == "https" {
		p.left = append([]string{proxy.Hostname()}, p.left...)
	}
}

func (p *prober) trace() *httptrace.ClientTrace {
	locked := func(f func()) {
		p.mu.Lock()
		defer p.mu.Unlock()
		f()
	}
	return &httptrace.ClientTrace{
		DNSStart: func(httptrace.DNSStartInfo) { locked(func() { p.found.Stage = Resolving }) },
		DNSDone: func(info httptrace.DNSDoneInfo) {
			locked(func() {
				for _, address := range info.Addrs {
					p.found.Addresses = append(p.found.Addresses, address.String())
				}
			})
		},
		// With several addresses some may fail after one succeeded.
		ConnectStart: func(string, string) { locked(func() { p.connecting() }) },
		ConnectDone:  func(_, address string, err error) { locked(func() { p.connected(address, err) }) },
		TLSHandshakeStart: func() {
			locked(func() {
				if len(p.left) == 1 { // else it is the proxy's
					p.found.Stage = Handshake
				}
			})
		},
		TLSHandshakeDone: func(_ tls.ConnectionState, err error) { locked(func() { p.shaken(err) }) },
	}
}

func (p *prober) connecting() {
	if p.found.Remote == "" {
		p.found.Stage = Connecting
	}
}

func (p *prober) connected(address string, err error) {
	if err != nil || p.found.Remote != "" {
		return
	}
	p.found.Remote, p.found.Took = address, time.Since(p.start)
	switch {
	case len(p.left) == 0:
		p.arrive()
	case p.found.Proxy != "":
		p.found.Stage = Tunnelling
	default:
		p.found.Stage = Handshake
	}
}

func (p *prober) shaken(err error) {
	if err != nil || len(p.left) == 0 {
		return
	}
	if p.left = p.left[1:]; len(p.left) == 0 {
		p.arrive()
	}
}

// arrive ends the probe: what would follow is a request like any other.
func (p *prober) arrive() {
	p.found.Stage = Arrived
	p.cancel()
}

// verify does what crypto/tls does without InsecureSkipVerify, and keeps the
// certificate.
func (p *prober) verify(state tls.ConnectionState) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	name := p.serverName
	if name == "" && len(p.left) > 0 {
		name = p.left[0]
	}
	options := x509.VerifyOptions{Roots: p.roots, DNSName: name, Intermediates: x509.NewCertPool()}
	for _, certificate := range state.PeerCertificates[1:] {
		options.Intermediates.AddCert(certificate)
	}
	leaf := state.PeerCertificates[0]
	if len(p.left) == 1 {
		p.found.Certificate = &Certificate{Leaf: leaf, ServerName: name, Name: leaf.VerifyHostname(name), Trust: untrusted(leaf, options)}
	}
	if _, err := leaf.Verify(options); err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
	}
	return nil
}

// untrusted says why no CA vouches for a certificate. The certificate's own name and
// dates are left out of it; those of the CAs are not.
func untrusted(leaf *x509.Certificate, options x509.VerifyOptions) error {
	options.DNSName = ""
	options.CurrentTime = time.Now()
	timeless := *leaf // its signature is over Raw, so other dates do not break it
	timeless.NotBefore, timeless.NotAfter = options.CurrentTime, options.CurrentTime
	_, err := timeless.Verify(options)
	return err
}

// result is what was found. Hooks that are still to come change nothing of it.
func (p *prober) result(err error) *Probe {
	p.mu.Lock()
	defer p.mu.Unlock()
	found := p.found
	if found.Stage != Arrived {
		if err == nil { // an answer without a connection, which cannot be
			err = &Error{Op: probing, Failure: Malformed, Err: errors.New("the connection was not seen")}
		}
		found.Err = p.known.cleaned(err)
	}
	return &found
}

// withPort is the host and port of a URL, with the port of its scheme where it has
// none.
func withPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80", "socks5": "1080"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}
