// Package kubetest is a Kubernetes API server for tests. It speaks TLS and HTTP/2
// on a loopback port, has its own CA and its own signing keys, and answers
// TokenReview, GET of a service account, a pod and a namespace, and the lists and watches
// of pods and service accounts as kube-apiserver 1.36 does, Status objects included, and what a client asks about itself and the server. Every request is recorded, and any can be made to fail
// in the ways in which API servers, and what stands before them, fail.
//
// It is for tests only: nothing of it is secure.
package kubetest

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	authv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
)

// Options change what Start makes. The zero value is a healthy server.
type Options struct {
	// Names are the DNS names and IP addresses that the certificate is for.
	// None means 127.0.0.1 and localhost.
	Names []string
	// NotAfter is the end of the certificate's validity; zero means an hour
	// from now.
	NotAfter time.Time
	// HTTP1 switches HTTP/2 off, as some proxies do.
	HTTP1 bool
	// TLS, if set, changes the server's TLS settings before it starts.
	TLS func(*tls.Config)
}

// Server is a running API server. Its methods may be called at any time, from any
// goroutine.
type Server struct {
	// URL is the base URL: https, 127.0.0.1 and the port.
	URL string
	// CAPEM is the certificate of the CA that signed the server's.
	CAPEM string
	// Issuer is in the tokens that the server mints, and, as with
	// kube-apiserver's defaults, the audience of the API itself.
	Issuer string
	// Reviewer is a bearer token that may do everything the server can do. It
	// belongs to ReviewerNamespace and ReviewerName.
	Reviewer string

	http     *httptest.Server
	listener *listener
	cancel   context.CancelFunc
	keys     keyring

	options     Options
	ca          *authority // that signed certificate
	clients     *authority // that signs those of clients
	certificate atomic.Pointer[tls.Certificate]

	mu              sync.Mutex
	requests        []Request
	faults          []*injected
	onReview        func(*authv1.TokenReview)
	front           Front
	namespaces      map[string]*corev1.Namespace
	serviceAccounts map[objectKey]*corev1.ServiceAccount
	pods            map[objectKey]*corev1.Pod
	secrets         map[objectKey]*corev1.Secret
	granted         map[string]map[Resource]bool // by user name
	revoked         map[string]map[Resource]bool // of what everybody has
	ahead           time.Duration                // of the server's clock
	tokenClock      atomic.Pointer[func() time.Time]
	nodes           map[string]*corev1.Node
	history
}

// The service account of Server.Reviewer.
const (
	ReviewerNamespace = "kube-system"
	ReviewerName      = "reviewer"
)

// DefaultIssuer is the issuer of every server, as kubeadm sets it. Clusters share
// it in practice too, so it tells nobody apart.
const DefaultIssuer = "https://kubernetes.default.svc.cluster.local"

// Start starts a server that stops when the test ends.
func Start(t testing.TB) *Server { return StartWith(t, Options{}) }

// StartWith is Start with options.
func StartWith(t testing.TB, o Options) *Server {
	t.Helper()
	ca, err := newAuthority()
	if err != nil {
		t.Fatalf("kubetest: %v", err)
	}
	certificate, err := ca.issue(o)
	if err != nil {
		t.Fatalf("kubetest: %v", err)
	}
	clients, err := newAuthority()
	if err != nil {
		t.Fatalf("kubetest: %v", err)
	}
	s := newServer()
	s.CAPEM, s.options, s.ca, s.clients = ca.pem, o, ca, clients
	s.certificate.Store(&certificate)
	s.listen(o)
	t.Cleanup(s.Close)
	return s
}

// Unserved is a server that listens nowhere: what it would answer is had from Review,
// List, Follow and KeySet. It may be made in a bubble of testing/synctest, where no
// connection can be.
func Unserved() *Server { return newServer() }

func newServer() *Server {
	s := &Server{
		Issuer:          DefaultIssuer,
		keys:            keyring{ecdsa: NewECDSAKey()},
		namespaces:      map[string]*corev1.Namespace{},
		serviceAccounts: map[objectKey]*corev1.ServiceAccount{},
		pods:            map[objectKey]*corev1.Pod{},
		secrets:         map[objectKey]*corev1.Secret{},
		nodes:           map[string]*corev1.Node{},
		granted:         map[string]map[Resource]bool{},
		revoked:         map[string]map[Resource]bool{},
		history:         newHistory(),
	}
	s.AddServiceAccount(ReviewerNamespace, ReviewerName)
	s.Grant(ReviewerNamespace, ReviewerName, TokenReviews, ServiceAccounts, Namespaces, Pods, PodWatch, ServiceAccountWatch)
	s.Reviewer = s.Token(ReviewerNamespace, ReviewerName)
	return s
}

func (s *Server) listen(o Options) {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.http = httptest.NewUnstartedServer(s)
	s.listener = &listener{Listener: s.http.Listener}
	s.http.Listener = s.listener
	s.http.EnableHTTP2 = !o.HTTP1
	s.http.TLS = &tls.Config{Certificates: []tls.Certificate{*s.certificate.Load()}, MinVersion: tls.VersionTLS12, ClientAuth: tls.RequestClientCert}
	if o.TLS != nil {
		o.TLS(s.http.TLS)
	}
	s.http.TLS.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		current := s.http.TLS.Clone()
		current.Certificates = []tls.Certificate{*s.certificate.Load()}
		return current, nil
	}
	// Handshakes that tests make fail are no news.
	s.http.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.http.Config.BaseContext = func(net.Listener) context.Context { return ctx }
	s.http.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, connKey{}, c)
	}
	s.http.StartTLS()
	s.URL = s.http.URL
}

// connKey finds the connection of a request, so that a fault can cut it.
type connKey struct{}

// Close stops the server; requests that hang are ended. The test's end does it as
// well.
func (s *Server) Close() {
	s.cancel()
	s.http.CloseClientConnections()
	s.http.Close()
}

// CloseConnections cuts all connections to the server, which goes on to accept
// new ones.
func (s *Server) CloseConnections() { s.http.CloseClientConnections() }

// ServeHTTP answers one request: it is recorded, goes through the front, if there is one,
// then a fault may take it over, then come authentication, authorisation and the answer, in this order.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.record(r, parseTarget(r))
	w.Header().Set("Date", s.now().UTC().Format(http.TimeFormat))
	s.mu.Lock()
	front := s.front
	s.mu.Unlock()
	if front == nil {
		s.answer(w, r)
		return
	}
	front(http.HandlerFunc(s.answer)).ServeHTTP(w, r)
}

// answer is what the server does with a request once it has arrived.
func (s *Server) answer(w http.ResponseWriter, r *http.Request) {
	target := parseTarget(r)
	if fault := s.fault(target.resource); fault != nil {
		fault(w, r)
		return
	}
	caller, failed := s.authenticateCaller(r)
	if failed == nil {
		failed = s.authorize(caller.Username, target)
	}
	if failed != nil {
		writeStatus(w, r, failed)
		return
	}
	s.serve(w, r, target, caller)
}
