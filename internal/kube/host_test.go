package kube_test

import (
	"net/http"
	"strings"
	"testing"

	"vault-plugin-auth-kubernetes/internal/kube"
)

func TestParseHost(t *testing.T) {
	for name, row := range map[string]struct{ in, want string }{
		"host":                          {"k8s.example.com", "https://k8s.example.com"},
		"host without dots":             {"localhost", "https://localhost"},
		"host and port":                 {"k8s.example.com:6443", "https://k8s.example.com:6443"},
		"host that looks like a scheme": {"localhost:6443", "https://localhost:6443"},
		"IPv4":                          {"10.0.0.1", "https://10.0.0.1"},
		"IPv4 and port":                 {"127.0.0.1:6443", "https://127.0.0.1:6443"},
		"IPv6":                          {"fd00::1", "https://[fd00::1]"},
		"IPv6 loopback":                 {"::1", "https://[::1]"},
		"IPv6 in brackets":              {"[fd00::1]", "https://[fd00::1]"},
		"IPv6 and port":                 {"[fd00::1]:6443", "https://[fd00::1]:6443"},
		"IPv6 that holds IPv4":          {"::ffff:10.0.0.1", "https://[::ffff:10.0.0.1]"},
		"IPv6 URL":                      {"https://[fd00::1]:6443", "https://[fd00::1]:6443"},
		"IPv6 URL with a zone":          {"https://[fe80::1%25eth0]:6443", "https://[fe80::1%25eth0]:6443"},
		"URL":                           {"https://k8s.example.com:6443", "https://k8s.example.com:6443"},
		"URL with a slash at the end":   {"https://k8s.example.com:6443/", "https://k8s.example.com:6443"},
		"scheme in upper case":          {"HTTPS://k8s.example.com", "https://k8s.example.com"},
		"no TLS, if said so":            {"http://127.0.0.1:8001", "http://127.0.0.1:8001"},
		"path":                          {"https://rancher.example.com/k8s/clusters/c-1", "https://rancher.example.com/k8s/clusters/c-1"},
		"path with slashes at the end":  {"https://rancher.example.com/k8s//", "https://rancher.example.com/k8s"},
		"path without a scheme":         {"rancher.example.com/k8s/clusters/c-1", "https://rancher.example.com/k8s/clusters/c-1"},
		"space around":                  {" k8s.example.com:6443\n", "https://k8s.example.com:6443"},
		"empty port":                    {"h:", "https://h"},
		"IPv6 and an empty port":        {"[fd00::1]:", "https://[fd00::1]"},
		"lowest port":                   {"h:1", "https://h:1"},
		"highest port":                  {"h:65535", "https://h:65535"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := kube.ParseHost(row.in)
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != row.want {
				t.Errorf("got %s, want %s", got, row.want)
			}
		})
	}
}

func TestParseHostRefuses(t *testing.T) {
	for name, in := range map[string]string{
		"empty":                    "",
		"only space":               " \n",
		"scheme only":              "https://",
		"port only":                ":6443",
		"URL with a port only":     "https://:6443",
		"path only":                "/k8s",
		"another scheme":           "ftp://k8s.example.com",
		"a socket":                 "unix:///var/run/k8s.sock",
		"a file":                   "file:///etc/passwd",
		"scheme without a name":    "://k8s.example.com",
		"port zero":                "h:0",
		"port too high":            "h:65536",
		"port that overflows":      "h:18446744073709558059",
		"negative port":            "h:-1",
		"port with a sign":         "h:+443",
		"port that is a word":      "h:https",
		"two ports":                "h:6443:6443",
		"two hosts":                "h1:6443,h2:6443",
		"user info":                "user:hunter2@h",
		"user info in a URL":       "https://user:hunter2@h:6443",
		"user info and a bad port": "https://user:hunter2@h:x",
		"user info and no host":    "https://user:hunter2@",
		"user info, badly escaped": "https://hunter2:%@h",
		"query":                    "https://h/?hunter2=1",
		"empty query":              "https://h/?",
		"fragment":                 "https://h/#hunter2",
		"newline within":           "https://h\n.example.com",
		"zero byte":                "https://h\x00",
		"space within":             "k8s example com",
		"backslash":                `https://h\@example.com`,
		"bracket not closed":       "https://[fd00::1",
		"brackets around a name":   "https://[h]:6443",
		"brackets around IPv4":     "https://[10.0.0.1]:6443",
		"escaped host":             "https://%68",
		"zone beyond ASCII":        "https://[fe80::1%25é0]",
		"header injection":         "https://h:443 HTTP/1.1\r\nX: y",
	} {
		t.Run(name, func(t *testing.T) {
			got, err := kube.ParseHost(in)
			if err == nil {
				t.Fatalf("read as %s", got)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error repeats what may be a password: %v", err)
			}
		})
	}
}

func FuzzParseHost(f *testing.F) {
	for _, seed := range []string{
		"h", "h:6443", "fd00::1", "[fd00::1]:6443", "https://h/k8s/clusters/c-1/", "http://h:8080", "HTTPS://h", "0:",
		"https://user:secret@h", "https://h?x#y", "://", "https://[fe80::1%25eth0]:1", "https://[fe80::1%25e\x8ah0]", "https://h/%2e%2e/%2f", "h:65536", "é:1", "\x00",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		u, err := kube.ParseHost(in)
		if err != nil {
			return
		}
		if u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			t.Errorf("%q was read as %#v", in, u)
		}
		again, err := kube.ParseHost(u.String())
		if err != nil || again.String() != u.String() {
			t.Errorf("%q was read as %s, and that as %v, error %v", in, u, again, err)
		}
		request, err := http.NewRequest(http.MethodGet, u.String()+"/api", nil)
		if err != nil {
			t.Errorf("%q was read as %s, to which no request can be made: %v", in, u, err)
		} else if request.URL.Host != u.Host || request.URL.User != nil {
			t.Errorf("%q was read as %s, but requests would go to %s", in, u, request.URL.Host)
		}
	})
}
