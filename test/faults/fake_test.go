package faults

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	authv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
)

// fakeAPI is a TLS server in the place of an API server.
type fakeAPI struct{ url, caPEM string }

// newFakeAPI starts a server that speaks HTTP/2, as API servers do. Its
// certificate is its own authority's.
func newFakeAPI(t testing.TB, handler http.HandlerFunc) fakeAPI {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // handlers abort on purpose
	server.StartTLS()
	t.Cleanup(func() {
		server.CloseClientConnections() // ends the handlers that hang
		server.Close()
	})
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return fakeAPI{url: server.URL, caPEM: string(ca)}
}

// says answers with a JSON body.
func says(status int, body any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body) // the client may have gone
	}
}

// saysStatus answers with an error as kube-apiserver words it.
func saysStatus(code int, reason, message string) http.HandlerFunc {
	return says(code, fields{
		"kind": "Status", "apiVersion": "v1", "status": "Failure",
		"code": code, "reason": reason, "message": message,
	})
}

// vouches answers a TokenReview with the identity of the tests' service account.
func vouches(w http.ResponseWriter, r *http.Request) {
	answerReview(w, r, func(review *authv1.TokenReview) {
		review.Status = authv1.TokenReviewStatus{
			Authenticated: true,
			Audiences:     review.Spec.Audiences,
			User: authv1.UserInfo{
				Username: "system:serviceaccount:" + kube.namespace + ":" + kube.account,
				UID:      kube.uid,
				Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + kube.namespace, "system:authenticated"},
			},
		}
	})
}

// denies answers a TokenReview as for a token that was not signed by the cluster.
func denies(w http.ResponseWriter, r *http.Request) {
	answerReview(w, r, func(review *authv1.TokenReview) {
		review.Status.Error = "[invalid bearer token, service account token has been invalidated]"
	})
}

func answerReview(w http.ResponseWriter, r *http.Request, change func(*authv1.TokenReview)) {
	review, err := decodeReview(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	change(review)
	sayObject(w, r, http.StatusCreated, authv1.SchemeGroupVersion, review)
}

// sayObject answers in protobuf where that is what is asked for first, as API servers do, else
// in JSON.
func sayObject(w http.ResponseWriter, r *http.Request, code int, version schema.GroupVersion, object runtime.Object) {
	form := runtime.ContentTypeJSON
	if strings.HasPrefix(r.Header.Get("Accept"), runtime.ContentTypeProtobuf) {
		form = runtime.ContentTypeProtobuf
	}
	info, _ := runtime.SerializerInfoForMediaType(scheme.Codecs.SupportedMediaTypes(), form)
	body, err := runtime.Encode(scheme.Codecs.EncoderForVersion(info.Serializer, version), object)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", form)
	w.WriteHeader(code)
	_, _ = w.Write(body) // the client may have gone
}

// decodeReview reads a review from the body of a request, in any encoding that
// client-go chooses. Vault's own method does not say of what kind its reviews are.
func decodeReview(r *http.Request) (*authv1.TokenReview, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	kind := authv1.SchemeGroupVersion.WithKind("TokenReview")
	object, _, err := scheme.Codecs.UniversalDeserializer().Decode(body, &kind, nil)
	if err != nil {
		return nil, err
	}
	review, ok := object.(*authv1.TokenReview)
	if !ok {
		return nil, fmt.Errorf("%T is no TokenReview", object)
	}
	return review, nil
}
