// Package consultest is a Consul for tests that need none: what of its HTTP API a mint of
// tokens uses, in Consul's words and with its oddities, and with faults that a real one
// has at the wrong moment only. Tests against the real one are in test/consul.
package consultest

import (
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"vault-plugin-auth-kubernetes/internal/consulacl"
)

// Server is a Consul of one datacenter. Its own token is OwnToken.
type Server struct {
	*httptest.Server

	mu       sync.Mutex
	own      string
	tokens   map[string]*consulacl.Token // by accessor
	roles    map[string]bool
	policies map[string]bool
	requests []string
	fault    func(request string) Fault
	unknown  int // how many looks at a new token say that there is none
	bodies   []string
	peers    map[string]bool
}

// Fault is what happens to a request.
type Fault struct {
	// Status and Body are the answer in place of Consul's, if Status is not 0.
	Status int
	Body   string
	// Echo, if set, makes the answer of what was sent: the token, the path and the body.
	Echo func(sent string) string
	// Lost is whether the request is carried out and its answer does not arrive.
	Lost bool
	// Hang is closed to end the wait of a request that is not answered until then.
	Hang <-chan struct{}
	// After is called when the request was carried out, before it is answered.
	After func()
}

// OwnToken is the token that the server's ACLs may be written with.
const OwnToken = "0a1b2c3d-5e6f-4a7b-8c9d-0123456789ab"

// New starts a server, which ends with the test.
func New(t testing.TB) *Server {
	t.Helper()
	s := unstarted(t)
	s.Start()
	return s
}

// NewTLS is New with TLS.
func NewTLS(t testing.TB) *Server {
	t.Helper()
	s := unstarted(t)
	s.StartTLS()
	return s
}

func unstarted(t testing.TB) *Server {
	s := &Server{own: OwnToken, tokens: map[string]*consulacl.Token{}, roles: map[string]bool{}, policies: map[string]bool{}, peers: map[string]bool{}}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.Config.ConnState = func(conn net.Conn, _ http.ConnState) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.peers[conn.RemoteAddr().String()] = true
	}
	t.Cleanup(s.Close)
	return s
}

// Connections is how many were made.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.peers)
}

// SetFault sets what happens to requests, by method and path; nil is nothing.
func (s *Server) SetFault(fault func(request string) Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fault
}

// SetOwn replaces the token that ACLs may be written with.
func (s *Server) SetOwn(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.own = token
}

// SetUnknown makes the next n looks at a new token say that there is none, as a server
// does that is behind.
func (s *Server) SetUnknown(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unknown = n
}

// Add adds roles and policies by name; Remove takes them away.
func (s *Server) Add(roles, policies []string) { s.setNames(true, roles, policies) }

// Remove takes roles and policies away.
func (s *Server) Remove(roles, policies []string) { s.setNames(false, roles, policies) }

func (s *Server) setNames(there bool, roles, policies []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range roles {
		s.roles[name] = there
	}
	for _, name := range policies {
		s.policies[name] = there
	}
}

// Put adds a token that somebody else made.
func (s *Server) Put(t consulacl.Token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[t.AccessorID] = &t
}

// Delete takes a token away behind everybody's back.
func (s *Server) Delete(accessor string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tokens, accessor)
}

// Tokens are all that there are, by accessor.
func (s *Server) Tokens() []consulacl.Token {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]consulacl.Token, 0, len(s.tokens))
	for _, t := range s.tokens {
		all = append(all, *t)
	}
	slices.SortFunc(all, func(a, b consulacl.Token) int { return strings.Compare(a.AccessorID, b.AccessorID) })
	return all
}

// Requests are those that were made since the last call, as METHOD path.
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	made := s.requests
	s.requests = nil
	return made
}

// Bodies are those of all requests to make a token.
func (s *Server) Bodies() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.bodies)
}
