package browser

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

type fields = map[string]any

// reply is what the fake answers. A body that is a string is sent as it is, any
// other as JSON.
type reply struct {
	status int
	body   any
}

func ok(data fields) reply { return reply{http.StatusOK, fields{"data": data}} }

func refused(status int, errors ...string) reply {
	return reply{status, fields{"errors": append([]string{}, errors...)}}
}

// fakeVault answers as it is told, for answers that a real Vault would not give.
type fakeVault struct {
	*httptest.Server

	mu      sync.Mutex
	replies map[string]reply // by method, a space and the path after /v1/; ?list=true as the method LIST
	bodies  []string         // of requests, as they came
	held    map[string]chan struct{}
}

// newFakeVault has one mount, m, with one role and one rule; replies come instead of
// or beside what it answers.
func newFakeVault(t *testing.T, replies map[string]reply) *fakeVault {
	t.Helper()
	v := &fakeVault{held: map[string]chan struct{}{}, replies: map[string]reply{
		"GET sys/auth":              ok(fields{"m/": fields{"type": "vault-plugin-auth-kubernetes"}}),
		"GET auth/m/check":          ok(fields{"status": "pass", "failed": []string{}, "warned": []string{}, "configuration": "pass: complete"}),
		"LIST auth/m/role":          ok(fields{"keys": []string{"r"}}),
		"GET auth/m/role/r":         ok(fields{"bound_service_account_names": []string{"web"}}),
		"LIST auth/m/binding-rule":  ok(fields{"keys": []string{"b"}, "key_info": fields{"b": fields{"bind_type": "policy", "bind_name": "p", "selector": ""}}}),
		"GET auth/m/binding-rule/b": ok(fields{"bind_type": "policy", "bind_name": "p", "selector": "", "description": "all"}),
		"POST auth/m/explain":       ok(fields{"verdict": "allowed", "step_01_configuration": "allowed", "policies": []string{"p"}}),
	}}
	maps.Copy(v.replies, replies)
	v.Server = httptest.NewServer(v)
	t.Cleanup(v.Close)
	return v
}

func (v *fakeVault) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	method := r.Method
	if r.URL.Query().Get("list") == "true" {
		method = "LIST"
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	v.mu.Lock()
	v.bodies = append(v.bodies, string(body))
	request := method + " " + r.URL.Path[len("/v1/"):]
	answer, known := v.replies[request]
	held := v.held[request]
	v.mu.Unlock()
	if held != nil {
		select {
		case <-held:
		case <-r.Context().Done():
			return
		}
	}
	if !known {
		answer = refused(http.StatusNotFound)
	}
	if text, raw := answer.body.(string); raw {
		w.WriteHeader(answer.status)
		_, _ = io.WriteString(w, text) // the browser may have gone
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(answer.status)
	_ = json.NewEncoder(w).Encode(answer.body) // the browser may have gone
}

// lastBody is the body of the last request.
func (v *fakeVault) lastBody() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.bodies[len(v.bodies)-1]
}

// hold has a request wait for its answer until it is released, or given up.
func (v *fakeVault) hold(request string) (release func()) {
	held := make(chan struct{})
	v.mu.Lock()
	defer v.mu.Unlock()
	v.held[request] = held
	return func() { close(held) }
}
