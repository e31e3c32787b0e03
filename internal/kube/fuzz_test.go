package kube_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/internal/identity"
	"vault-plugin-auth-kubernetes/internal/kube"
)

// FuzzReviewAnswer lets an API server answer anything. What comes of it is a
// classified failure, or a status that identity.FromReview can judge.
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
	client, err := kube.New(kube.Options{Host: host, Credential: func() string { return "reviewer" }, RequestTimeout: time.Second})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(client.Close)

	const good = `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":{"token":"t"},"status":{"authenticated":true,` +
		`"audiences":["vault"],"user":{"username":"system:serviceaccount:apps:web","uid":"u","extra":{"authentication.kubernetes.io/pod-name":["p"]}}}}`
	f.Add(uint16(201), "application/json", []byte(good))
	f.Add(uint16(403), "application/json", []byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","code":403}`))
	f.Add(uint16(200), "application/vnd.kubernetes.protobuf", []byte("k8s\x00\x0a\x04"))
	f.Add(uint16(200), "text/html", []byte("<html>"))
	f.Fuzz(func(t *testing.T, status uint16, contentType string, body []byte) {
		current.Store(&answer{status: 200 + int(status)%400, contentType: contentType, body: body})
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
