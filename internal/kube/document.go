package kube

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// OpDocument is how errors name a document that is read from elsewhere than the API server.
const OpDocument = "get a published document"

// maxDocumentBytes bounds a document. A key set of a hundred RSA keys takes 50 KiB.
const maxDocumentBytes = 1 << 20

// Published reads documents that a cluster publishes elsewhere than at its API server, for
// whoever asks: no credential is sent.
type Published struct {
	client  *http.Client
	timeout time.Duration
	agent   string
}

// NewPublished makes a reader. caPEM holds the certificates that may have signed the
// server's; empty means the system's. Of the options it uses Proxy, RequestTimeout and
// UserAgent.
func NewPublished(o Options, caPEM string) (*Published, error) {
	tlsConfig := &tls.Config{MinVersion: tls.VersionTLS12}
	if caPEM != "" {
		tlsConfig.RootCAs = x509.NewCertPool()
		if !tlsConfig.RootCAs.AppendCertsFromPEM([]byte(caPEM)) {
			return nil, &Error{Op: "set up the client", Failure: Setup, Err: errors.New("the CA data holds no valid certificate")}
		}
	}
	proxy := environmentProxy
	if o.Proxy != nil {
		proxy = http.ProxyURL(o.Proxy)
	}
	return &Published{
		client: &http.Client{
			// Read every few minutes: a connection that stays open is of no use.
			Transport: &http.Transport{Proxy: proxy, TLSClientConfig: tlsConfig, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10},
			// A redirect would let whoever answers choose another server.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		timeout: o.RequestTimeout, agent: o.UserAgent,
	}, nil
}

// Get reads a document over https. The errors are of type *Error.
func (p *Published) Get(ctx context.Context, address string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	body, err := p.get(ctx, address)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return body, wrap(OpDocument, err)
}

func (p *Published) get(ctx context.Context, address string) ([]byte, error) {
	if parsed, err := url.Parse(address); err != nil || parsed.Scheme != "https" || parsed.Host == "" || parsed.User != nil {
		return nil, fmt.Errorf("%w: not an https URL", errUnsendable)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, errUnsendable
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", p.agent)
	response, err := p.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the answer is %s", response.Status)
	}
	return io.ReadAll(&boundedBody{ReadCloser: response.Body, left: maxDocumentBytes})
}
