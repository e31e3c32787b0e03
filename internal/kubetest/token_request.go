package kubetest

import (
	"fmt"
	"net/http"
	"time"

	authv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// leastTokenLife is kube-apiserver's least expirationSeconds.
const leastTokenLife = 10 * time.Minute

// SetTokenClock has tokens made and judged by another clock than the machine's.
func (s *Server) SetTokenClock(now func() time.Time) { s.tokenClock.Store(&now) }

func (s *Server) tokenTime() time.Time {
	if now := s.tokenClock.Load(); now != nil {
		return (*now)()
	}
	return time.Now()
}

// serveTokenRequest makes a token of a service account, for the API server if nobody else is
// named.
func (s *Server) serveTokenRequest(w http.ResponseWriter, r *http.Request, t target) {
	object, failed := readObject(r)
	if failed != nil {
		writeStatus(w, r, failed)
		return
	}
	request, ok := object.(*authv1.TokenRequest)
	if !ok || request.Spec.ExpirationSeconds == nil {
		writeStatus(w, r, apierrors.NewBadRequest("no TokenRequest"))
		return
	}
	life := time.Duration(*request.Spec.ExpirationSeconds) * time.Second
	if life < leastTokenLife {
		writeStatus(w, r, apierrors.NewBadRequest(fmt.Sprintf("may not specify a duration less than %s", leastTokenLife)))
		return
	}
	if s.object(target{resource: ServiceAccounts, namespace: t.namespace, name: t.name}) == nil {
		writeStatus(w, r, apierrors.NewNotFound(corev1.Resource("serviceaccounts"), t.name))
		return
	}
	now := s.tokenTime()
	changes := []Change{Expiry(now.Add(life))}
	if len(request.Spec.Audiences) > 0 {
		changes = append(changes, Audience(request.Spec.Audiences...))
	} else {
		request.Spec.Audiences = []string{s.Issuer}
	}
	request.Status = authv1.TokenRequestStatus{
		Token: s.Token(t.namespace, t.name, changes...), ExpirationTimestamp: metav1.NewTime(now.Add(life)),
	}
	writeObject(w, r, http.StatusCreated, authv1.SchemeGroupVersion, request)
}
