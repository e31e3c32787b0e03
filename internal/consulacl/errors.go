package consulacl

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
)

// Failure is what kept a request from being done, in a few fixed words.
type Failure string

// The failures. Those of an outage say nothing about what was asked for.
const (
	// Unreachable: no connection, or it ended before an answer.
	Unreachable Failure = "consul unreachable"
	// Timeout: no answer in time.
	Timeout Failure = "consul timeout"
	// TLS: the server's certificate is not trusted, or it does not trust ours.
	TLS Failure = "consul tls"
	// Overloaded: 429, or a limit of the server's.
	Overloaded Failure = "consul overloaded"
	// ServerError: an error of the server's own, such as having no leader.
	ServerError Failure = "consul error"
	// Malformed: an answer that is none of Consul's.
	Malformed Failure = "consul malformed"
	// Canceled: whoever asked does not wait any more.
	Canceled Failure = "consul canceled"

	// Unknown: Consul does not know the token that was asked with.
	Unknown Failure = "consul token unknown"
	// Denied: the token that was asked with may not do that.
	Denied Failure = "consul denied"
	// Disabled: Consul has no ACLs, so nobody needs a token and none can be made.
	Disabled Failure = "consul acls disabled"
	// NotFound: there is no such thing.
	NotFound Failure = "consul not found"
	// Refused: Consul does not take the request, such as one of a later version.
	Refused Failure = "consul refused"
)

// Failures are all that there are.
var Failures = []Failure{
	Unreachable, Timeout, TLS, Overloaded, ServerError, Malformed, Canceled,
	Unknown, Denied, Disabled, NotFound, Refused,
}

// Outage tells whether the failure says nothing about what was asked for.
func (f Failure) Outage() bool {
	switch f {
	case Unreachable, Timeout, Overloaded, ServerError, Malformed, Canceled:
		return true
	}
	return false
}

// Error is a request that was not done. Its text has no secret in it.
type Error struct {
	Op      string
	Failure Failure
	// Status is that of the answer; 0 if there was none.
	Status int
	Err    error
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %s: %v", e.Op, e.Failure, e.Err) }
func (e *Error) Unwrap() error { return e.Err }

// FailureOf is the failure that an error is about; empty if it is about none.
func FailureOf(err error) Failure {
	var failed *Error
	if errors.As(err, &failed) {
		return failed.Failure
	}
	return ""
}

// isUsed tells whether the accessor of a token is in use already: by the request itself,
// if it was carried out and made anew.
func isUsed(err error) bool {
	return FailureOf(err) == Refused && strings.Contains(err.Error(), "already in use")
}

// undecided tells whether a request that changes something may have been done all the
// same: there was no answer, or one of somebody who may not know.
func undecided(err error) bool {
	var failed *Error
	if !errors.As(err, &failed) {
		return false
	}
	switch failed.Failure {
	case Unreachable, Timeout, ServerError, Malformed, Canceled:
		return true
	}
	return false
}

// failureOfTransport sorts an error that came in place of an answer.
func failureOfTransport(ctx context.Context, err error) Failure {
	var unknown x509.UnknownAuthorityError
	var hostname x509.HostnameError
	var invalid x509.CertificateInvalidError
	var verification *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var network net.Error
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return Canceled
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return Timeout
	case errors.As(err, &unknown), errors.As(err, &hostname), errors.As(err, &invalid),
		errors.As(err, &verification), errors.As(err, &record), errors.As(err, &alert):
		return TLS
	}
	return Unreachable
}

// failureOfStatus sorts an answer that is an error. Consul says some things by the text
// alone: a token that may not, one that it does not know, and an accessor that it does
// not know are all a 403.
func failureOfStatus(status int, text string) Failure {
	lower := strings.ToLower(text)
	switch {
	case status == http.StatusTooManyRequests, strings.Contains(lower, "rate limit"):
		return Overloaded
	case strings.Contains(lower, "acl support disabled"):
		return Disabled
	case status == http.StatusForbidden && strings.Contains(lower, "does not exist"):
		return NotFound
	case status == http.StatusForbidden && strings.Contains(lower, "acl not found"):
		return Unknown
	case status == http.StatusForbidden, status == http.StatusUnauthorized:
		return Denied
	case status == http.StatusNotFound:
		return NotFound
	case status >= 500 && isRefusal(lower):
		return Refused
	case status >= 500:
		return ServerError
	case status >= 400:
		return Refused
	}
	return Malformed
}

// refusals are parts of answers with which Consul refuses what was asked for, and says
// 500, as it does for an error of its own.
var refusals = []string{
	"no such acl role", "no such acl policy", "cannot find role", "cannot find policy", "no such role", "no such policy",
	"invalid token", "invalid service identity", "service identity", "node identity", "templated policy",
	"already in use", "must be", "not allowed", "cannot be", "unknown",
}

func isRefusal(text string) bool {
	if strings.Contains(text, "no cluster leader") || strings.Contains(text, "rpc error making call: eof") {
		return false
	}
	for _, part := range refusals {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}
