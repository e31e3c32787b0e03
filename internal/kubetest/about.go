package kubetest

import (
	"encoding/json"
	"net/http"
	"time"

	authv1 "k8s.io/api/authentication/v1"
	authzv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/version"
)

// GitVersion is what every server says it is.
const GitVersion = "v1.36.3"

// SetClock makes the server's clock be ahead of the machine's, or behind, as its
// answers show it. Tokens are judged by the machine's.
func (s *Server) SetClock(ahead time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ahead = ahead
}

func (s *Server) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Add(s.ahead)
}

// serveAbout answers what clients ask about themselves and about the server.
func (s *Server) serveAbout(w http.ResponseWriter, r *http.Request, resource Resource, caller *authv1.UserInfo) {
	switch resource {
	case SelfReviews:
		review := &authv1.SelfSubjectReview{Status: authv1.SelfSubjectReviewStatus{UserInfo: *caller}}
		writeObject(w, r, http.StatusCreated, authv1.SchemeGroupVersion, review)
	case AccessReviews:
		s.serveAccess(w, r, caller)
	case Discovery:
		writeJSON(w, map[string]any{"issuer": s.Issuer, "jwks_uri": s.URL + "/openid/v1/jwks"})
	case Version:
		writeJSON(w, version.Info{Major: "1", Minor: "36", GitVersion: GitVersion})
	}
}

func (s *Server) serveAccess(w http.ResponseWriter, r *http.Request, caller *authv1.UserInfo) {
	object, failed := readObject(r)
	if failed != nil {
		writeStatus(w, r, failed)
		return
	}
	review, ok := object.(*authzv1.SelfSubjectAccessReview)
	if !ok || review.Spec.ResourceAttributes == nil {
		writeStatus(w, r, apierrors.NewBadRequest("exactly one of nonResourceAttributes or resourceAttributes must be specified"))
		return
	}
	asked := review.Spec.ResourceAttributes
	resource := Resource(asked.Resource)
	if asked.Subresource != "" {
		resource += Resource("/" + asked.Subresource)
	}
	if asked.Verb == "list" || asked.Verb == "watch" {
		resource = "watch/" + resource
	} else if asked.Verb != verbOf(resource) {
		resource = ""
	}
	review.Status.Allowed = asked.Group == groupOf(resource) && s.allows(caller.Username, resource)
	writeObject(w, r, http.StatusCreated, authzv1.SchemeGroupVersion, review)
}

func writeJSON(w http.ResponseWriter, document any) {
	body, err := json.Marshal(document)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body) // the client may be gone
}
