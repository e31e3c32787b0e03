package e2e

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/test/testbed"
)

// newClockMount is a mount of the plugin as the test bed builds it with a clock that a test
// sets; see testdata/clock.
func newClockMount(t testing.TB) mount {
	t.Helper()
	const name = "with-a-clock"
	built, err := testbed.BuildPlugin(t.Context(), filepath.Join(bed.Dir, name), testbed.PluginOptions{
		Race: true, Main: filepath.Join("testdata", "clock", "main.go"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(built, filepath.Join(bed.Vault.PluginDir, name)); err != nil {
		t.Fatal(err)
	}
	sum := sure(testbed.SHA256(filepath.Join(bed.Vault.PluginDir, name)))
	must(t, http.MethodPost, "sys/plugins/catalog/auth/"+name, fields{"command": name, "sha256": sum, "version": bed.PluginVersion})
	return newMount(t, name, bed.PluginVersion)
}

// clockFront makes a real API server one whose clock a test sets: the tokens that it makes are
// as old, to whoever reads them and to the API server itself, as that clock says. It counts
// what is asked for, and can be as good as gone.
type clockFront struct {
	t       testing.TB
	cluster *cluster
	url     string
	caPEM   string

	mu   sync.Mutex
	at   time.Time
	gone bool
	made map[string]bool // the tokens that were made here
	// asked are requests for a token; reviewer is by whose last a login was reviewed.
	asked    int
	reviewer string
}

func newClockFront(t testing.TB, c *cluster) *clockFront {
	t.Helper()
	f := &clockFront{t: t, cluster: c, at: time.Now().Truncate(time.Second), made: map[string]bool{}}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(c.CAPEM))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	upstream := sure(url.Parse(c.Host))
	proxy := &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(upstream) },
		Transport:      transport,
		ModifyResponse: f.answered,
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !f.pass(r) {
			panic(http.ErrAbortHandler) // the connection ends without an answer
		}
		proxy.ServeHTTP(w, r)
	}))
	certificate, caPEM := frontCertificate(frontOptions{})
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	f.url, f.caPEM = server.URL, caPEM
	return f
}

// pass has the API server see each token as old as it is by the clock.
func (f *clockFront) pass(r *http.Request) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gone {
		return false
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return false // whoever asked has gone
	}
	bearer := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case isTokenRequest(r):
		f.asked++
	case strings.HasSuffix(r.URL.Path, "/tokenreviews") && !bytes.Contains(body, []byte(bearer)): // else the token is tried
		f.reviewer = bearer
	}
	if f.made[bearer] {
		seen := f.moved(bearer, f.ahead())
		r.Header.Set("Authorization", "Bearer "+seen)
		body = bytes.ReplaceAll(body, []byte(bearer), []byte(seen))
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	r.Header.Set("Content-Length", strconv.Itoa(len(body)))
	return true
}

// isTokenRequest tells whether the API server is asked for a token of a service account.
func isTokenRequest(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.Contains(r.URL.Path, "/serviceaccounts/") && strings.HasSuffix(r.URL.Path, "/token")
}

// answered has whoever asked see a new token made when the clock says.
func (f *clockFront) answered(r *http.Response) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	r.Header.Set("Date", f.at.UTC().Format(http.TimeFormat))
	if !isTokenRequest(r.Request) || r.StatusCode != http.StatusCreated {
		return nil
	}
	var answer map[string]any
	if err := json.NewDecoder(r.Body).Decode(&answer); err != nil {
		return err
	}
	ahead := f.ahead()
	status := answer["status"].(map[string]any)
	token := secret("service account token", f.moved(status["token"].(string), -ahead))
	f.made[token] = true
	status["token"] = token
	ends := sure(time.Parse(time.RFC3339, status["expirationTimestamp"].(string)))
	status["expirationTimestamp"] = ends.Add(ahead).Format(time.RFC3339)
	body, err := json.Marshal(answer)
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	r.Header.Set("Content-Length", strconv.Itoa(len(body)))
	return err
}

// ahead is by how much the clock is ahead of the API server's own.
func (f *clockFront) ahead() time.Duration { return time.Until(f.at).Round(time.Second) }

// moved is a token whose times are earlier by so much, signed by the key of the cluster.
func (f *clockFront) moved(token string, earlier time.Duration) string {
	var claims map[string]any
	decoder := json.NewDecoder(base64.NewDecoder(base64.RawURLEncoding, strings.NewReader(strings.Split(token, ".")[1])))
	if err := decoder.Decode(&claims); err != nil {
		f.t.Error(err)
		return token
	}
	for _, name := range []string{"iat", "nbf", "exp"} {
		claims[name] = int64(claims[name].(float64)) - int64(earlier/time.Second)
	}
	return sure(testbed.SignToken(f.cluster.SigningKeyPEM, claims))
}

// counts are how many tokens were asked for here and made, and by whose a login was last reviewed.
func (f *clockFront) counts() (asked, made int, reviewer string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked, len(f.made), f.reviewer
}

// passes sets the clock forward.
func (f *clockFront) passes(after time.Duration) (now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at = f.at.Add(after)
	return f.at
}

// goes has nobody reach the API server, or comes back.
func (f *clockFront) goes(away bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gone = away
}
