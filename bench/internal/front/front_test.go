package front

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// TestPassesOn reads a list and the beginning of a watch that does not end.
func TestPassesOn(t *testing.T) {
	u := newUpstream(t)
	_, client := newFront(t, u)
	if err := list(t, client, "pods"); err != nil {
		t.Fatal(err)
	}
	if event := first(t, client, "pods"); event.Type != watch.Added || event.Object.(*metav1.PartialObjectMetadata).Name != "web" {
		t.Errorf("got %+v", event)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, token := range u.tokens {
		if token != "Bearer of-the-reviewer" {
			t.Errorf("the API server was shown %q", token)
		}
	}
	if len(u.tokens) != 2 {
		t.Errorf("%d requests", len(u.tokens))
	}
}

// TestRelist goes the way of a client that follows two kinds.
func TestRelist(t *testing.T) {
	u := newUpstream(t)
	f, client := newFront(t, u)
	if err := list(t, client, "pods"); err != nil { // from before, which must not count
		t.Fatal(err)
	}
	ended := relisting(t.Context(), f, "pods", "serviceaccounts")
	for _, kind := range []string{"pods", "serviceaccounts"} {
		event := first(t, client, kind)
		if event.Type != watch.Error || !apierrors.IsResourceExpired(apierrors.FromObject(event.Object)) {
			t.Fatalf("a watch of %s told %+v", kind, event)
		}
		if event := first(t, client, "secrets"); event.Type != watch.Added {
			t.Errorf("a watch of another kind told %+v", event)
		}
		if err := list(t, client, kind); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-ended:
			t.Fatalf("it ended with the list of %s, which may have further pages: %v", kind, err)
		default:
		}
		if event := first(t, client, kind); event.Type != watch.Added {
			t.Errorf("the watch after the list told %+v", event)
		}
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if got := u.seenWatches(); got != 4 {
		t.Errorf("the API server saw %d watches; those that fail are not for it", got)
	}
	if event := first(t, client, "pods"); event.Type != watch.Added {
		t.Errorf("a watch after it all told %+v", event)
	}
}

// TestRelistWithoutAList is about a client that goes on where it was told that it cannot,
// and one whose list failed.
func TestRelistWithoutAList(t *testing.T) {
	for _, tt := range []struct {
		name  string
		lists int
	}{{"no list", 0}, {"a list that failed", 1}} {
		t.Run(tt.name, func(t *testing.T) {
			u := newUpstream(t)
			u.broken = true
			f, client := newFront(t, u)
			ended := relisting(t.Context(), f, "pods")
			first(t, client, "pods")
			for range tt.lists {
				if err := list(t, client, "pods"); err == nil {
					t.Fatal("the list did not fail")
				}
			}
			first(t, client, "pods")
			if err := <-ended; !errors.Is(err, errNotListed) || !strings.Contains(err.Error(), "pods") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestRelistThatNobodyMakes ends with its context, and leaves nothing for later watches.
func TestRelistThatNobodyMakes(t *testing.T) {
	f, client := newFront(t, newUpstream(t))
	ctx, cancel := context.WithCancelCause(t.Context())
	over := errors.New("the run is over")
	cancel(over)
	if err := f.Relist(ctx, "pods"); !errors.Is(err, over) {
		t.Errorf("got %v", err)
	}
	if event := first(t, client, "pods"); event.Type != watch.Added {
		t.Errorf("a later watch told %+v", event)
	}
}

// TestCertificate shows that the front has HTTP/2 as the API server has, and that it shows
// who signed for the API server to nobody.
func TestCertificate(t *testing.T) {
	u := newUpstream(t)
	f, _ := newFront(t, u)
	for _, tt := range []struct {
		name, caPEM string
		ok          bool
	}{{"its own CA", f.CAPEM, true}, {"the API server's", u.caPEM(), false}} {
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM([]byte(tt.caPEM))
		client := &http.Client{Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true,
		}}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.URL+"/api/v1/pods", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
		if err == nil {
			if response.ProtoMajor != 2 {
				t.Errorf("got %s", response.Proto)
			}
			_ = response.Body.Close()
		}
		client.CloseIdleConnections()
	}
	if _, err := Start(t.Context(), u.URL, "no certificate"); err == nil {
		t.Error("a front with no CA to trust")
	}
}
