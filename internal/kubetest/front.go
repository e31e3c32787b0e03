package kubetest

import (
	"bytes"
	"io"
	"mime"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
)

// A Front is something that stands between a client and the server, such as a gateway or
// a firewall, and passes requests on to it or does not.
type Front func(server http.Handler) http.Handler

// Behind puts the server behind a front; nil takes it away. Requests are recorded as the
// client sent them.
func (s *Server) Behind(front Front) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.front = front
}

// JSONOnly knows no other media type, neither of requests nor of answers, and says so in
// a way of its own.
func JSONOnly(refuse Fault) Front {
	return func(server http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for _, name := range []string{"Accept", "Content-Type"} {
				for value := range strings.SplitSeq(r.Header.Get(name), ",") {
					media, _, err := mime.ParseMediaType(value)
					if value != "" && (err != nil || media != "application/json" && media != "*/*") {
						refuse(w, r)
						return
					}
				}
			}
			server.ServeHTTP(w, r)
		})
	}
}

// WithoutAuthorization takes the credential away on the way.
func WithoutAuthorization() Front {
	return func(server http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Header.Del("Authorization")
			server.ServeHTTP(w, r)
		})
	}
}

// WithoutCertificate ends TLS, and begins another connection without the client's certificate.
func WithoutCertificate() Front {
	return func(server http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			own := *r.TLS
			own.PeerCertificates, own.VerifiedChains = nil, nil
			r.TLS = &own
			server.ServeHTTP(w, r)
		})
	}
}

// Replacing puts a text in place of another in all requests, or in all answers, as what
// masks secrets does.
func Replacing(old, with string, inAnswers bool) Front {
	return Changing(inAnswers, func(body []byte) []byte { return bytes.ReplaceAll(body, []byte(old), []byte(with)) })
}

// Shortening lets only a number of bytes of each answer pass, and says that they are all.
func Shortening(to int) Front {
	return Changing(true, func(body []byte) []byte { return body[:min(to, len(body))] })
}

// Changing changes the body of each request, or of each answer.
func Changing(inAnswers bool, change func([]byte) []byte) Front {
	return func(server http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !inAnswers {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					return // the client went away
				}
				body = change(body)
				r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
				server.ServeHTTP(w, r)
				return
			}
			answer := httptest.NewRecorder()
			server.ServeHTTP(answer, r)
			body := change(answer.Body.Bytes())
			for name, values := range answer.Header() {
				w.Header()[name] = values
			}
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
			w.WriteHeader(answer.Code)
			_, _ = w.Write(body) // the client may be gone
		})
	}
}

// AnsweredBy answers with another server, as where one name leads to several clusters.
// as is the credential that the other is asked with; empty keeps the client's. Only
// requests about the resources go there, or all if none are named.
func AnsweredBy(other *Server, as string, resources ...Resource) Front {
	return func(server http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if len(resources) > 0 && !slices.Contains(resources, parseTarget(r).resource) {
				server.ServeHTTP(w, r)
				return
			}
			if as != "" {
				r.Header.Set("Authorization", "Bearer "+as)
			}
			other.answer(w, r)
		})
	}
}
