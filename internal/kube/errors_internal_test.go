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
	"os"
	"syscall"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func status(code int, unexpected bool) error {
	return apierrors.NewGenericServerResponse(code, "get", schema.GroupResource{Resource: "namespaces"}, "apps", "", 0, unexpected)
}

// What a real network seldom does when a test wants it; the rest is tested over
// the wire.
func TestClassify(t *testing.T) {
	dial := func(err error) error {
		return &url.Error{Op: "Post", URL: "https://h", Err: &net.OpError{Op: "dial", Net: "tcp", Err: err}}
	}
	for name, row := range map[string]struct {
		err  error
		want Failure
	}{
		"no such host":              {dial(&net.DNSError{Err: "no such host", Name: "h", IsNotFound: true}), DNS},
		"resolver refuses":          {dial(&net.DNSError{Err: "server misbehaving", Name: "h", IsTemporary: true}), DNS},
		"resolver does not answer":  {dial(&net.DNSError{Err: "i/o timeout", Name: "h", IsTimeout: true}), Timeout},
		"no route":                  {dial(os.NewSyscallError("connect", syscall.EHOSTUNREACH)), Connection},
		"network unreachable":       {dial(os.NewSyscallError("connect", syscall.ENETUNREACH)), Connection},
		"connecting takes too long": {dial(os.ErrDeadlineExceeded), Timeout},
		"reset":                     {&net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}, Connection},
		"broken pipe":               {&net.OpError{Op: "write", Err: os.NewSyscallError("write", syscall.EPIPE)}, Connection},
		"ended early":               {fmt.Errorf("reading: %w", io.ErrUnexpectedEOF), Connection},
		"ended before it began":     {&url.Error{Op: "Post", URL: "https://h", Err: io.EOF}, Connection},
		"proxy refuses":             {&net.OpError{Op: "proxyconnect", Net: "tcp", Err: syscall.ECONNREFUSED}, Connection},
		"unknown authority":         {&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, TLS},
		"wrong name":                {x509.HostnameError{Certificate: &x509.Certificate{}, Host: "h"}, TLS},
		"expired":                   {x509.CertificateInvalidError{Reason: x509.Expired}, TLS},
		"not TLS":                   {tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}, TLS},
		"caller went away":          {&url.Error{Op: "Post", URL: "https://h", Err: context.Canceled}, Canceled},
		"deadline":                  {&url.Error{Op: "Post", URL: "https://h", Err: context.DeadlineExceeded}, Timeout},
		"401":                       {status(http.StatusUnauthorized, false), Unauthorized},
		"403":                       {status(http.StatusForbidden, false), Forbidden},
		"404 of an object":          {status(http.StatusNotFound, false), NotFound},
		"404 of a path":             {status(http.StatusNotFound, true), Malformed},
		"400":                       {status(http.StatusBadRequest, false), Malformed},
		"429":                       {status(http.StatusTooManyRequests, false), Throttled},
		"500":                       {status(http.StatusInternalServerError, false), ServerError},
		"503":                       {status(http.StatusServiceUnavailable, false), ServerError},
		"504":                       {status(http.StatusGatewayTimeout, false), ServerError},
		"status without a code":     {&apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure}}, Malformed},
		"anything else":             {errors.New("invalid character '<' looking for beginning of value"), Malformed},
	} {
		t.Run(name, func(t *testing.T) {
			err := wrap("get Namespace", row.err)
			var failed *Error
			if !errors.As(err, &failed) {
				t.Fatalf("the error is %T", err)
			}
			if failed.Failure != row.want {
				t.Errorf("classified as %q, want %q", failed.Failure, row.want)
			}
			if !errors.Is(err, row.err) {
				t.Error("the cause was lost")
			}
		})
	}
	if err := wrap("get Namespace", nil); err != nil {
		t.Errorf("no error was wrapped as %v", err)
	}
}

// A new Failure without advice would leave the operator alone.
func TestEveryFailureHasARemedy(t *testing.T) {
	for _, failure := range []Failure{
		Unauthorized, Forbidden, NotFound, Gateway, Throttled, ServerError, Timeout, Canceled, DNS, TLS, Connection, Malformed, Setup, Busy,
	} {
		if (&Error{Failure: failure}).Remedy() == "" {
			t.Errorf("%q has none", failure)
		}
	}
}
