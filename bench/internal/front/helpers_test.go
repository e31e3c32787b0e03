package front

import (
	"context"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
)

const podList = `{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"7"},"items":[]}`

const podEvent = `{"type":"ADDED","object":{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"web","uid":"1","resourceVersion":"8"}}}`

// upstream is an API server with a list, and watches that tell one thing and go on until
// their client ends them.
type upstream struct {
	*httptest.Server
	broken bool // lists are answered with an error

	mu      sync.Mutex
	watches int
	tokens  []string
}

func newUpstream(t *testing.T) *upstream {
	t.Helper()
	u := &upstream{}
	u.Server = httptest.NewUnstartedServer(http.HandlerFunc(u.serve))
	u.EnableHTTP2 = true
	u.StartTLS()
	t.Cleanup(u.Close)
	return u
}

func (u *upstream) serve(w http.ResponseWriter, request *http.Request) {
	u.mu.Lock()
	u.tokens = append(u.tokens, request.Header.Get("Authorization"))
	watched := request.URL.Query().Get("watch") == "true"
	if watched {
		u.watches++
	}
	u.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch {
	case watched:
		_, _ = fmt.Fprintln(w, podEvent)
		_ = http.NewResponseController(w).Flush()
		<-request.Context().Done()
	case u.broken:
		w.WriteHeader(http.StatusServiceUnavailable)
	default:
		_, _ = fmt.Fprintln(w, podList)
	}
}

func (u *upstream) seenWatches() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.watches
}

func (u *upstream) caPEM() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: u.Certificate().Raw}))
}

// newFront is a front of an API server, and a client that trusts the front.
func newFront(t *testing.T, u *upstream) (*Front, metadata.Interface) {
	t.Helper()
	f, err := Start(t.Context(), u.URL, u.caPEM())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Stop(); err != nil {
			t.Error(err)
		}
	})
	client, err := metadata.NewForConfig(&rest.Config{
		Host: f.URL, BearerToken: "of-the-reviewer", TLSClientConfig: rest.TLSClientConfig{CAData: []byte(f.CAPEM)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return f, client
}

func of(kind string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Version: "v1", Resource: kind}
}

// first is the first thing that a new watch tells, which goes on meanwhile.
func first(t *testing.T, client metadata.Interface, kind string) watch.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	watching, err := client.Resource(of(kind)).Watch(ctx, metav1.ListOptions{ResourceVersion: "7"})
	if err != nil {
		t.Fatal(err)
	}
	defer watching.Stop()
	event, ok := <-watching.ResultChan()
	if !ok {
		t.Fatal("the watch told nothing")
	}
	return event
}

func list(t *testing.T, client metadata.Interface, kind string) error {
	t.Helper()
	_, err := client.Resource(of(kind)).List(t.Context(), metav1.ListOptions{})
	return err
}

// relisting waits for a list of each kind, from now on.
func relisting(ctx context.Context, f *Front, kinds ...string) <-chan error {
	begun, ended := f.forget(kinds...), make(chan error, 1)
	go func() { ended <- await(ctx, begun) }()
	return ended
}
