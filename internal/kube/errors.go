package kube

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"syscall"

	"golang.org/x/net/http2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilnet "k8s.io/apimachinery/pkg/util/net"
)

// Failure says in what way a request to the Kubernetes API failed. The set is
// small and fixed, so that it can label log lines and metrics.
type Failure string

// The failures. The first three are answers of the API server about the
// credential or the object, the fourth is one that something else gave; all others mean
// that it could not be asked.
const (
	Unauthorized Failure = "unauthorized"    // 401: the credential was rejected
	Forbidden    Failure = "forbidden"       // 403: the credential lacks a permission
	NotFound     Failure = "not found"       // 404 for an object that was asked for
	Gateway      Failure = "gateway"         // 401 or 403 of what stands before the API server
	Throttled    Failure = "throttled"       // 429
	ServerError  Failure = "server error"    // 5xx
	Timeout      Failure = "timeout"         // no answer within the deadline
	Canceled     Failure = "canceled"        // the caller went away
	DNS          Failure = "dns"             // the host name does not resolve
	TLS          Failure = "tls"             // the certificate or the handshake was refused
	Connection   Failure = "connection"      // refused, reset, no route
	Malformed    Failure = "unusable answer" // an answer that is not the Kubernetes API's
	Setup        Failure = "configuration"   // the request could not be built
	Busy         Failure = "busy"            // too many requests were waiting already
	// ClientRefused is how a request is counted that was made by the credential of a client,
	// and refused for it: that says nothing of the reviewer. Errors have one of the first two.
	ClientRefused Failure = "client refused"
)

// Refuses tells an answer that says of the credential that it is not let in.
func (f Failure) Refuses() bool {
	return f == Unauthorized || f == Forbidden || f == Gateway || f == ClientRefused
}

// What logins ask for, as errors and the Meter name it.
const (
	OpReview         = "create TokenReview"
	OpNamespace      = "get Namespace"
	OpServiceAccount = "get ServiceAccount"
	OpPod            = "get Pod"
	OpSigningKeys    = "get /openid/v1/jwks"
	OpTokenRequest   = "create TokenRequest" //nolint:gosec // what is asked for, and no credential
)

// Error is a failed request to the Kubernetes API.
type Error struct {
	// Op is what was asked for, such as OpReview.
	Op string
	// Failure classifies Err.
	Failure Failure
	// Err is the cause. Its text is for operators: it may name hosts, and
	// carry what the API server said, without the secrets that were sent to it.
	Err error

	// plain says that the request was made without TLS, certified that a certificate is what
	// the API server should have known it by.
	plain, certified bool
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %s: %v", e.Op, e.Failure, e.Err) }
func (e *Error) Unwrap() error { return e.Err }

// Remedy is one line on what an operator can do about the failure.
func (e *Error) Remedy() string {
	if e.Op == OpDocument && e.Failure != Canceled {
		return "check that jwks_url or oidc_discovery_url is right and answers Vault, and that jwks_ca_pem has who signed its certificate"
	}
	switch e.Failure {
	case Unauthorized:
		return "the API server rejects the reviewer's credential: set a current token_reviewer_jwt or kubernetes_client_cert, or check that the host is the cluster that issued it"
	case Gateway:
		return "something between Vault and the API server wants a credential of its own: set token_reviewer_jwt to one that it takes " +
			"(Rancher's proxy takes an API key of Rancher's), or " + withoutAFront
	case Forbidden:
		if e.CredentialLost() && e.certified {
			return passTLSOn + "; or " + withoutAFront
		}
		if e.CredentialLost() {
			return "have what stands between Vault and the API server pass the Authorization header on: the API server sees no credential; or " + withoutAFront
		}
		if e.Op == OpTokenRequest {
			return "let it create serviceaccounts/token of the name in token_reviewer_service_account (deploy/components/reviewer-token)"
		}
		if e.Op == OpPod {
			return "let the reviewer get pods (deploy/components/pods), or set renewal_check=service_account"
		}
		return "grant the reviewer the missing permission (for TokenReview: ClusterRole system:auth-delegator)"
	case NotFound:
		if e.Op == OpTokenRequest {
			return "create the service account that token_reviewer_service_account names, and write a first token of it as token_reviewer_jwt"
		}
		return "check that the object exists, and that kubernetes_host is the base URL of the API server"
	case Throttled, ServerError:
		return "look at the API server's own health and logs"
	case Timeout, Connection:
		if e.plain {
			return httpsRemedy + "; if this one does not, check that kubernetes_host can be reached from Vault"
		}
		return "check that kubernetes_host can be reached from Vault, and firewalls in between"
	case DNS:
		return "check the name in kubernetes_host and the resolver of the machine that runs Vault"
	case TLS:
		return "check kubernetes_ca_cert against the API server's certificate, and that its name covers kubernetes_host"
	case Busy:
		return "look at how long the API server takes to answer; more logins are waiting than it answers in time, or than there is processor time for"
	case Malformed:
		return e.frontRemedy()
	case Setup:
		return "write the configuration anew"
	case Canceled:
		return "none: the client went away before the API server answered"
	}
	return ""
}

func wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Op: op, Failure: classify(err), Err: err}
}

// classify sorts an error of client-go. What the API server said itself comes
// first; of the rest the more specific comes before the more general.
func classify(err error) Failure {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return classifyStatus(err, int(status.Status().Code))
	}
	switch {
	case errors.Is(err, context.Canceled):
		return Canceled
	case errors.Is(err, errNoTurn):
		return Busy
	case errors.Is(err, errUnsendable):
		return Setup
	case isTLS(err):
		return TLS
	case isDNS(err):
		return DNS
	case isTimeout(err):
		return Timeout
	case isConnection(err):
		return Connection
	}
	return Malformed
}

func classifyStatus(err error, code int) Failure {
	// The API server says these with a Status object. What comes without one is of
	// something that stands before it: a program that says so of the credential, or a page
	// for people, which says nothing about it.
	said := !apierrors.IsUnexpectedServerError(err)
	switch {
	case (code == http.StatusUnauthorized || code == http.StatusForbidden) && !said && !isPage(err):
		return Gateway
	case code == http.StatusUnauthorized && said:
		return Unauthorized
	case code == http.StatusForbidden && said:
		return Forbidden
	case code == http.StatusNotFound && said:
		return NotFound
	case code == http.StatusTooManyRequests:
		return Throttled
	case code >= http.StatusInternalServerError:
		return ServerError
	}
	return Malformed
}

func isTLS(err error) bool {
	var (
		verification *tls.CertificateVerificationError
		unknown      x509.UnknownAuthorityError
		hostname     x509.HostnameError
		invalid      x509.CertificateInvalidError
		record       tls.RecordHeaderError
		op           *net.OpError
	)
	return errors.As(err, &verification) || errors.As(err, &unknown) || errors.As(err, &hostname) ||
		errors.As(err, &invalid) || errors.As(err, &record) ||
		errors.As(err, &op) && op.Op == "remote error" // crypto/tls' word for an alert that the peer sent
}

func isDNS(err error) bool {
	var dns *net.DNSError
	return errors.As(err, &dns) && !dns.IsTimeout
}

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

func isConnection(err error) bool {
	var (
		sent   *url.Error // net/http makes it where there was no answer at all
		op     *net.OpError
		stream http2.StreamError
	)
	if errors.Is(err, http.ErrSchemeMismatch) {
		return false // there was an answer, in plain HTTP
	}
	return errors.As(err, &sent) || errors.As(err, &op) || errors.As(err, &stream) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.ErrUnexpectedEOF) || utilnet.IsHTTP2ConnectionLost(err)
}
