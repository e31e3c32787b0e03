package kube

import (
	"context"
	"errors"
	"net/http"
	"time"

	"golang.org/x/net/http/httpguts"
)

func newHTTPClient(transport, others http.RoundTripper, o Options) *http.Client {
	return &http.Client{
		Transport: &authenticated{next: transport, credential: o.Credential, userAgent: o.UserAgent, turn: o.Turn, others: others, certified: o.Certificate != nil},
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

func isAnonymous(ctx context.Context) bool {
	anonymous, _ := ctx.Value(anonymousKey{}).(bool)
	return anonymous
}

func isAskedByAClient(ctx context.Context) bool {
	_, ok := askedBy(ctx)
	return ok
}

// errUnsendable is about a credential such as one with a line break within.
var errUnsendable = errors.New("the reviewer's credential holds characters that no token has")

// authenticated adds the bearer token and the user agent to requests, and bounds
// their answers in size and patience.
type authenticated struct {
	next       http.RoundTripper
	credential func() string
	userAgent  string
	turn       func(ctx context.Context) (release func(), err error) // may be nil
	// others is for requests that a client makes by a token of its own. certified is where the
	// connection tells who asks, and no token does; requests that nobody makes are then made by
	// others, too.
	others    http.RoundTripper
	certified bool
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
	next := a.next
	if isAskedByAClient(r.Context()) || a.certified && isAnonymous(r.Context()) {
		next = a.others
	}
	response, err := next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	observe(r.Context(), asked, response)
	attemptIn(r.Context()).answered(response)
	response.Body = &boundedBody{ReadCloser: response.Body, left: bodyLimit(r.Context()), whole: func() error {
		return attemptIn(r.Context()).takeTurn(a.turn)
	}}
	if response.StatusCode < http.StatusOK || response.StatusCode >= http.StatusMultipleChoices {
		response.Body = &clearedBody{ReadCloser: response.Body, known: known, header: response.Header}
	}
	return response, nil
}

// bearer is the token to send, or "" for none.
func (a *authenticated) bearer(ctx context.Context) string {
	if isAnonymous(ctx) {
		return ""
	}
	if bearer, ok := askedBy(ctx); ok {
		return bearer
	}
	if a.certified {
		return ""
	}
	if bearer, ok := ctx.Value(credentialKey{}).(string); ok {
		return bearer
	}
	if bearer := a.credential(); bearer != "" {
		return bearer
	}
	fallback, _ := ctx.Value(fallbackCredentialKey{}).(string)
	return fallback
}
