package webpage

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// start serves a page for a Vault that repeats the request it got.
func start(t *testing.T) (url string, reached *[]string) {
	t.Helper()
	reached = &[]string{}
	vault := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		*reached = append(*reached, r.Method+" "+r.URL.RequestURI()+" "+r.Header.Get("X-Vault-Token")+" "+string(body)+r.Header.Get("Cookie"))
		w.Header().Set("Set-Cookie", "a=b")
	}))
	t.Cleanup(vault.Close)
	dir := t.TempDir()
	for _, name := range []string{"index.html", "app.js", "secret.txt"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("content of "+name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	server, err := Start(Options{Dir: dir, VaultAddr: vault.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return server.URL, reached
}

// do sends a request whose path is not tidied up on the way.
func do(t *testing.T, method, url, path, host string, header http.Header, body string) (int, string, http.Header) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.URL.Opaque = path
	if host != "" {
		request.Host = host
	}
	for name, values := range header {
		request.Header[name] = values
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(content), response.Header
}

func TestFiles(t *testing.T) {
	url, reached := start(t)
	for path, want := range map[string]int{
		"/":                 200,
		"/app.js":           200,
		"/secret.txt":       404,
		"/webpage_test.go":  404,
		"/%2e%2e/etc/hosts": 404,
		"/..%2fapp.js":      404,
		"/app.css":          404, // belongs to the page and is missing
		"/v2/sys/auth":      404,
	} {
		status, body, header := do(t, "GET", url, path, "", nil, "")
		if status != want {
			t.Errorf("%s: %d %s, want %d", path, status, body, want)
		}
		if !strings.Contains(header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: no policy", path)
		}
	}
	if len(*reached) > 0 {
		t.Errorf("Vault was asked: %v", *reached)
	}
}

func TestRequestsOfThePageReachVault(t *testing.T) {
	url, reached := start(t)
	for _, tt := range []struct{ method, path, body string }{
		{"GET", "/v1/sys/auth", ""},
		{"GET", "/v1/auth/clusters/prod/check", ""},
		{"GET", "/v1/auth/m/role?list=true", ""},
		{"GET", "/v1/auth/m/role/we%62.x", ""},
		{"GET", "/v1/auth/m/binding-rule?list=true", ""},
		{"GET", "/v1/auth/m/binding-rule/b", ""},
		{"POST", "/v1/auth/m/explain", `{"jwt":"a.b.c"}`},
	} {
		*reached = nil
		status, body, header := do(t, tt.method, url, tt.path, "",
			http.Header{"X-Vault-Token": {"token"}, "Cookie": {"c=d"}}, tt.body)
		if want := tt.method + " " + tt.path + " token " + tt.body; status != 200 || len(*reached) != 1 || (*reached)[0] != want {
			t.Errorf("%s %s: %d %s; Vault got %q, want %q", tt.method, tt.path, status, body, *reached, want)
		}
		if header.Get("Set-Cookie") != "" {
			t.Errorf("%s %s: a cookie came through", tt.method, tt.path)
		}
	}
}

func TestOtherRequestsDoNotReachVault(t *testing.T) {
	url, reached := start(t)
	for _, tt := range []struct{ name, method, path string }{
		{"another part of the API", "GET", "/v1/secret/data/app"},
		{"another of the system", "GET", "/v1/sys/raw"},
		{"a configuration", "GET", "/v1/auth/m/config"},
		{"a login", "POST", "/v1/auth/m/login"},
		{"writing a role", "POST", "/v1/auth/m/role/r"},
		{"writing a role", "PUT", "/v1/auth/m/role/r"},
		{"removing a role", "DELETE", "/v1/auth/m/role/r"},
		{"enabling a method", "POST", "/v1/sys/auth"},
		{"a token", "GET", "/v1/auth/token"},
		{"a path upwards", "GET", "/v1/auth/m/%2e%2e/role"},
		{"a path upwards behind a slash", "GET", "/v1/auth/m%2f..%2f..%2fsys%2fraw%2f/role/x"},
		{"a path upwards behind a backslash", "GET", "/v1/auth/m%5c..%5c/role"},
		{"a path that is escaped twice", "GET", "/v1/auth/%252e%252e/role"},
		{"an empty segment", "GET", "/v1/auth//role"},
		{"a preflight", "OPTIONS", "/v1/auth/m/explain"},
	} {
		if status, body, _ := do(t, tt.method, url, tt.path, "", nil, ""); status < 300 {
			t.Errorf("%s, %s %s: %d %s", tt.name, tt.method, tt.path, status, body)
		}
	}
	if len(*reached) > 0 {
		t.Errorf("Vault was asked: %v", *reached)
	}
}

func TestForeignSites(t *testing.T) {
	url, reached := start(t)
	own := strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/")
	_, port, _ := strings.Cut(own, ":")
	for _, tt := range []struct {
		name, host string
		header     http.Header
		want       int
	}{
		{"its own name", "", nil, 200},
		{"localhost", "localhost:" + port, nil, 200},
		{"the other loopback", "[::1]:" + port, nil, 200},
		{"a name that points here", "rebound.example:" + port, nil, http.StatusMisdirectedRequest},
		{"a name that begins like loopback", "127.0.0.1.example", nil, http.StatusMisdirectedRequest},
		{"an address of the network", "192.0.2.1:" + port, nil, http.StatusMisdirectedRequest},
		{"an empty port and no name", ":" + port, nil, http.StatusMisdirectedRequest},
		{"a form of another site", "", http.Header{"Sec-Fetch-Site": {"cross-site"}}, 403},
		{"a form of another site, to an old browser", "", http.Header{"Origin": {"https://elsewhere.example"}}, 403},
	} {
		*reached = nil
		status, body, _ := do(t, "POST", url, "/v1/auth/m/explain", tt.host, tt.header, "{}")
		if status != tt.want || (len(*reached) > 0) != (tt.want == 200) {
			t.Errorf("%s: %d %s, Vault got %q; want %d", tt.name, status, body, *reached, tt.want)
		}
	}
}

func TestBounds(t *testing.T) {
	url, reached := start(t)
	if status, _, _ := do(t, "POST", url, "/v1/auth/m/explain", "", nil, strings.Repeat("x", maxRequestBytes+1)); status != http.StatusRequestEntityTooLarge {
		t.Errorf("a long body: %d", status)
	}
	if len(*reached) > 0 {
		t.Error("Vault got all of a long body")
	}
}

func TestStartRefuses(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "index.html"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		opts Options
		want string
	}{
		{"all addresses", Options{Dir: dir, VaultAddr: "http://127.0.0.1:8200", Listen: "0.0.0.0:0"}, "not a loopback address"},
		{"every address, unnamed", Options{Dir: dir, VaultAddr: "http://127.0.0.1:8200", Listen: ":0"}, "not a loopback address"},
		{"a name", Options{Dir: dir, VaultAddr: "http://127.0.0.1:8200", Listen: "localhost:0"}, "not a loopback address"},
		{"no port", Options{Dir: dir, VaultAddr: "http://127.0.0.1:8200", Listen: "127.0.0.1"}, "missing port"},
		{"no page", Options{Dir: t.TempDir(), VaultAddr: "http://127.0.0.1:8200"}, "page is missing"},
		{"no URL", Options{Dir: dir, VaultAddr: "127.0.0.1:8200"}, "address"},
		{"another scheme", Options{Dir: dir, VaultAddr: "unix:///vault.sock"}, "not an http or https URL"},
	} {
		if _, err := Start(tt.opts); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestVaultGone(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "index.html"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	server, err := Start(Options{Dir: dir, VaultAddr: "http://127.0.0.1:9"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	}()
	if status, body, _ := do(t, "GET", server.URL, "/v1/sys/auth", "", nil, ""); status != 502 || !strings.Contains(body, "cannot be reached") {
		t.Errorf("%d %s", status, body)
	}
}
