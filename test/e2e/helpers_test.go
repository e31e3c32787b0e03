package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/test/testbed"
)

// answer is what Vault answers to one request.
type answer struct {
	Status int
	Body   map[string]any // nil if there is none
}

func (a answer) data() map[string]any { return a.object("data") }
func (a answer) auth() map[string]any { return a.object("auth") }
func (a answer) errors() []string     { return stringsOf(a.Body["errors"]) }
func (a answer) warnings() []string   { return stringsOf(a.Body["warnings"]) }

func (a answer) object(key string) map[string]any {
	object, _ := a.Body[key].(map[string]any)
	return object
}

func (a answer) String() string { return fmt.Sprintf("%d %s", a.Status, compact(a.Body)) }

// compact is a JSON value for a message: on one line, long strings cut.
func compact(value any) string {
	var cut func(any) any
	cut = func(v any) any {
		switch v := v.(type) {
		case string:
			if len(v) > 200 {
				return v[:200] + "…"
			}
		case map[string]any:
			shorter := map[string]any{}
			for key, value := range v {
				shorter[key] = cut(value)
			}
			return shorter
		}
		return v
	}
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(cut(value)); err != nil {
		return err.Error()
	}
	return strings.TrimSpace(b.String())
}

// server is a Vault that tests talk to.
type server struct{ *testbed.Vault }

// shared is the Vault of all tests that leave its plugins running.
func shared() server { return server{bed.Vault} }

// newServer starts a Vault for one test alone: for one that reloads, kills, registers or
// takes away a plugin or a mount, which may end what other tests have under way.
func newServer(t testing.TB, change ...func(*testbed.VaultOptions)) server {
	t.Helper()
	vault, err := bed.StartVaultApart(t.Context(), change...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := vault.Stop(); err != nil {
			t.Error(err)
		}
	})
	secret("root token", vault.RootToken)
	return server{vault}
}

// send makes one request with the root token. path is what follows /v1/. A body that is
// a string is sent as it is, any other as JSON.
func (s server) send(t testing.TB, method, path string, body any) answer {
	t.Helper()
	return s.sendAs(t, s.RootToken, method, path, body)
}

// sendAs is send with another token, or with none if it is empty.
func (s server) sendAs(t testing.TB, token, method, path string, body any) answer {
	t.Helper()
	// A test's own context has ended when it cleans up.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, s.Addr+"/v1/"+path, bodyReader(t, body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("X-Vault-Token", token)
	}
	if method == http.MethodPatch {
		request.Header.Set("Content-Type", "application/merge-patch+json")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{Status: response.StatusCode}
	if len(content) > 0 {
		if err := json.Unmarshal(content, &a.Body); err != nil {
			t.Fatalf("%s %s: %d with a body that is not JSON: %v\n%s", method, path, a.Status, err, content)
		}
	}
	return a
}

func bodyReader(t testing.TB, body any) io.Reader {
	t.Helper()
	switch body := body.(type) {
	case nil:
		return nil
	case string:
		return strings.NewReader(body)
	}
	encoded, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.NewReader(encoded)
}

// must is send for requests that a test needs and does not test.
func must(t testing.TB, method, path string, body any) answer {
	t.Helper()
	return shared().must(t, method, path, body)
}

func (s server) must(t testing.TB, method, path string, body any) answer {
	t.Helper()
	a := s.send(t, method, path, body)
	if a.Status >= http.StatusBadRequest {
		t.Fatalf("%s %s: %v", method, path, a)
	}
	return a
}

// mount is an auth mount.
type mount struct {
	server server
	path   string // without auth/ and without slashes around it
	plugin string // the name in Vault's catalog
}

func (m mount) send(t testing.TB, method, path string, body any) answer {
	t.Helper()
	return m.server.send(t, method, "auth/"+m.path+"/"+path, body)
}

func (m mount) must(t testing.TB, method, path string, body any) answer {
	t.Helper()
	return m.server.must(t, method, "auth/"+m.path+"/"+path, body)
}

// login sends no Vault token, as a pod that logs in has none.
func (m mount) login(t testing.TB, body any) answer {
	t.Helper()
	return m.server.sendAs(t, "", http.MethodPost, "auth/"+m.path+"/login", body)
}

// mounts are two mounts that are to behave alike.
type mounts struct {
	builtin mount // Vault's own method
	ours    mount // this plugin
}

func (m mounts) both() []mount { return []mount{m.builtin, m.ours} }

// must sends the same request to both mounts.
func (m mounts) must(t testing.TB, method, path string, body any) {
	t.Helper()
	for _, mount := range m.both() {
		mount.must(t, method, path, body)
	}
}

// newMounts enables a fresh mount of each method for the duration of the test.
func newMounts(t testing.TB) mounts {
	t.Helper()
	return mounts{builtin: newBuiltinMount(t), ours: newMount(t, testbed.PluginName, bed.PluginVersion)}
}

// newBuiltinMount names the version of the built-in, without which Vault takes
// an external plugin that is registered under the same name.
func newBuiltinMount(t testing.TB) mount {
	t.Helper()
	return shared().newBuiltinMount(t)
}

func (s server) newBuiltinMount(t testing.TB) mount {
	t.Helper()
	return s.newMount(t, "kubernetes", s.builtinVersion(t))
}

// newMount leaves the mount to the end of the Vault that all tests share. Taking one
// away while others log in can make Vault restart the process that serves them all, and
// fail what is under way.
func newMount(t testing.TB, plugin, version string) mount {
	t.Helper()
	return shared().newMount(t, plugin, version)
}

func (s server) newMount(t testing.TB, plugin, version string) mount {
	t.Helper()
	m := mount{server: s, path: "t" + strings.ToLower(rand.Text()[:10]), plugin: plugin}
	s.must(t, http.MethodPost, "sys/auth/"+m.path, map[string]any{
		"type":   plugin,
		"config": map[string]any{"plugin_version": version},
	})
	return m
}

// builtinVersion is the version under which Vault lists its own method, such as
// v0.23.0+builtin.
func (s server) builtinVersion(t testing.TB) string {
	t.Helper()
	for _, entry := range s.must(t, http.MethodGet, "sys/plugins/catalog", nil).data()["detailed"].([]any) {
		entry := entry.(map[string]any)
		if entry["name"] == "kubernetes" && entry["type"] == "auth" && entry["builtin"] == true {
			return entry["version"].(string)
		}
	}
	t.Fatal("this Vault has no auth method kubernetes of its own")
	return ""
}

// secrets are the tokens and keys that the tests handled. None of them may be in
// a log.
var secrets struct {
	sync.Mutex
	kinds map[string]string // by the secret itself: what it is
}

// secret notes that value must not show in a log, and returns it.
func secret(kind, value string) string {
	secrets.Lock()
	defer secrets.Unlock()
	if secrets.kinds == nil {
		secrets.kinds = map[string]string{}
	}
	secrets.kinds[value] = kind
	return value
}

func stringsOf(list any) []string {
	items, _ := list.([]any)
	var all []string
	for _, item := range items {
		all = append(all, fmt.Sprint(item))
	}
	return all
}

// with returns a copy of base in which overrides count. An override that is nil
// takes the key out.
func with(base map[string]any, overrides map[string]any) map[string]any {
	merged := maps.Clone(base)
	maps.Copy(merged, overrides)
	maps.DeleteFunc(merged, func(_ string, value any) bool { return value == nil })
	return merged
}

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }
