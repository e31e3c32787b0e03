package faults

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/test/testbed"
)

// fields is the body of a request.
type fields = map[string]any

// answer is what Vault answers to one request, and how long it took.
type answer struct {
	status int
	body   string
	took   time.Duration
}

func (a answer) String() string {
	return fmt.Sprintf("%d %.300s after %v", a.status, a.body, a.took.Round(time.Millisecond))
}

// vaultClient outwaits the longest deadline of the plugin by far, and keeps a
// connection for each of many workers.
var vaultClient = &http.Client{
	Timeout:   time.Minute,
	Transport: &http.Transport{MaxIdleConnsPerHost: 512},
}

// hastyClient is for requests that may be given up. It has connections of its own: a
// request on a connection that another one gave up in the moment of its return ends with
// the other's "context deadline exceeded".
var hastyClient = &http.Client{Timeout: time.Minute, Transport: &http.Transport{}}

// ask makes one request to the Vault at addr. The error is about the connection
// to Vault; any status is an answer.
func ask(addr, token, method, path string, body any) (answer, error) {
	return askBy(context.Background(), vaultClient, addr, token, method, path, body)
}

// askUntil is ask by a client that hangs up when ctx ends.
func askUntil(ctx context.Context, addr, token, method, path string, body any) (answer, error) {
	return askBy(ctx, hastyClient, addr, token, method, path, body)
}

func askBy(ctx context.Context, client *http.Client, addr, token, method, path string, body any) (a answer, err error) {
	var content io.Reader
	switch body := body.(type) {
	case nil:
	case []byte:
		content = bytes.NewReader(body)
	default:
		encoded, err := json.Marshal(body)
		if err != nil {
			return a, err
		}
		content = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, addr+"/v1/"+path, content)
	if err != nil {
		return a, err
	}
	if token != "" {
		request.Header.Set("X-Vault-Token", token)
	}
	start := time.Now()
	response, err := client.Do(request)
	if err != nil {
		return a, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return answer{status: response.StatusCode, body: string(text), took: time.Since(start)}, err
}

// The methods of a mount.
const (
	ours    = testbed.PluginName
	builtIn = "kubernetes"
)

// mount is an auth mount of this plugin, or of Vault's own method beside it.
type mount struct {
	path  string // without auth/ and without slashes around it
	addr  string // of the Vault
	token string // of whoever administers it
}

// roleName is the role of every mount here.
const roleName = "app"

// newMount enables the plugin for the duration of the test.
func newMount(t testing.TB) mount {
	t.Helper()
	m := mount{path: "t" + strings.ToLower(rand.Text()[:10]), addr: bed.Vault.Addr, token: bed.Vault.RootToken}
	m.enable(t)
	t.Cleanup(func() { m.must(t, http.MethodDelete, "sys/auth/"+m.path, nil) })
	return m
}

func (m mount) enable(t testing.TB) {
	t.Helper()
	m.enableMethod(t, ours)
}

func (m mount) enableMethod(t testing.TB, method string) {
	t.Helper()
	body := fields{"type": method}
	if method == ours {
		body["config"] = fields{"plugin_version": bed.PluginVersion}
	}
	m.must(t, http.MethodPost, "sys/auth/"+m.path, body)
}

// must makes a request that a test needs and does not test.
func (m mount) must(t testing.TB, method, path string, body any) answer {
	t.Helper()
	a, err := ask(m.addr, m.token, method, path, body)
	if err != nil {
		t.Fatal(err)
	}
	if a.status >= http.StatusBadRequest {
		t.Fatalf("%s %s: %v", method, path, a)
	}
	return a
}

// configure writes the config for an API server, and the role for the service
// account of the tests.
func (m mount) configure(t testing.TB, host, caPEM string, more ...fields) {
	t.Helper()
	m.must(t, http.MethodPost, "auth/"+m.path+"/config", config(host, caPEM, more...))
	m.must(t, http.MethodPost, "auth/"+m.path+"/role/"+roleName, role())
}

func config(host, caPEM string, more ...fields) fields {
	all := fields{
		"kubernetes_host":      host,
		"kubernetes_ca_cert":   caPEM,
		"token_reviewer_jwt":   kube.reviewer,
		"disable_local_ca_jwt": true,
		// Not of Vault's own method, which takes no notice.
		"binding_rule_audiences": []string{audience},
	}
	for _, some := range more {
		for key, value := range some {
			all[key] = value
		}
	}
	return all
}

func role() fields {
	return fields{
		"bound_service_account_names":      []string{kube.account},
		"bound_service_account_namespaces": []string{kube.namespace},
		"audience":                         audience,
		"token_type":                       "batch", // nothing to store, so the load is the login's own
	}
}

// tryLogin sends no Vault token, as a pod that logs in has none.
func (m mount) tryLogin(jwt string) (answer, error) {
	return m.tryLoginAs(roleName, jwt)
}

// tryLoginAs logs in under a role; without a name, by rules.
func (m mount) tryLoginAs(role, jwt string) (answer, error) {
	body := fields{"jwt": jwt}
	if role != "" {
		body["role"] = role
	}
	return ask(m.addr, "", http.MethodPost, "auth/"+m.path+"/login", body)
}

func (m mount) login(t testing.TB, jwt string) answer {
	t.Helper()
	a, err := m.tryLogin(jwt)
	if err != nil {
		t.Error(err) // not Fatal, which only the test's own goroutine may call
	}
	return a
}

func (m mount) mustLogin(t testing.TB) answer {
	t.Helper()
	a := m.login(t, kube.newToken(t))
	if a.status != http.StatusOK {
		t.Fatalf("login on a healthy mount: %v", a)
	}
	return a
}

// await polls for at most a minute.
func await(t testing.TB, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if done() {
			return
		}
	}
	t.Fatalf("not within a minute: %s", what)
}
