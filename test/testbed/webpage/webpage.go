// Package webpage serves the page in web/ together with the part of Vault's API
// that the page uses, under one address on loopback. One origin needs no CORS
// setting in Vault, and the page's policy can forbid every other address.
//
// It knows no credential: the page's user gives the page a Vault token, which
// passes through here with each request.
package webpage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

const (
	// maxRequestBytes bounds the body of a request to Vault. Vault's own method,
	// and so the plugin, takes tokens far shorter than that.
	maxRequestBytes = 1 << 20

	// answerTimeout bounds the wait for the head of Vault's answer. A check may
	// use twice the mount's request_timeout.
	answerTimeout = 2 * time.Minute

	closeTimeout = 5 * time.Second
)

// Options says what [Start] serves, and where.
type Options struct {
	// Dir holds the page.
	Dir string

	// VaultAddr is the URL of Vault, without a path.
	VaultAddr string

	// Transport makes the requests to Vault. Default: http.DefaultTransport's settings.
	Transport *http.Transport

	// Listen is a loopback address with a port, 0 for a free one. Default: 127.0.0.1:0.
	Listen string
}

// Server is a page that is being served.
type Server struct {
	URL string // http URL with a loopback address, ends with a slash

	server *http.Server
	served chan error
}

// Start serves until Close. It refuses to listen on anything but loopback, since
// Vault tokens pass through it unencrypted.
func Start(opts Options) (*Server, error) {
	vault, err := url.Parse(opts.VaultAddr)
	if err != nil {
		return nil, fmt.Errorf("Vault's address: %w", err) //nolint:staticcheck // Vault is a name
	}
	if vault.Host == "" || (vault.Scheme != "http" && vault.Scheme != "https") {
		return nil, fmt.Errorf("%q is not an http or https URL of Vault", opts.VaultAddr)
	}
	if _, err := os.Stat(filepath.Join(opts.Dir, "index.html")); err != nil {
		return nil, fmt.Errorf("the page is missing: %w", err)
	}
	if opts.Listen == "" {
		opts.Listen = "127.0.0.1:0"
	}
	if err := checkLoopback(opts.Listen); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", opts.Listen)
	if err != nil {
		return nil, err
	}
	s := &Server{
		URL:    "http://" + listener.Addr().String() + "/",
		served: make(chan error, 1),
		server: &http.Server{
			Handler:           newHandler(opts.Dir, vault, opts.Transport),
			ReadHeaderTimeout: 10 * time.Second,
			ReadTimeout:       30 * time.Second,
			WriteTimeout:      answerTimeout + 30*time.Second,
			IdleTimeout:       time.Minute,
			MaxHeaderBytes:    64 << 10,
			ErrorLog:          log.New(io.Discard, "", 0),
		},
	}
	go func() { s.served <- s.server.Serve(listener) }()
	return s, nil
}

// Close waits a moment for requests under way and then ends them.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	err := s.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.server.Close()
	}
	if served := <-s.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// checkLoopback takes addresses only: what a name stands for can change.
func checkLoopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("%s is not a loopback address with a port, such as 127.0.0.1:8400", address)
	}
	return nil
}

// newHandler is the page, and the API behind it, guarded against other sites that
// the user's browser may have open.
func newHandler(dir string, vault *url.URL, transport *http.Transport) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/v1/", apiOnly(http.MaxBytesHandler(newProxy(vault, transport), maxRequestBytes)))
	mux.Handle("/", pageOnly(dir))
	return loopbackOnly(http.NewCrossOriginProtection().Handler(withHeaders(mux)))
}

func newProxy(vault *url.URL, transport *http.Transport) http.Handler {
	if transport == nil {
		transport = http.DefaultTransport.(*http.Transport)
	}
	transport = transport.Clone()
	transport.ResponseHeaderTimeout = answerTimeout
	return &httputil.ReverseProxy{
		Transport: transport,
		ErrorLog:  log.New(io.Discard, "", 0),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(vault)
			r.Out.Header.Del("Cookie")
		},
		ModifyResponse: func(response *http.Response) error {
			response.Header.Del("Set-Cookie")
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			status, text := http.StatusBadGateway, "Vault cannot be reached from the server of this page"
			if errors.As(err, new(*http.MaxBytesError)) {
				status, text = http.StatusRequestEntityTooLarge, "the request is too large"
			}
			http.Error(w, text, status)
		},
	}
}
