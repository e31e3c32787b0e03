package faults

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
)

// server is an API server that counts what its clients do, and that can go and return
// at the same address.
type server struct {
	fakeAPI
	made, open, most, requests atomic.Int64

	handler     http.HandlerFunc
	http1       bool
	certificate atomic.Pointer[tls.Certificate]

	mu      sync.Mutex
	running *http.Server
}

func newServer(t *testing.T, handler http.HandlerFunc, http1 bool) *server {
	t.Helper()
	authority := newAuthority(t)
	s := &server{handler: handler, http1: http1}
	s.certificate.Store(authority.issue(t))
	s.caPEM = authority.pem
	s.start(t, "127.0.0.1:0")
	t.Cleanup(s.stop)
	return s
}

// start listens at an address.
func (s *server) start(t *testing.T, address string) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Error(err)
		return
	}
	s.url = "https://" + listener.Addr().String()
	tlsConfig := &tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.certificate.Load(), nil },
		// With tickets a client would not look at the new certificate.
		SessionTicketsDisabled: true,
	}
	running := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.requests.Add(1)
			s.handler(w, r)
		}),
		TLSConfig: tlsConfig, ErrorLog: log.New(io.Discard, "", 0), ConnState: s.count,
	}
	if s.http1 {
		running.Protocols = new(http.Protocols)
		running.Protocols.SetHTTP1(true)
	}
	s.mu.Lock()
	s.running = running
	s.mu.Unlock()
	go func() { _ = running.ServeTLS(listener, "", "") }() // until stop
}

// stop refuses connections, and cuts those that there are.
func (s *server) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.running.Close()
}

// restart stops, and listens again at the same address.
func (s *server) restart(t *testing.T) {
	t.Helper()
	s.stop()
	s.start(t, s.url[len("https://"):])
}

func (s *server) count(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.connected()
	case http.StateClosed, http.StateHijacked:
		s.open.Add(-1)
	}
}

func (s *server) connected() {
	s.made.Add(1)
	now := s.open.Add(1)
	for most := s.most.Load(); now > most && !s.most.CompareAndSwap(most, now); most = s.most.Load() {
	}
}

// newHalfClosing is a server that takes a request, closes its half of the connection and
// goes on to read.
func newHalfClosing(t *testing.T) *server {
	t.Helper()
	authority := newAuthority(t)
	s := &server{fakeAPI: fakeAPI{caPEM: authority.pem}}
	config := &tls.Config{Certificates: []tls.Certificate{*authority.issue(t)}, NextProtos: []string{"http/1.1"}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	s.url = "https://" + listener.Addr().String()
	go func() {
		for {
			raw, err := listener.Accept()
			if err != nil {
				return
			}
			s.connected()
			go s.halfClose(tls.Server(raw, config), raw)
		}
	}()
	return s
}

func (s *server) halfClose(secure *tls.Conn, raw net.Conn) {
	defer s.open.Add(-1)
	defer raw.Close()
	if _, err := secure.Read(make([]byte, 1<<16)); err != nil {
		return // it sent none
	}
	s.requests.Add(1)
	_ = raw.(*net.TCPConn).CloseWrite()
	_, _ = io.Copy(io.Discard, raw) // until the client closes
}
