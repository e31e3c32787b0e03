package kube

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"vault-plugin-auth-kubernetes/internal/scrub"
)

// A front is what stands between Vault and an API server, and sometimes answers in its
// place: a proxy of Rancher's or of a cloud, a gateway, a firewall that looks into
// requests. What is said here tells its answers from the API server's own.

// errTokenChanged is about a review of another token than the one that was sent. An API
// server repeats the token as it came.
var errTokenChanged = errors.New("the answer is about another token than was sent")

// anonymous is whom an API server takes a request for that has no credential; it names
// the user in its refusals.
const anonymous = `User "system:anonymous"`

// isPage tells whether an answer that no API server gave is a page for a person, such as
// to log in at, or that says that something was blocked.
func isPage(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil {
		return false
	}
	for _, cause := range status.Status().Details.Causes {
		if cause.Type == metav1.CauseTypeUnexpectedServerResponse && strings.HasPrefix(strings.TrimSpace(cause.Message), "<") {
			return true
		}
	}
	return false
}

// CredentialLost tells whether the API server saw no credential, although one was sent.
func (e *Error) CredentialLost() bool {
	return e.Failure == Forbidden && e.Err != nil && strings.Contains(e.Err.Error(), anonymous)
}

// codeOf is the HTTP status of an answer that was an error, 0 if there was none.
func codeOf(err error) int {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return 0
	}
	return int(status.Status().Code)
}

// passTLSOn is the advice where the API server does not get to see a client certificate.
const passTLSOn = "have what stands between Vault and the API server pass connections on as they are, without ending TLS: " +
	"the API server does not get to see kubernetes_client_cert"

// withoutAFront ends what is advised about something that stands in between.
const withoutAFront = "set kubernetes_host to the address of the API server itself"

// frontRemedy is the advice about an answer that is not the Kubernetes API's.
func (e *Error) frontRemedy() string {
	code := codeOf(e.Err)
	switch {
	case errors.Is(e.Err, errTokenChanged):
		return "have what stands between Vault and the API server pass requests and answers on as they are: it masks or changes tokens; or " + withoutAFront
	case code >= http.StatusMultipleChoices && code < http.StatusBadRequest:
		return "what kubernetes_host names sends clients elsewhere, as to a page to log in at: " + withoutAFront
	case code == http.StatusUnsupportedMediaType || code == http.StatusNotAcceptable:
		return "have what stands between Vault and the API server pass JSON on; or " + withoutAFront
	case code == http.StatusBadRequest && strings.Contains(e.Err.Error(), "HTTP request to an HTTPS server"):
		return httpsRemedy
	case isPage(e.Err) && (code == http.StatusUnauthorized || code == http.StatusForbidden):
		return "a page that is for people answers in place of the API server, to log in at or to say that something was blocked: " +
			"have Vault's address let through, or " + withoutAFront
	}
	return "check that kubernetes_host is the base URL of a Kubernetes API server"
}

const httpsRemedy = "write kubernetes_host with https:// in place of http://: an API server speaks TLS"

// maxSaid bounds what is repeated of a front's answer.
const maxSaid = 200

// noteAnswer keeps what tells whose answer it is, for an error that says no more than
// its status. body has no secrets any more.
func (s *sent) noteAnswer(header http.Header, body []byte) {
	if bytes.Contains(body, []byte(`"kind":"Status"`)) || bytes.HasPrefix(body, []byte("k8s\x00")) {
		s.said = "" // the API server's own, which client-go repeats
		return
	}
	var said []string
	for _, name := range []string{"Server", "Www-Authenticate", "Location"} {
		if value := header.Get(name); value != "" {
			said = append(said, fmt.Sprintf("%s: %q", name, scrub.Cut(s.secrets.Text(value), maxSaid)))
		}
	}
	if text := strings.Join(strings.Fields(string(body)), " "); text != "" && !strings.HasPrefix(text, "<") {
		said = append(said, fmt.Sprintf("%q", scrub.Cut(text, maxSaid)))
	}
	s.said = strings.Join(said, ", ")
}
