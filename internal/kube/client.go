// Package kube talks to one Kubernetes API server for the plugin: TLS, the
// reviewer's credential, deadlines, bounds and the classification of failures.
// It says what the API server answered and judges nothing; it knows nothing of
// Vault.
package kube

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/semaphore"
	authv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	authclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
	authzclient "k8s.io/client-go/kubernetes/typed/authorization/v1"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"vault-plugin-auth-kubernetes/internal/scrub"
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
	// RequestTimeout bounds each attempt at a request, from connecting to the
	// last byte of the answer. There are at most two.
	RequestTimeout time.Duration
	// MaxConcurrent bounds the requests that are under way at a time. Others
	// wait for their turn, in order, as long as two attempts may take. 0 means
	// DefaultMaxConcurrent.
	MaxConcurrent int64
	// UserAgent is sent with every request; it shows in the API server's
	// audit log.
	UserAgent string
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

// Client asks one API server. It is safe for concurrent use and keeps its
// connections open between requests until Close.
type Client struct {
	reviews         rest.Interface // of the API group of TokenReview
	namespaces      coreclient.NamespaceInterface
	serviceAccounts coreclient.ServiceAccountsGetter
	self            authclient.SelfSubjectReviewInterface
	access          authzclient.SelfSubjectAccessReviewInterface
	rest            rest.Interface
	host            *url.URL
	serverName      string // empty means that of host
	transport       *renewable
	timeout         time.Duration
	turns           *semaphore.Weighted
	meter           *Meter
	credential      func() string
	ofProxy         *scrub.Scrubber // the secrets of the proxy
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
	transport, err := newTransport(o)
	if err != nil {
		return nil, &Error{Op: "set up the client", Failure: Setup, Err: err}
	}
	config := &rest.Config{
		Host:      o.Host.String(),
		UserAgent: o.UserAgent,
		// client-go would otherwise hold back all but five requests a second;
		// the API server has its own priority and fairness.
		QPS: -1,
		// Everything in between knows JSON. Gateways and firewalls that look into requests
		// refuse protobuf, client-go's default, each in its own way; it would save 20 µs.
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
	httpClient := newHTTPClient(transport, o)
	auth, err := authclient.NewForConfigAndClient(config, httpClient)
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
	return &Client{
		reviews:         auth.RESTClient(),
		namespaces:      core.Namespaces(),
		serviceAccounts: core,
		self:            auth.SelfSubjectReviews(),
		access:          authz.SelfSubjectAccessReviews(),
		rest:            core.RESTClient(),
		host:            o.Host,
		serverName:      o.ServerName,
		transport:       transport,
		timeout:         o.RequestTimeout,
		turns:           semaphore.NewWeighted(o.MaxConcurrent),
		meter:           o.Meter,
		credential:      o.Credential,
		ofProxy:         scrub.New(secretsOfProxy(proxyOf(transport, o.Host))...),
	}, nil
}

// Close drops the idle connections. Requests in flight end normally, and their
// connections close once they have been idle for a while.
func (c *Client) Close() { c.transport.closeIdle() }

// ReviewToken asks the API server about a token. audiences may be empty, which
// means the API server's own. The errors are of type *Error.
func (c *Client) ReviewToken(ctx context.Context, token string, audiences []string) (*authv1.TokenReviewStatus, error) {
	var review *authv1.TokenReview
	err := c.do(ctx, OpReview, token, func(ctx context.Context) (err error) {
		review = &authv1.TokenReview{}
		// What Create of the typed client does, without the options that it encodes
		// into the query each time, although there are none.
		err = c.reviews.Post().UseProtobufAsDefault().Resource("tokenreviews").
			Body(&authv1.TokenReview{Spec: authv1.TokenReviewSpec{Token: token, Audiences: audiences}}).
			Do(ctx).Into(review)
		switch {
		case err != nil:
			return err
		case review.Spec.Token == "":
			return errOtherObject
		case review.Spec.Token != token:
			return errTokenChanged
		}
		return sentIn(ctx).review(&review.Status)
	})
	if err != nil {
		return nil, err
	}
	return &review.Status, nil
}

// Namespace reads a namespace. loginToken is the credential where the client has
// no reviewer's. The errors are of type *Error.
func (c *Client) Namespace(ctx context.Context, loginToken, name string) (*corev1.Namespace, error) {
	var namespace *corev1.Namespace
	err := c.do(ctx, OpNamespace, loginToken, func(ctx context.Context) (err error) {
		namespace, err = c.namespaces.Get(ctx, name, metav1.GetOptions{})
		switch {
		case err != nil:
			return err
		case namespace.Name != name:
			return errOtherObject
		}
		return sentIn(ctx).object(namespace.ObjectMeta)
	})
	return namespace, err
}

// ServiceAccount reads a service account. loginToken is the credential where the
// client has no reviewer's. The errors are of type *Error.
func (c *Client) ServiceAccount(ctx context.Context, loginToken, namespace, name string) (*corev1.ServiceAccount, error) {
	var account *corev1.ServiceAccount
	err := c.do(ctx, OpServiceAccount, loginToken, func(ctx context.Context) (err error) {
		account, err = c.serviceAccounts.ServiceAccounts(namespace).Get(ctx, name, metav1.GetOptions{})
		switch {
		case err != nil:
			return err
		case account.Namespace != namespace || account.Name != name:
			return errOtherObject
		}
		return sentIn(ctx).object(account.ObjectMeta)
	})
	return account, err
}

// SigningKeys reads the JSON Web Key Set with which the cluster's service account
// tokens can be verified. loginToken is the credential where the client has no
// reviewer's. The errors are of type *Error.
func (c *Client) SigningKeys(ctx context.Context, loginToken string) ([]byte, error) {
	var document []byte
	err := c.do(ctx, OpSigningKeys, loginToken, func(ctx context.Context) (err error) {
		document, err = c.document(ctx, "/openid/v1/jwks", "application/jwk-set+json")
		return err
	})
	return document, err
}

// document reads what is no Kubernetes object.
func (c *Client) document(ctx context.Context, path, mediaType string) ([]byte, error) {
	result := c.rest.Get().AbsPath(path).SetHeader("Accept", mediaType).Do(ctx)
	// Raw's own error leaves out what the API server says in a Status object.
	if err := result.Error(); err != nil {
		return nil, err
	}
	body, err := result.Raw()
	if err != nil {
		return nil, err
	}
	known := sentIn(ctx)
	return body, known.none(known.secrets.Signatures(), string(body))
}

// do makes a request that changes nothing, once, or twice if the first attempt
// got no answer: its connection may have been a dead one, and a fresh one may
// work. loginToken is the credential where the client has no reviewer's. What is said in
// an error has no secret in it.
func (c *Client) do(ctx context.Context, op, loginToken string, request func(context.Context) error) error {
	known := &sent{secrets: c.Secrets(loginToken), plain: c.host.Scheme == "http"}
	return known.cleaned(c.ask(context.WithValue(ctx, sentKey{}, known), op, loginToken, request))
}

func (c *Client) ask(ctx context.Context, op, loginToken string, request func(context.Context) error) (err error) {
	var began time.Time
	defer func() { c.meter.done(op, began, err) }()
	ctx, cancel := context.WithTimeout(withFallbackCredential(ctx, loginToken), 2*c.timeout)
	defer cancel()
	c.meter.Waiting.Add(1)
	err = c.turns.Acquire(ctx, 1)
	c.meter.Waiting.Add(-1)
	if err != nil {
		return &Error{Op: op, Failure: busyOrCanceled(err), Err: fmt.Errorf("waiting for a turn: %w", err)}
	}
	defer c.turns.Release(1)
	c.meter.Underway.Add(1)
	defer c.meter.Underway.Add(-1)
	began = time.Now()

	transport := c.transport.current.Load()
	asked := &patience{}
	err = wrap(op, c.attempt(ctx, asked, request))
	switch {
	case err == nil || ctx.Err() != nil:
		return err
	case worthAnother(err):
		c.transport.renew(transport)
	case !asked.granted(ctx):
		return err
	}
	return wrap(op, c.attempt(ctx, asked, request))
}

func (c *Client) attempt(ctx context.Context, asked *patience, request func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, patienceKey{}, asked), c.timeout)
	defer cancel()
	err := request(ctx)
	if err != nil && ctx.Err() != nil {
		// The end of the context can look like an answer that was cut short.
		return fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return err
}

// worthAnother tells whether a failure may be that of the connection alone.
func worthAnother(err error) bool {
	var failed *Error
	return errors.As(err, &failed) && (failed.Failure == Timeout || failed.Failure == Connection)
}

func busyOrCanceled(err error) Failure {
	if errors.Is(err, context.Canceled) {
		return Canceled
	}
	return Busy
}
