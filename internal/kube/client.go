// Package kube talks to one Kubernetes API server for the plugin: TLS, the
// reviewer's credential, deadlines, bounds and the classification of failures.
// It says what the API server answered and judges nothing; it knows nothing of
// Vault.
package kube

import (
	"context"
	"crypto/tls"
	"errors"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/semaphore"
	"k8s.io/apimachinery/pkg/runtime"
	authclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
	authzclient "k8s.io/client-go/kubernetes/typed/authorization/v1"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"vault-plugin-auth-kubernetes/internal/scrub"
	"vault-plugin-auth-kubernetes/internal/upstream"
)

// Options say how to reach an API server.
type Options struct {
	// Host is the base URL, as ParseHost makes it.
	Host *url.URL
	// CAPEM holds the certificates that may have signed the API server's.
	// Empty means the system's.
	CAPEM string
	// ServerName is the name that the API server's certificate must have; empty
	// means that of Host.
	ServerName string
	// Proxy is the proxy to go through; nil means the environment's.
	Proxy *url.URL
	// Credential returns the reviewer's bearer token, or "" when there is
	// none and the token under review has to vouch for itself. It is called
	// for every request and must not block.
	Credential func() string
	// Certificate is what the API server knows the reviewer by, in place of a token: no request
	// has one then. Nil means none.
	Certificate *tls.Certificate
	// RequestTimeout bounds each attempt at a request, from connecting to the
	// last byte of the answer. There are at most two.
	RequestTimeout time.Duration
	// MaxConnections bounds the connections that are open at a time; 0 means a part of
	// what the process may have open.
	MaxConnections int64
	// MaxConcurrent bounds the requests that are under way at a time. Others
	// wait for their turn, in order, as long as two attempts may take. 0 means
	// DefaultMaxConcurrent.
	MaxConcurrent int64
	// UserAgent is sent with every request; it shows in the API server's
	// audit log.
	UserAgent string
	// Turn is waited for once a long answer has come, before it is decoded and looked
	// through: an object can be a thousand times as long as others, and whoever may write
	// one must not keep others waiting. Nil means at once.
	Turn func(ctx context.Context) (release func(), err error)
	// Now tells the time to what remembers how the API server does; nil means time.Now.
	Now func() time.Time
	// Meter is told of requests; nil is one of the client's own.
	Meter *Meter
}

// errOtherObject is about an answer that is well-formed and not the one that was
// asked for. client-go decodes an object of another kind, or a mere {}, to an empty
// object without complaint; as a review, that would read as a denial.
var errOtherObject = errors.New("the answer is about another object than the request")

// DefaultMaxConcurrent is how many requests a client has under way at a time,
// unless it is told otherwise.
const DefaultMaxConcurrent = 256

// connectionsOf is how many connections one client may have, of what the process may have
// open. With HTTP/2, which API servers speak, one is enough; the rest is for what
// stands before some of them, and for connections that hang. One client cannot use up
// what the others need.
func connectionsOf(descriptors int64) int64 {
	const share, least = 64, 4
	return min(max(descriptors/share, least), DefaultMaxConcurrent)
}

// Client asks one API server. It is safe for concurrent use and keeps its
// connections open between requests until Close.
type Client struct {
	auth, authz, core rest.Interface // by API group
	authProtobuf      rest.Interface // auth in another form
	form              form           // in which of the two reviews are asked
	metadata          rest.Interface // of objects of which nothing else is wanted
	host              *url.URL
	serverName        string // empty means that of host
	makeTransport     func() *transport
	lines             *upstream.Lines[*transport]
	others            *upstream.Lines[*transport] // of requests that the reviewer does not make
	circuit           *upstream.Circuit
	pace              upstream.Pace
	refusals          upstream.Refusals
	lookout           chan struct{} // has a value while one who is held back is on the lookout
	closed            chan struct{}
	close             sync.Once
	turnedAway        atomic.Value        // Failure, as it said so last
	paced             *semaphore.Weighted // who waits for the pace, one after the other
	pacing            atomic.Int64        // how many do
	now               func() time.Time
	timeout           time.Duration
	turns             *semaphore.Weighted
	meter             *Meter
	credential        func() string
	certified         bool            // it is known by a certificate, and sends no token of its own
	ofProxy           *scrub.Scrubber // the secrets of the proxy
}

func init() {
	// client-go writes to a logger of its own when an answer cannot be read. What
	// is worth telling is in the error, and an API server that is sick, or a
	// stranger, must not be able to fill Vault's log.
	klog.SetLogger(logr.Discard())
}

// New makes a client. It does not connect; the errors are those of Options, with
// Failure Setup.
func New(o Options) (*Client, error) {
	config := &rest.Config{
		Host:      o.Host.String(),
		UserAgent: o.UserAgent,
		// client-go would otherwise hold back all but five requests a second;
		// the API server has its own priority and fairness.
		QPS: -1,
		// Everything in between knows JSON; see form.
		ContentConfig: rest.ContentConfig{ContentType: runtime.ContentTypeJSON, AcceptContentTypes: runtime.ContentTypeJSON},
		// Deprecation warnings of the API server are not this plugin's
		// operator's concern, and would bypass the plugin's logger.
		WarningHandler: rest.NoWarnings{},
	}
	if o.MaxConcurrent <= 0 {
		o.MaxConcurrent = DefaultMaxConcurrent
	}
	if o.Meter == nil {
		o.Meter = &Meter{}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.MaxConnections <= 0 {
		o.MaxConnections = connectionsOf(descriptors())
	}
	circuit := &upstream.Circuit{}
	gate := newGate(o.RequestTimeout, o.MaxConnections, circuit, o.Meter)
	maker, err := transportMaker(o, gate)
	if err != nil {
		return nil, &Error{Op: "set up the client", Failure: Setup, Err: err}
	}
	lines := upstream.NewLines(maker, (*transport).close)
	others, err := linerOfOthers(o, gate)
	if err != nil {
		return nil, &Error{Op: "set up the client", Failure: Setup, Err: err}
	}
	httpClient := newHTTPClient(&liner{lines: lines, maker: maker, now: o.Now, meter: o.Meter}, others, o)
	auth, err := authclient.NewForConfigAndClient(config, httpClient)
	if err != nil {
		return nil, &Error{Op: "set up the client", Failure: Setup, Err: err}
	}
	asProtobuf := *config
	asProtobuf.ContentType = runtime.ContentTypeProtobuf
	asProtobuf.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	authProtobuf, err := authclient.NewForConfigAndClient(&asProtobuf, httpClient)
	if err != nil {
		return nil, &Error{Op: "set up the client", Failure: Setup, Err: err}
	}
	authz, err := authzclient.NewForConfigAndClient(config, httpClient)
	if err != nil {
		return nil, &Error{Op: "set up the client", Failure: Setup, Err: err}
	}
	core, err := coreclient.NewForConfigAndClient(config, httpClient)
	if err != nil {
		return nil, &Error{Op: "set up the client", Failure: Setup, Err: err}
	}
	partial, err := newMetadataClient(config, httpClient)
	if err != nil {
		return nil, &Error{Op: "set up the client", Failure: Setup, Err: err}
	}
	return &Client{
		auth:          auth.RESTClient(),
		authProtobuf:  authProtobuf.RESTClient(),
		authz:         authz.RESTClient(),
		core:          core.RESTClient(),
		metadata:      partial,
		host:          o.Host,
		serverName:    o.ServerName,
		makeTransport: maker,
		others:        others.lines,
		lines:         lines,
		circuit:       circuit,
		lookout:       make(chan struct{}, 1),
		closed:        make(chan struct{}),
		now:           o.Now,
		paced:         semaphore.NewWeighted(1),
		timeout:       o.RequestTimeout,
		turns:         semaphore.NewWeighted(o.MaxConcurrent),
		meter:         o.Meter,
		credential:    o.Credential,
		certified:     o.Certificate != nil,
		ofProxy:       scrub.New(secretsOfProxy(proxyOf(lines.Current(), o.Host))...),
	}, nil
}

// Close drops the connections, each once no request is under way any more. Requests in
// flight end normally; nobody is held back any more.
func (c *Client) Close() {
	c.close.Do(func() { close(c.closed) })
	c.lines.Close()
	c.others.Close()
}
