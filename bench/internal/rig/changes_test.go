package rig

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"vault-plugin-auth-kubernetes/bench/internal/load"
)

// TestChangers makes two runs over the same pods.
func TestChangers(t *testing.T) {
	var mu sync.Mutex
	pods, values := map[string]int{}, map[string]bool{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		if err != nil || request.Method != http.MethodPatch || request.Header.Get("Content-Type") != "application/merge-patch+json" {
			t.Errorf("%s %s, %v", request.Method, request.Header.Get("Content-Type"), err)
		}
		mu.Lock()
		defer mu.Unlock()
		pods[request.URL.Path]++
		if values[string(body)] {
			t.Errorf("written again: %s", body)
		}
		values[string(body)] = true
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"kind":"Pod","apiVersion":"v1","metadata":{"name":"web"}}`)
	}))
	t.Cleanup(server.Close)
	kube, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	callers := changers(kube, 3, []Pod{{name: "a"}, {name: "b"}, {name: "c"}, {name: "d"}})
	for range 2 {
		if result, err := load.Run(t.Context(), callers, load.Plan{Calls: 20}); err != nil || result.Calls != 20 {
			t.Fatalf("got %+v, %v", result, err)
		}
	}
	if len(pods) != 4 || len(values) != 40 {
		t.Errorf("%d pods, %d changes", len(pods), len(values))
	}
	for path, times := range pods {
		if times != 10 || !strings.HasPrefix(path, "/api/v1/namespaces/bench/pods/") {
			t.Errorf("%s: %d times", path, times)
		}
	}
	server.Close()
	if _, err := load.Run(t.Context(), callers, load.Plan{Calls: 1}); err == nil {
		t.Error("a change that nobody took is none")
	}
}
