package clients

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// What a front does with requests.
const (
	passing  = iota // they go on to the API server
	refusing        // their connection ends at once
	hanging         // nothing answers
)

// front stands before the API server, counts the requests to it, and fails as it is told.
type front struct {
	url, caPEM string

	mu      sync.Mutex
	mode    int
	changed chan struct{} // closed when the mode changes
	arrived []time.Time   // of each TokenReview
}

func newFront(t testing.TB) *front {
	t.Helper()
	upstream, err := url.Parse(bed.Cluster.Host)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(bed.Cluster.CAPEM))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	forward := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(upstream) },
		Transport: transport,
		ErrorLog:  log.New(io.Discard, "", 0),
	}
	f := &front{changed: make(chan struct{})}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch mode, changed := f.arrive(r); mode {
		case refusing:
			panic(http.ErrAbortHandler)
		case hanging:
			select {
			case <-changed:
			case <-r.Context().Done():
			}
			panic(http.ErrAbortHandler)
		}
		forward.ServeHTTP(w, r)
	}))
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(func() {
		f.set(refusing)
		server.CloseClientConnections()
		server.Close()
		transport.CloseIdleConnections()
	})
	f.url = server.URL
	f.caPEM = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	return f
}

func (f *front) arrive(r *http.Request) (mode int, changed <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if strings.HasSuffix(r.URL.Path, "/tokenreviews") {
		f.arrived = append(f.arrived, time.Now())
	}
	return f.mode, f.changed
}

func (f *front) set(mode int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mode = mode
	close(f.changed)
	f.changed = make(chan struct{})
}

// reviews are when TokenReviews arrived.
func (f *front) reviews() []time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]time.Time(nil), f.arrived...)
}
