package kube_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	authv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/client-go/kubernetes/scheme"

	"vault-plugin-auth-kubernetes/internal/identity"
	"vault-plugin-auth-kubernetes/internal/kube"
)

// FuzzReviewAnswer lets an API server answer anything, to reviews in both forms. What comes of
// it is a classified failure, or a status that identity.FromReview can judge.
func FuzzReviewAnswer(f *testing.F) {
	type answer struct {
		status      int
		contentType string
		body        []byte
	}
	var current atomic.Pointer[answer]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		a := current.Load()
		w.Header().Set("Content-Type", a.contentType)
		w.WriteHeader(a.status)
		_, _ = w.Write(a.body)
	}))
	f.Cleanup(server.Close)
	host, err := kube.ParseHost(server.URL)
	if err != nil {
		f.Fatal(err)
	}
	var clock atomic.Int64 // goes on so far that each review may be tried in protobuf
	client, err := kube.New(kube.Options{
		Host: host, Credential: func() string { return "reviewer" }, RequestTimeout: time.Second,
		Now: func() time.Time { return time.Unix(clock.Add(int64(time.Hour/time.Second)), 0) },
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(client.Close)

	const good = `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":{"token":"t"},"status":{"authenticated":true,` +
		`"audiences":["vault"],"user":{"username":"system:serviceaccount:apps:web","uid":"u","extra":{"authentication.kubernetes.io/pod-name":["p"]}}}}`
	current.Store(&answer{status: http.StatusCreated, contentType: asJSON, body: []byte(good)})
	if _, err := client.ReviewToken(f.Context(), "t", nil); err != nil {
		f.Fatal(err)
	}
	inProtobuf, err := runtime.Encode(protobuf.NewSerializer(scheme.Scheme, scheme.Scheme), &authv1.TokenReview{
		TypeMeta: metav1.TypeMeta{Kind: "TokenReview", APIVersion: authv1.SchemeGroupVersion.String()},
		Spec:     authv1.TokenReviewSpec{Token: "t"},
		Status: authv1.TokenReviewStatus{Authenticated: true, Audiences: []string{"vault"}, User: authv1.UserInfo{
			Username: "system:serviceaccount:apps:web", UID: "u", Extra: map[string]authv1.ExtraValue{"authentication.kubernetes.io/pod-name": {"p"}},
		}},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint16(1), asProtobuf, inProtobuf)
	f.Add(uint16(1), asJSON, []byte(good))
	f.Add(uint16(203), asJSON, []byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","code":403}`))
	f.Add(uint16(0), asProtobuf, []byte("k8s\x00\x0a\x04"))
	f.Add(uint16(0), "text/html", []byte("<html>"))
	f.Fuzz(func(t *testing.T, status uint16, contentType string, body []byte) {
		code := 200 + int(status)%400
		if code == http.StatusTooManyRequests {
			t.Skip() // a client that is turned away waits, and so would all that come after
		}
		current.Store(&answer{status: code, contentType: contentType, body: body})
		got, err := client.ReviewToken(t.Context(), "t", []string{"vault"})
		if err != nil {
			var failed *kube.Error
			if !errors.As(err, &failed) || failed.Failure == "" {
				t.Errorf("%T %v, want a classified failure", err, err)
			}
			return
		}
		id, err := identity.FromReview(got, []string{"vault"})
		if (err == nil) != (id.Name() != "" && id.Namespace() != "" && id.UID() != "") {
			t.Errorf("%+v, %v", id, err)
		}
	})
}
