package faults

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
)

// watcher passes requests on to the real API server and remembers them.
type watcher struct {
	fakeAPI
	mu      sync.Mutex
	reviews map[string]int // by the token under review
	others  map[string]int // by method and target, as it was sent
	forms   []string       // media types of the reviews, in their order
	caller  string         // credential in the place of the one that was sent; empty keeps it
}

func newWatcher(t *testing.T) *watcher {
	t.Helper()
	w := &watcher{reviews: map[string]int{}, others: map[string]int{}}
	upstream, err := url.Parse(kube.Host)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(kube.CAPEM))
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: roots},
		ForceAttemptHTTP2: true,
	}
	t.Cleanup(transport.CloseIdleConnections)
	forward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(upstream)
			if caller := w.callsAs(); caller != "" {
				r.Out.Header.Set("Authorization", "Bearer "+caller)
			}
		},
		Transport: transport,
		ErrorLog:  log.New(io.Discard, "", 0),
	}
	w.fakeAPI = newFakeAPI(t, func(answer http.ResponseWriter, r *http.Request) {
		if err := w.remember(r); err != nil {
			t.Errorf("a request that the watcher cannot read: %v", err)
		}
		forward.ServeHTTP(answer, r)
	})
	return w
}

func (w *watcher) remember(r *http.Request) error {
	if r.Method != http.MethodPost || r.RequestURI != "/apis/authentication.k8s.io/v1/tokenreviews" {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.others[r.Method+" "+r.RequestURI]++
		return nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return fmt.Errorf("a review: %w", err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	review, err := decodeReview(r)
	r.Body = io.NopCloser(bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("a review: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reviews[review.Spec.Token]++
	w.forms = append(w.forms, r.Header.Get("Content-Type"))
	return nil
}

// as has requests made by another credential from now on; empty is that of who sent them.
func (w *watcher) as(credential string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.caller = credential
}

func (w *watcher) callsAs() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.caller
}

// takeForms are the media types of the reviews since the last time.
func (w *watcher) takeForms() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	taken := w.forms
	w.forms = nil
	return taken
}

// seen returns copies of what was counted so far.
func (w *watcher) seen() (reviews, others map[string]int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.reviews), maps.Clone(w.others)
}
