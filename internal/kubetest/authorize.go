package kubetest

import (
	"fmt"
	"net/http"
	"strings"

	authv1 "k8s.io/api/authentication/v1"
	authzv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// anonymous is who sends no credential.
const anonymous = "system:anonymous"

// authenticateCaller returns who sent the request.
func (s *Server) authenticateCaller(r *http.Request) (*authv1.UserInfo, *apierrors.StatusError) {
	header := r.Header.Get("Authorization")
	if sent := r.TLS.PeerCertificates; len(sent) > 0 { // one that is rejected leaves it to the token
		if user, err := s.userOf(sent); err == nil || header == "" {
			return user, err
		}
	}
	if header == "" {
		return &authv1.UserInfo{Username: anonymous, Groups: []string{"system:unauthenticated"}}, nil
	}
	token, _ := strings.CutPrefix(header, "Bearer ")
	user, _, err := s.authenticate(token, []string{s.Issuer})
	if err != nil {
		return nil, apierrors.NewUnauthorized("Unauthorized")
	}
	return user, nil
}

// authorize answers as RBAC does.
func (s *Server) authorize(user string, t target) *apierrors.StatusError {
	if s.allows(user, t.resource) {
		return nil
	}
	resource := schema.GroupResource{Group: groupOf(t.resource), Resource: string(t.resource)}
	verb, scope := verbOf(t.resource), "at the cluster scope"
	switch t.resource {
	case TokenReviews, SelfReviews, AccessReviews, PodWatch, ServiceAccountWatch:
		resource.Resource = nameOf(t.resource)
	case ServiceAccounts, Pods, TokenRequests:
		scope = fmt.Sprintf("in the namespace %q", t.namespace)
	case Namespaces:
		scope = fmt.Sprintf("in the namespace %q", t.name)
	default:
		return apierrors.NewForbidden(resource, "", fmt.Errorf("user %q cannot access this path", user))
	}
	return apierrors.NewForbidden(resource, t.name,
		fmt.Errorf("User %q cannot %s resource %q in API group %q %s", user, verb, resource.Resource, resource.Group, scope))
}

// allows tells whether a user has a permission, given or by default.
func (s *Server) allows(user string, resource Resource) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.revoked[user][resource] {
		return false
	}
	switch resource {
	case Version:
		return true
	case SigningKeys, Discovery, SelfReviews, AccessReviews:
		return user != anonymous
	}
	return s.granted[user][resource]
}

func groupOf(resource Resource) string {
	switch resource {
	case TokenReviews, SelfReviews:
		return authv1.GroupName
	case AccessReviews:
		return authzv1.GroupName
	}
	return ""
}
