package webpage

import (
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
)

// The page's files, by their path in URLs. Nothing else of the folder is served.
var pageFiles = map[string]string{
	"/":           "index.html",
	"/app.css":    "app.css",
	"/app.js":     "app.js",
	"/check.js":   "check.js",
	"/entries.js": "entries.js",
	"/explain.js": "explain.js",
	"/icon.svg":   "icon.svg",
	"/show.js":    "show.js",
	"/vault.js":   "vault.js",
}

// contentPolicy lets the page load its own files, talk to its own origin, and do
// nothing else. Trusted types take every way to turn a string into markup or code.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

func withHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", contentPolicy)
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// loopbackOnly refuses requests under any name that is not this machine's own: a
// site whose name has been made to point here ("DNS rebinding") would otherwise
// share the page's origin.
func loopbackOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isLoopbackHost(r.Host) {
			http.Error(w, "this page is served on loopback only", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isLoopbackHost judges a Host header, with or without a port.
func isLoopbackHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func pageOnly(dir string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		file, ok := pageFiles[r.URL.Path]
		if !ok || (r.Method != http.MethodGet && r.Method != http.MethodHead) {
			http.NotFound(w, r)
			return
		}
		http.ServeFileFS(w, r, os.DirFS(dir), file)
	})
}

// apiOnly lets through what the page asks for and nothing else, so that neither a
// mistake in the page nor another program of this machine can change Vault this way.
func apiOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isPageRequest(r.Method, r.URL.EscapedPath()) {
			http.Error(w, "the page has no use for this request", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isPageRequest judges a method and a path as it was sent.
func isPageRequest(method, escapedPath string) bool {
	rest, ok := strings.CutPrefix(escapedPath, "/v1/")
	if !ok {
		return false
	}
	segments := strings.Split(rest, "/")
	if slices.ContainsFunc(segments, isEvasive) {
		return false
	}
	if method == http.MethodGet && rest == "sys/auth" {
		return true
	}
	if segments[0] != "auth" || len(segments) < 3 {
		return false
	}
	last := segments[len(segments)-1]
	switch method {
	case http.MethodGet:
		kind := segments[len(segments)-2]
		return last == "check" || last == "role" || last == "binding-rule" || kind == "role" || kind == "binding-rule"
	case http.MethodPost:
		return last == "explain"
	}
	return false
}

// isEvasive tells a segment that may mean another path to Vault than it does here:
// an empty one, "..", or one that hides a separator, however it is spelled.
func isEvasive(segment string) bool {
	plain, err := url.PathUnescape(segment)
	return err != nil || plain == "" || plain == "." || plain == ".." || strings.ContainsAny(plain, `/\%`)
}
