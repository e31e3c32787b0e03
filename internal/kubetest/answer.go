package kubetest

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/go-jose/go-jose/v4"
	authv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
)

// maxRequestBytes is kube-apiserver's bound on a request.
const maxRequestBytes = 3 << 20

// OnReview lets a test change the answer to every TokenReview from now on, after
// the server made up its mind; nil ends that.
func (s *Server) OnReview(change func(*authv1.TokenReview)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onReview = change
}

// serve answers a request that is allowed.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, t target, caller *authv1.UserInfo) {
	switch t.resource {
	case TokenReviews:
		s.serveReview(w, r)
	case ServiceAccounts, Namespaces, Pods:
		object := s.object(t)
		if object == nil {
			writeStatus(w, r, apierrors.NewNotFound(corev1.Resource(string(t.resource)), t.name))
			return
		}
		if pod, ok := object.(*corev1.Pod); ok && strings.Contains(r.Header.Get("Accept"), "as=PartialObjectMetadata") {
			writeMetadata(w, r, pod.ObjectMeta)
			return
		}
		writeObject(w, r, http.StatusOK, corev1.SchemeGroupVersion, object)
	case TokenRequests:
		s.serveTokenRequest(w, r, t)
	case PodWatch, ServiceAccountWatch:
		s.serveCollection(w, r, t.resource)
	case SigningKeys:
		s.serveSigningKeys(w)
	case SelfReviews, AccessReviews, Discovery, Version:
		s.serveAbout(w, r, t.resource, caller)
	default:
		http.NotFound(w, r)
	}
}

// object is a copy of the one that a request is about; nil if there is none.
func (s *Server) object(t target) runtime.Object {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := objectKey{t.namespace, t.name}
	if account := s.serviceAccounts[key]; t.resource == ServiceAccounts && account != nil {
		return account.DeepCopy()
	}
	if pod := s.pods[key]; t.resource == Pods && pod != nil {
		return pod.DeepCopy()
	}
	if namespace := s.namespaces[t.name]; t.resource == Namespaces && namespace != nil {
		return namespace.DeepCopy()
	}
	return nil
}

// KeySet is the JSON Web Key Set that the server publishes.
func (s *Server) KeySet() []byte {
	var set jose.JSONWebKeySet
	for _, key := range s.keys.all() {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: key.signer().Public(), KeyID: key.ID, Use: "sig"})
	}
	body, err := json.Marshal(set)
	if err != nil {
		panic(err) // public keys always marshal
	}
	return body
}

func (s *Server) serveSigningKeys(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/jwk-set+json")
	_, _ = w.Write(s.KeySet()) // the client may be gone
}

// Review is what the server finds of a token, as in the status of a TokenReview.
func (s *Server) Review(token string, audiences []string) authv1.TokenReviewStatus {
	if len(audiences) == 0 {
		audiences = []string{s.Issuer}
	}
	user, valid, err := s.authenticate(token, audiences)
	if err != nil {
		return authv1.TokenReviewStatus{Error: err.Error()}
	}
	return authv1.TokenReviewStatus{Authenticated: true, User: *user, Audiences: valid}
}

func (s *Server) serveReview(w http.ResponseWriter, r *http.Request) {
	review, err := readReview(r)
	if err != nil {
		writeStatus(w, r, err)
		return
	}
	review.Status = s.Review(review.Spec.Token, review.Spec.Audiences)
	s.mu.Lock()
	change := s.onReview
	s.mu.Unlock()
	if change != nil {
		change(review)
	}
	writeObject(w, r, http.StatusCreated, authv1.SchemeGroupVersion, review)
}

func readReview(r *http.Request) (*authv1.TokenReview, *apierrors.StatusError) {
	object, err := readObject(r)
	if err != nil {
		return nil, err
	}
	review, ok := object.(*authv1.TokenReview)
	if !ok || review.Spec.Token == "" {
		return nil, apierrors.NewBadRequest("token is required for TokenReview in authentication")
	}
	return review, nil
}

// readObject decodes the request by its content type, JSON or protobuf.
func readObject(r *http.Request) (runtime.Object, *apierrors.StatusError) {
	if _, ok := serializer(r.Header.Get("Content-Type")); !ok {
		return nil, apierrors.NewGenericServerResponse(http.StatusUnsupportedMediaType, "post", schema.GroupResource{}, "", "", 0, false)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRequestBytes))
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	object, _, err := scheme.Codecs.UniversalDeserializer().Decode(body, nil, nil)
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	return object, nil
}

// serializer finds the serializer of a media type; none is JSON.
func serializer(mediaType string) (runtime.SerializerInfo, bool) {
	if mediaType == "" {
		mediaType = runtime.ContentTypeJSON
	}
	mediaType, _, err := mime.ParseMediaType(mediaType)
	if err != nil {
		return runtime.SerializerInfo{}, false
	}
	return runtime.SerializerInfoForMediaType(scheme.Codecs.SupportedMediaTypes(), mediaType)
}

// negotiate returns the first serializer of the Accept header that there is, else
// that of JSON.
func negotiate(r *http.Request) runtime.SerializerInfo {
	for mediaType := range strings.SplitSeq(r.Header.Get("Accept"), ",") {
		if info, ok := serializer(strings.TrimSpace(mediaType)); ok {
			return info
		}
	}
	info, _ := serializer(runtime.ContentTypeJSON)
	return info
}

func writeObject(w http.ResponseWriter, r *http.Request, code int, version schema.GroupVersion, object runtime.Object) {
	info := negotiate(r)
	body, err := runtime.Encode(scheme.Codecs.EncoderForVersion(info.Serializer, version), object)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", info.MediaType)
	w.Header().Set("Cache-Control", "no-cache, private")
	w.WriteHeader(code)
	_, _ = w.Write(body) // the client may be gone
}

// writeStatus answers with the Status object of an error.
func writeStatus(w http.ResponseWriter, r *http.Request, err error) {
	var failed *apierrors.StatusError
	if !errors.As(err, &failed) {
		failed = apierrors.NewInternalError(err)
	}
	status := failed.Status()
	if status.Code == http.StatusUnauthorized {
		w.Header().Set("Connection", "close") // with HTTP/2 a GOAWAY, as of kube-apiserver
	}
	writeObject(w, r, int(status.Code), metav1.SchemeGroupVersion, &status)
}
