// Package front stands between the plugin and an API server, and has watches fail when it
// is asked to, as those of an API server that has forgotten what happened since. It passes
// everything else on, and knows nothing of who asks.
package front

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"
)

// headerTimeout bounds how long a client may take to say what it wants.
const headerTimeout = 10 * time.Second

// Front is a server on loopback that passes requests on to one API server.
type Front struct {
	URL   string // https, with no path
	CAPEM string // that signed its certificate

	server   *http.Server
	stopped  chan error // how serving ended
	proxy    *httputil.ReverseProxy
	upstream *http.Transport

	mu      sync.Mutex
	relists map[string]*relist // by the kind, as paths have it
}

// Start starts a front of the API server at a URL, whose certificate caPEM has signed.
func Start(ctx context.Context, apiServer, caPEM string) (*Front, error) {
	target, err := url.Parse(apiServer)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(caPEM)) {
		return nil, errors.New("the CA of the API server holds no certificate")
	}
	certificate, ownPEM, err := newCertificate()
	if err != nil {
		return nil, err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	// Clients end watches all the time, which is nothing to log.
	silent := log.New(io.Discard, "", 0)
	f := &Front{
		URL: "https://" + listener.Addr().String(), CAPEM: ownPEM,
		upstream: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true},
		stopped:  make(chan error, 1),
	}
	f.proxy = &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:     f.upstream,
		FlushInterval: -1, // what a watch tells must not wait for more
		ErrorLog:      silent,
	}
	f.server = &http.Server{
		Handler: f, ErrorLog: silent, ReadHeaderTimeout: headerTimeout,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
	}
	go func() { f.stopped <- f.server.ServeTLS(listener, "", "") }()
	return f, nil
}

// Stop ends the front and all connections through it.
func (f *Front) Stop() error {
	err := f.server.Close()
	if ended := <-f.stopped; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	f.upstream.CloseIdleConnections()
	return err
}

// Relist has the next watch of each kind fail as if the API server had forgotten what
// happened since, and waits until all are listed anew and watched from there. Who watches a
// kind further without a list of it is an error.
func (f *Front) Relist(ctx context.Context, kinds ...string) error {
	defer f.forget()
	return await(ctx, f.forget(kinds...))
}

// ServeHTTP passes a request on, or answers it as [Front.Relist] says.
func (f *Front) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	if kind, ok := strings.CutPrefix(request.URL.Path, "/api/v1/"); ok && request.Method == http.MethodGet {
		if request.URL.Query().Get("watch") != "true" {
			w = &listWriter{ResponseWriter: w, answered: func() { f.listed(kind) }}
		} else if f.watchBegins(kind) {
			answerTooOld(w)
			return
		}
	}
	f.proxy.ServeHTTP(w, request)
}

// listWriter tells of an answer that is a list. It does so before any of it is sent, so that
// whoever has it cannot come back sooner.
type listWriter struct {
	http.ResponseWriter
	answered func()
}

// WriteHeader looks at the status, which the proxy always tells.
func (w *listWriter) WriteHeader(status int) {
	if status == http.StatusOK {
		w.answered()
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (w *listWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
