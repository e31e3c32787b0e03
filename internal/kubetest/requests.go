package kubetest

import (
	"net/http"
	"slices"
	"strings"
)

// Resource names what a request is about. It serves as a permission (the one verb
// that the server knows for it) and as the target of a fault.
type Resource string

// The resources that the server knows: POST for those that end in reviews, GET for
// the others.
const (
	TokenReviews    Resource = "tokenreviews"
	ServiceAccounts Resource = "serviceaccounts"
	Namespaces      Resource = "namespaces"
	Pods            Resource = "pods"
	// TokenRequests is the POST for a token of a service account.
	TokenRequests Resource = "serviceaccounts/token"
	// PodWatch and ServiceAccountWatch are the lists and watches of all of them.
	PodWatch            Resource = "watch/pods"
	ServiceAccountWatch Resource = "watch/serviceaccounts"
	// SigningKeys is the published key set, which every service account may read.
	SigningKeys Resource = "jwks"
	// Discovery is the document that names the issuer, with the same readers.
	Discovery Resource = "openid-configuration"
	// SelfReviews and AccessReviews are for whoever is authenticated, Version for
	// everybody.
	SelfReviews   Resource = "selfsubjectreviews"
	AccessReviews Resource = "selfsubjectaccessreviews"
	Version       Resource = "version"
)

// wellKnown are the paths that name a resource in full.
var wellKnown = map[string]Resource{
	"POST /apis/authentication.k8s.io/v1/tokenreviews":            TokenReviews,
	"POST /apis/authentication.k8s.io/v1/selfsubjectreviews":      SelfReviews,
	"POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews": AccessReviews,
	"GET /openid/v1/jwks":                   SigningKeys,
	"GET /.well-known/openid-configuration": Discovery,
	"GET /version":                          Version,
	"GET /api/v1/pods":                      PodWatch,
	"GET /api/v1/serviceaccounts":           ServiceAccountWatch,
}

// Request is a request that reached the server.
type Request struct {
	Method string
	// Path is as it came over the wire, not cleaned up.
	Path string
	// Bearer is the token that it was authorised with, "" if there was none.
	Bearer string
	// Resource is "" for paths that the server does not know.
	Resource Resource
	// Protocol is "HTTP/1.1" or "HTTP/2.0".
	Protocol    string
	ContentType string
	UserAgent   string
}

// Requests returns all requests since the start or the last Forget, in order.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Count returns how many requests were about the resource.
func (s *Server) Count(resource Resource) int {
	count := 0
	for _, r := range s.Requests() {
		if r.Resource == resource {
			count++
		}
	}
	return count
}

// Forget empties the record of requests.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = nil
}

func (s *Server) record(r *http.Request, t target) {
	bearer, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, Request{
		Method:      r.Method,
		Path:        r.RequestURI,
		Bearer:      bearer,
		Resource:    t.resource,
		Protocol:    r.Proto,
		ContentType: r.Header.Get("Content-Type"),
		UserAgent:   r.UserAgent(),
	})
}

// target is what a request is about.
type target struct {
	resource        Resource
	namespace, name string
}

// parseTarget reads method and path. The zero target is returned for what the
// server does not know, paths that are not in their shortest form included.
func parseTarget(r *http.Request) target {
	if resource, ok := wellKnown[r.Method+" "+r.URL.Path]; ok {
		return target{resource: resource}
	}
	parts := strings.Split(r.URL.EscapedPath(), "/")
	switch {
	case r.Method == http.MethodPost && len(parts) == 8 && parts[3] == "namespaces" && parts[5] == "serviceaccounts" && parts[7] == "token":
		return target{resource: TokenRequests, namespace: parts[4], name: parts[6]}
	case r.Method != http.MethodGet || !slices.Equal(parts[:min(4, len(parts))], []string{"", "api", "v1", "namespaces"}):
		return target{}
	case len(parts) == 5:
		return target{resource: Namespaces, name: parts[4]}
	case len(parts) == 7 && parts[5] == "serviceaccounts":
		return target{resource: ServiceAccounts, namespace: parts[4], name: parts[6]}
	case len(parts) == 7 && parts[5] == "pods":
		return target{resource: Pods, namespace: parts[4], name: parts[6]}
	}
	return target{}
}
