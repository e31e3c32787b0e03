package kubetest

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Fault answers a request in place of the server, before the server looks at the
// credential.
type Fault http.HandlerFunc

type injected struct {
	fault     Fault
	resources []Resource // none means every request
	left      int        // negative means for ever
}

// Fail makes requests about the resources, or all requests if none are named,
// fail until Heal.
func (s *Server) Fail(fault Fault, resources ...Resource) { s.FailTimes(-1, fault, resources...) }

// FailTimes is Fail for a number of requests; after them the server is healthy
// again.
func (s *Server) FailTimes(times int, fault Fault, resources ...Resource) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &injected{fault: fault, resources: resources, left: times})
}

// Heal ends all faults.
func (s *Server) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// fault returns the first fault that applies, or nil.
func (s *Server) fault(resource Resource) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.faults {
		if f.left == 0 || len(f.resources) > 0 && !slices.Contains(f.resources, resource) {
			continue
		}
		if f.left > 0 {
			f.left--
		}
		return f.fault
	}
	return nil
}

// Status answers with a Status object, as the API server itself does.
func Status(code int) Fault {
	return func(w http.ResponseWriter, r *http.Request) {
		t := parseTarget(r)
		writeStatus(w, r, apierrors.NewGenericServerResponse(code, r.Method,
			schema.GroupResource{Group: groupOf(t.resource), Resource: string(t.resource)}, t.name, "", 0, false))
	}
}

// RetryAfter is Status with a Retry-After header, in seconds.
func RetryAfter(code int, seconds int) Fault {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", fmt.Sprint(seconds))
		Status(code)(w, r)
	}
}

// Text answers with anything, as what stands before an API server does.
func Text(code int, contentType, body string) Fault {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

// HTML is the error page, or the login page, of a proxy.
func HTML(code int) Fault {
	return Text(code, "text/html; charset=utf-8", "<html><body><h1>Welcome</h1></body></html>")
}

// WrongKind answers with an object of a kind that nobody asked for.
func WrongKind() Fault {
	return Text(http.StatusOK, "application/json", `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"unrelated"}}`)
}

// Redirect sends the client elsewhere.
func Redirect(code int, url string) Fault {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, url, code) }
}

// Hang never answers.
func Hang() Fault {
	return func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
}

// Slow begins an answer that never ends, a byte at a time.
func Slow(interval time.Duration) Fault {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			if _, err := io.WriteString(w, " "); err != nil {
				return
			}
			w.(http.Flusher).Flush()
			select {
			case <-r.Context().Done():
				return
			case <-tick.C:
			}
		}
	}
}

// Truncate ends the answer half-way, and with HTTP/1.1 the connection.
func Truncate() Fault {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","status":{"authenticated":true`)
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
}

// Oversize sends a valid beginning that goes on for at most limit bytes. sent, if
// not nil, counts those that the client took.
func Oversize(limit int64, sent *atomic.Int64) Fault {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","status":{"error":"`)
		chunk := strings.Repeat("x", 64<<10)
		for total := int64(0); total < limit; total += int64(len(chunk)) {
			if _, err := io.WriteString(w, chunk); err != nil {
				return
			}
			if sent != nil {
				sent.Add(int64(len(chunk)))
			}
		}
		_, _ = io.WriteString(w, `"}}`)
	}
}

// CloseConnection closes the connection in place of an answer.
func CloseConnection() Fault {
	return func(_ http.ResponseWriter, r *http.Request) {
		_ = r.Context().Value(connKey{}).(net.Conn).Close()
		panic(http.ErrAbortHandler)
	}
}

// ResetStream ends the request without an answer and, with HTTP/2, leaves the
// connection open.
func ResetStream() Fault {
	return func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
}
