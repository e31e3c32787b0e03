package consulacl

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"vault-plugin-auth-kubernetes/internal/scrub"
)

// Options say how to reach a Consul, and as whom.
type Options struct {
	// Address is the base of its HTTP API, as ParseAddress makes it.
	Address *url.URL
	// CAPEM holds the certificates that may have signed the server's; empty means the
	// system's.
	CAPEM string
	// CertPEM and KeyPEM are the client's own, if it needs any.
	CertPEM, KeyPEM string
	// ServerName is the name that the server's certificate must have; empty means that
	// of Address.
	ServerName string
	// Token is the plugin's own, which may write ACLs.
	Token string
	// Datacenter and Partition are where tokens are made; empty means the server's own.
	Datacenter, Partition string
	// Namespace is that of roles and policies, and of tokens that name none.
	Namespace string
	// Timeout bounds each request, from connecting to the last byte of the answer.
	Timeout time.Duration
	// UserAgent is sent with every request.
	UserAgent string
	// Clock tells the time, and waits; nil is the machine's.
	Clock Clock
	// Meter is told of requests and of tokens; nil is nobody.
	Meter *Meter
}

// Client asks one Consul. It is safe for concurrent use, keeps its connections open
// between requests, and has no limit of requests a second.
type Client struct {
	options  Options
	http     *http.Client
	giveBack func()
	secrets  *scrub.Scrubber
	names    *names
	undo     *undo
	clock    Clock
	meter    *Meter

	placeMu sync.Mutex
	place   string // the server's own datacenter, once it was asked
}

// New makes a client, of which what goes on by itself ends with ctx. It does not connect.
func New(ctx context.Context, o Options) (*Client, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: o.ServerName}
	if o.CAPEM != "" {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM([]byte(o.CAPEM)) {
			return nil, errors.New("ca_cert holds no valid certificate")
		}
	}
	if o.CertPEM != "" || o.KeyPEM != "" {
		pair, err := tls.X509KeyPair([]byte(o.CertPEM), []byte(o.KeyPEM))
		if err != nil {
			return nil, errors.New("client_cert and client_key are no certificate in PEM form with its key")
		}
		config.Certificates = []tls.Certificate{pair}
	}
	transport, giveBack := takePool(poolKey{o.Address.Host, o.CAPEM, o.CertPEM, o.KeyPEM, o.ServerName}, config)
	c := &Client{
		options:  o,
		giveBack: giveBack,
		http: &http.Client{
			Transport: transport,
			// A redirect would take the token to a host that nobody configured.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		secrets: scrub.New(o.Token, o.KeyPEM),
		clock:   o.Clock,
		meter:   o.Meter,
	}
	if c.clock == nil {
		c.clock = wallClock{}
	}
	if c.meter == nil {
		c.meter = &Meter{}
	}
	c.names = newNames(ctx, c)
	c.undo = newUndo(ctx, c)
	return c, nil
}

// Close gives back the connections, which other clients may use. Requests that are under
// way end normally, and what is left to undo is undone.
func (c *Client) Close() { c.giveBack() }

// maxAnswer bounds an answer, in bytes. A list of tokens is the longest.
const maxAnswer = 64 << 20

// maxError bounds what is read of an answer that is an error.
const maxError = 2 << 10

// request is one request. Names go in as elements, and nobody pastes them into a path.
type request struct {
	op     string
	method string
	path   []string
	query  url.Values
	token  string // the plugin's own where it is empty
	body   any
	into   any
	// names are the tokens' own secrets, that an error must not repeat.
	secrets []string
}

// do makes a request once. The error is an *Error.
func (c *Client) do(ctx context.Context, r request) error {
	began := c.clock.Now()
	err := c.send(ctx, r)
	c.meter.request(r.op, FailureOf(err), c.clock.Now().Sub(began))
	return err
}

func (c *Client) send(ctx context.Context, r request) error {
	ctx, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	secrets := c.secrets.And(append(r.secrets, r.token)...)
	fail := func(failure Failure, status int, err error) error {
		return &Error{Op: r.op, Failure: failure, Status: status, Err: secrets.Error(err)}
	}
	req, err := c.newRequest(ctx, r)
	if err != nil {
		return fail(Refused, 0, err)
	}
	response, err := c.http.Do(req)
	if err != nil {
		return fail(failureOfTransport(ctx, err), 0, withoutURL(err))
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, err := io.ReadAll(io.LimitReader(response.Body, maxError+1))
		if err != nil {
			return fail(failureOfTransport(ctx, err), response.StatusCode, withoutURL(err))
		}
		said := strings.TrimSpace(scrub.Cut(string(text), maxError)) // half a secret is not known for one
		return fail(failureOfStatus(response.StatusCode, said), response.StatusCode, fmt.Errorf("%d: %q", response.StatusCode, said))
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return fail(failureOfTransport(ctx, err), response.StatusCode, withoutURL(err))
	}
	if r.into == nil {
		return nil
	}
	if err := json.Unmarshal(body, r.into); err != nil {
		return fail(Malformed, response.StatusCode, errors.New("the answer is none of Consul's"))
	}
	return nil
}

// errSecret is about a token such as one with a line break within.
var errSecret = errors.New("the token holds characters that no token has")

func (c *Client) newRequest(ctx context.Context, r request) (*http.Request, error) {
	query := r.query
	if query == nil {
		query = url.Values{}
	}
	for key, value := range map[string]string{"dc": c.options.Datacenter, "partition": c.options.Partition} {
		if value != "" {
			query.Set(key, value)
		}
	}
	target := c.options.Address.JoinPath(append([]string{"v1"}, escaped(r.path)...)...)
	target.RawQuery = query.Encode()
	var body io.Reader
	if r.body != nil {
		encoded, err := json.Marshal(r.body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target.String(), body)
	if err != nil {
		return nil, errors.New("the request cannot be made")
	}
	token := r.token
	if token == "" {
		token = c.options.Token
	}
	if strings.ContainsFunc(token, func(char rune) bool { return char <= ' ' || char > '~' }) {
		return nil, errSecret
	}
	// A connection may have been closed at the other end just now. net/http makes such a
	// request anew if it may; each of these may be made twice. The header is not sent.
	req.Header["X-Idempotency-Key"] = nil
	req.Header.Set("X-Consul-Token", token)
	req.Header.Set("User-Agent", c.options.UserAgent)
	return req, nil
}

// escaped makes each name one element of a path, whatever is in it.
func escaped(path []string) []string {
	elements := make([]string, len(path))
	for i, name := range path {
		elements[i] = url.PathEscape(name)
		if elements[i] == "." || elements[i] == ".." {
			elements[i] = strings.ReplaceAll(elements[i], ".", "%2E")
		}
	}
	return elements
}

// withoutURL is an error of net/http's without the URL, which the log has elsewhere.
func withoutURL(err error) error {
	var of *url.Error
	if errors.As(err, &of) {
		return of.Err
	}
	return err
}
