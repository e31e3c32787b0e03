// Package kube talks to one Kubernetes API server for the plugin: TLS, the
// reviewer's credential, deadlines, bounds and the classification of failures.
// It says what the API server answered and judges nothing; it knows nothing of
// Vault.
package kube

import (
	"context"
	"net/url"
	"time"

	authv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	authclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
)

// Options say how to reach an API server.
type Options struct {
	// Host is the base URL, as ParseHost makes it.
	Host *url.URL
	// CAPEM holds the certificates that may have signed the API server's.
	// Empty means the system's.
	CAPEM string
	// Credential returns the reviewer's bearer token, or "" when there is
	// none and the token under review has to vouch for itself. It is called
	// for every request and must not block.
	Credential func() string
	// RequestTimeout bounds each request, from connecting to the last byte of
	// the answer.
	RequestTimeout time.Duration
	// UserAgent is sent with every request; it shows in the API server's
	// audit log.
	UserAgent string
}

// Client asks one API server. It is safe for concurrent use and keeps its
// connections open between requests until Close.
type Client struct {
	reviews         authclient.TokenReviewInterface
	namespaces      coreclient.NamespaceInterface
	serviceAccounts coreclient.ServiceAccountsGetter
	timeout         time.Duration
	close           func()
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
		// Deprecation warnings of the API server are not this plugin's
		// operator's concern, and would bypass the plugin's logger.
		WarningHandler: rest.NoWarnings{},
	}
	httpClient := newHTTPClient(transport, o.Credential)
	auth, err := authclient.NewForConfigAndClient(config, httpClient)
	if err != nil {
		return nil, &Error{Op: "set up the client", Failure: Setup, Err: err}
	}
	core, err := coreclient.NewForConfigAndClient(config, httpClient)
	if err != nil {
		return nil, &Error{Op: "set up the client", Failure: Setup, Err: err}
	}
	return &Client{
		reviews:         auth.TokenReviews(),
		namespaces:      core.Namespaces(),
		serviceAccounts: core,
		timeout:         o.RequestTimeout,
		close:           transport.CloseIdleConnections,
	}, nil
}

// Close drops the idle connections. Requests in flight end normally, and their
// connections close once they have been idle for a while.
func (c *Client) Close() { c.close() }

// ReviewToken asks the API server about a token. audiences may be empty, which
// means the API server's own. The errors are of type *Error.
func (c *Client) ReviewToken(ctx context.Context, token string, audiences []string) (*authv1.TokenReviewStatus, error) {
	ctx, cancel := c.deadline(ctx, token)
	defer cancel()
	review, err := c.reviews.Create(ctx, &authv1.TokenReview{
		Spec: authv1.TokenReviewSpec{Token: token, Audiences: audiences},
	}, metav1.CreateOptions{})
	if err != nil {
		return nil, wrap("create TokenReview", err)
	}
	return &review.Status, nil
}

// Namespace reads a namespace. loginToken is the credential where the client has
// no reviewer's. The errors are of type *Error.
func (c *Client) Namespace(ctx context.Context, loginToken, name string) (*corev1.Namespace, error) {
	ctx, cancel := c.deadline(ctx, loginToken)
	defer cancel()
	namespace, err := c.namespaces.Get(ctx, name, metav1.GetOptions{})
	return namespace, wrap("get Namespace", err)
}

// ServiceAccount reads a service account. loginToken is the credential where the
// client has no reviewer's. The errors are of type *Error.
func (c *Client) ServiceAccount(ctx context.Context, loginToken, namespace, name string) (*corev1.ServiceAccount, error) {
	ctx, cancel := c.deadline(ctx, loginToken)
	defer cancel()
	account, err := c.serviceAccounts.ServiceAccounts(namespace).Get(ctx, name, metav1.GetOptions{})
	return account, wrap("get ServiceAccount", err)
}

func (c *Client) deadline(ctx context.Context, loginToken string) (context.Context, context.CancelFunc) {
	return context.WithTimeout(withFallbackCredential(ctx, loginToken), c.timeout)
}
