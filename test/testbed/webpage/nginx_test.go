package webpage

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	nginxBlock    = regexp.MustCompile("(?ms)^```nginx\n(.*?)^```")
	nginxEvasion  = regexp.MustCompile(`(?m)^if \(\$request_uri ~\* "(.*)"\) \{ return 403; \}$`)
	nginxLocation = regexp.MustCompile(`(?m)^location (=|~) (\S+) \{\n    limit_except (\w+) \{ deny all; \}\n    proxy_pass https://`)
)

// nginxExample is what the documentation's example for nginx passes on to Vault.
type nginxExample struct {
	text      string
	evasion   *regexp.Regexp
	locations map[*regexp.Regexp]string // to the one method
}

func readNginxExample(t *testing.T) nginxExample {
	t.Helper()
	doc, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "web.md"))
	if err != nil {
		t.Fatal(err)
	}
	block := nginxBlock.FindStringSubmatch(string(doc))
	if block == nil {
		t.Fatal("docs/web.md has no example for nginx")
	}
	evasion := nginxEvasion.FindStringSubmatch(block[1])
	matches := nginxLocation.FindAllStringSubmatch(block[1], -1)
	if evasion == nil || len(matches) != strings.Count(block[1], "proxy_pass") {
		t.Fatalf("the example has locations that this test does not know:\n%s", block[1])
	}
	example := nginxExample{block[1], regexp.MustCompile("(?i)" + evasion[1]), map[*regexp.Regexp]string{}}
	for _, match := range matches {
		pattern := match[2]
		if match[1] == "=" {
			pattern = "^" + regexp.QuoteMeta(pattern) + "$"
		}
		example.locations[regexp.MustCompile(pattern)] = match[3]
	}
	return example
}

func (e nginxExample) passes(method, path string) bool {
	if e.evasion.MatchString(path) {
		return false
	}
	for pattern, allowed := range e.locations {
		if pattern.MatchString(path) {
			return method == allowed
		}
	}
	return false
}

// TestNginxExample: the example passes what the page's own server passes, so that a
// mistake in the page can do no more with it.
func TestNginxExample(t *testing.T) {
	example := readNginxExample(t)
	for _, row := range [][2]string{
		{"GET", "/v1/sys/auth"},
		{"GET", "/v1/auth/kubernetes/check"},
		{"GET", "/v1/auth/clusters/prod/role"},
		{"GET", "/v1/auth/clusters/prod/role/web"},
		{"GET", "/v1/auth/clusters/prod/role/team%20a"},
		{"GET", "/v1/auth/clusters/prod/binding-rule"},
		{"GET", "/v1/auth/clusters/prod/binding-rule/x.y"},
		{"POST", "/v1/auth/clusters/prod/explain"},

		{"POST", "/v1/sys/auth"},
		{"GET", "/v1/sys/auth/kubernetes"},
		{"GET", "/v1/sys/auth/role"},
		{"PUT", "/v1/auth/clusters/prod/explain"},
		{"POST", "/v1/auth/clusters/prod/role/web"},
		{"DELETE", "/v1/auth/clusters/prod/binding-rule/x"},
		{"POST", "/v1/auth/clusters/prod/login"},
		{"GET", "/v1/auth/clusters/prod/config"},
		{"GET", "/v1/auth/explain"},
		{"GET", "/v1/secret/data/check"},
		{"GET", "/v1/auth/token/lookup-self"},
		{"GET", "/v1/auth/x/../../sys/raw/check"},
		{"GET", "/v1/auth/x/%2e%2E/%2e%2e/sys/raw/check"},
		{"GET", "/v1/auth/x/..%2f..%2fsys%2Fraw/check"},
		{"GET", "/v1/auth/x//role/web"},
		{"GET", "/v1/auth/x/role/a%5cb"},
		{"GET", "/v1/auth/x/role/.."},
		{"GET", "/v1/auth/x/role/a%252fb"},
	} {
		method, path := row[0], row[1]
		if got, want := example.passes(method, path), isPageRequest(method, path); got != want {
			t.Errorf("%s %s: nginx passes it: %v, the page's server: %v", method, path, got, want)
		}
	}
	if example.passes(http.MethodGet, "/index.html") {
		t.Error("the page itself is asked of Vault")
	}
	for _, line := range []string{"proxy_ssl_verify              on;", "proxy_ssl_trusted_certificate /", "location /v1/ { return 403; }"} {
		if !strings.Contains(example.text, line) {
			t.Errorf("the example lacks %q", line)
		}
	}
}
