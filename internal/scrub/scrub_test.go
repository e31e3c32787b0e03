package scrub_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"

	"vault-plugin-auth-kubernetes/internal/scrub"
)

// jwt is a token of no cluster.
func jwt(seed uint64) string {
	random := rand.New(rand.NewPCG(seed, 1))
	signature := make([]byte, 64)
	for i := range signature {
		signature[i] = byte(random.Uint32())
	}
	part := base64.RawURLEncoding.EncodeToString
	return part([]byte(`{"alg":"RS256","kid":"a8_Z-3kQ"}`)) + "." +
		part(fmt.Appendf(nil, `{"iss":"https://kubernetes.default.svc","jti":"%x"}`, random.Uint64())) + "." + part(signature)
}

// encodings are what may happen to a text on its way through a front.
var encodings = map[string]func(string) string{
	"as it is":        func(s string) string { return s },
	"upper case":      strings.ToUpper,
	"lower case":      strings.ToLower,
	"base64":          func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	"base64url":       func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) },
	"base64 within":   func(s string) string { return base64.StdEncoding.EncodeToString([]byte("x: " + s + "\r\n")) },
	"base64 twice":    func(s string) string { return encodeTwice("a" + s) },
	"hex":             func(s string) string { return hex.EncodeToString([]byte(s)) },
	"upper hex":       func(s string) string { return fmt.Sprintf("% X", s) },
	"Go's bytes":      func(s string) string { return fmt.Sprintf("%d", []byte(s)) },
	"Go's quotes":     func(s string) string { return fmt.Sprintf("%q", fmt.Sprintf("%q", s)) },
	"JSON":            func(s string) string { text, _ := json.Marshal(map[string]string{"m": s}); return string(text) },
	"query":           url.QueryEscape,
	"percent":         percentEncoded,
	"percent twice":   func(s string) string { return strings.ReplaceAll(percentEncoded(s), "%", "%25") },
	"unicode escapes": func(s string) string { return eachByte(s, `\u%04x`) },
	"HTML":            html.EscapeString,
	"HTML entities":   func(s string) string { return eachByte(s, "&#%d;") },
	"lines of 64":     func(s string) string { return lines(s, 64, "\n") },
	"base64 of 76":    func(s string) string { return lines(base64.StdEncoding.EncodeToString([]byte(s)), 76, "\r\n") },
	"JSON lines":      func(s string) string { return lines(s, 64, `\n`) },
	"spaced out":      func(s string) string { return lines(s, 1, " ") },
}

func encodeTwice(s string) string {
	return base64.StdEncoding.EncodeToString([]byte(base64.URLEncoding.EncodeToString([]byte(s))))
}

func eachByte(s, format string) string {
	var out strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&out, format, s[i])
	}
	return out.String()
}

func percentEncoded(s string) string { return eachByte(s, "%%%02X") }

func lines(s string, width int, end string) string {
	var out strings.Builder
	for len(s) > width {
		out.WriteString(s[:width] + end)
		s = s[width:]
	}
	return out.String() + s
}

// leaks returns a part of 12 characters of the secret that a text has in it, in an
// encoding, or "".
func leaks(secret, text string) string {
	const part = 12
	folded := strings.ToLower(text)
	for i := 0; i+part <= len(secret); i++ {
		piece := secret[i : i+part]
		for name, encode := range encodings {
			if code := strings.ToLower(strings.TrimRight(encode(piece), "=")); strings.Contains(folded, code) && name != "JSON" {
				return name + ": " + piece
			}
		}
	}
	return ""
}

func TestText(t *testing.T) {
	secret := jwt(1)
	s := scrub.New(secret, "hunter2!")
	for name, encode := range encodings {
		for what, part := range map[string]string{
			"whole": secret, "beginning": secret[:40], "middle": secret[30:120], "end": secret[len(secret)-40:], "password": "hunter2!",
		} {
			text := "refused: " + encode(part) + " was sent"
			got := s.Text(text)
			if leaked := leaks(secret, got); leaked != "" {
				t.Errorf("%s, %s: %s is in %q", name, what, leaked, got)
			}
			if strings.Contains(got, encode(part)) {
				t.Errorf("%s, %s: nothing was taken out of %q", name, what, got)
			}
			if !strings.HasPrefix(got, "refuse") || !strings.HasSuffix(got, " was sent") || !strings.Contains(got, scrub.Redacted) {
				t.Errorf("%s, %s: what is no secret is gone: %q", name, what, got)
			}
		}
	}
}

func TestShortSecrets(t *testing.T) {
	for secret, row := range map[string]struct{ text, want string }{
		"pw":     {"dial http://me:pw@proxy: no pwd", "dial http://me:[redacted]@proxy: no pwd"},
		"me:pw":  {"Proxy-Authorization: Basic bWU6cHc=", "Proxy-Authorization: Basic [redacted]="},
		"!!$$!!": {"user:!!$$!! and %21%21%24%24%21%21", "user:[redacted] and [redacted]"},
		"a&b<c":  {`{"p":"a\u0026b\u003cc"} and a&amp;b&lt;c`, `{"p":"[redacted]"} and [redacted]`},
		"":       {"nothing", "nothing"},
	} {
		if got := scrub.New(secret).Text(row.text); got != row.want {
			t.Errorf("%q: %q, want %q", secret, got, row.want)
		}
	}
}

func TestTokensOfOthers(t *testing.T) {
	if got := scrub.New().Text("it was " + jwt(7) + ", and eyJust text"); got != "it was [redacted], and eyJust text" {
		t.Errorf("%q", got)
	}
	if got := scrub.New(jwt(8)).Text("beside it, " + jwt(9)); got != "beside it, [redacted]" {
		t.Errorf("a token that has parts in common with the secret: %q", got)
	}
}

// What is cut off is no reason to leave the half of a secret.
func TestCut(t *testing.T) {
	text := strings.Repeat("many words ", 800)[:8180] + " hunter2hunter2"
	if got := scrub.New("hunter2hunter2").Text(text); strings.Contains(got, "hunt") || !strings.HasSuffix(got, "…") {
		t.Errorf("the text ends with %q", got[len(got)-20:])
	}
	if got := scrub.Cut("short", 5); got != "short" {
		t.Errorf("%q", got)
	}
}

// A document can be decoded still once the secrets are out of it.
func TestBody(t *testing.T) {
	secret := jwt(3)
	document := fmt.Sprintf(`{"kind":"Status","message":"you sent\n%s","code":502,"other":%q}`, secret, jwt(4))
	body := scrub.New(secret).Body([]byte(document))
	var status struct{ Message, Other string }
	if err := json.Unmarshal(body, &status); err != nil || len(body) != len(document) {
		t.Fatalf("%v: %s", err, body)
	}
	if leaked := leaks(secret, string(body)); leaked != "" || strings.Contains(status.Other, "eyJ") {
		t.Errorf("%s is in %s", leaked, body)
	}
	if got := scrub.New().Text(status.Message); got != "you sent\n[redacted]" {
		t.Errorf("%q", got)
	}
}

func TestHolds(t *testing.T) {
	secret, other := jwt(5), jwt(6)
	s := scrub.New(secret, "vault-reviewer-of-kubernetes")
	for text, want := range map[string]bool{
		"system:serviceaccount:apps:web":                             false,
		"7e1a2b3c-0d4e-4f5a-8b6c-7d8e9f0a1b2c":                       false,
		"system:serviceaccount:kube-system:vault-reviewer":           false, // a part of a secret made of words
		"system:serviceaccount:apps:" + secret:                       true,
		lines(secret, 10, " "):                                       true,
		hex.EncodeToString([]byte(secret)):                           true,
		"vault-reviewer-of-kubernetes, is that you, with long words": false, // no run that a token would have
		"abcdefghijklmnopqrstuvwxyz vault-reviewer-of-kubernetes":    true,
		"notificationservice2for4customers-7f9c8b6d5-x2x4z":          false,
		"pod-" + hex.EncodeToString([]byte(secret))[60:90]:           true, // parts of the secret, in a name
		"pod-" + strings.ToLower(secret[len(secret)-40:]):            true,
		"node " + secret[len(secret)-40:]:                            true,
	} {
		if got := s.Holds(text); got != want {
			t.Errorf("%q: %t, want %t", text, got, want)
		}
	}
	if s.Signatures().Holds("annotation with another token: " + other) {
		t.Error("a token of somebody else passes for the secret")
	}
	if !s.Signatures().Holds("annotation with the token: " + secret) {
		t.Error("the token is not found by its signature")
	}
}

func BenchmarkText(b *testing.B) {
	s := scrub.New(jwt(1)+strings.Repeat("x", 800), jwt(2)+strings.Repeat("y", 800))
	for b.Loop() {
		s.Text("create TokenReview: connection: dial tcp 10.0.0.1:6443: connect: connection refused")
	}
}

// Good answers pay for a look at their length and, where there are long words, at these.
// Whatever else there may be in a name costs a look at each form of the secrets.
func BenchmarkHolds(b *testing.B) {
	s := scrub.New(jwt(1)+strings.Repeat("x", 800), jwt(2)+strings.Repeat("y", 800))
	for name, text := range map[string]string{
		"names":      "system:serviceaccount:apps:web",
		"long words": "notificationservice-7f9c8b6d5-x2x4z",
		"digits":     "wf-0123456789abcdef0123456789abcdef",
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				s.Holds(text)
			}
		})
	}
}

// A token is one as a whole, and with something to look for in each part but the first.
func TestWholeTokens(t *testing.T) {
	for text, want := range map[string]bool{
		jwt(1):              true,
		"eyJ.a.b":           true,
		"eyJ.a.":            false,
		"eyJ..b":            false,
		"eyJ.a":             false,
		"eyJ":               false,
		"xyJ.a.b":           false,
		"eyJ.a.b.c":         false,
		"eyJ.a.b=":          false,
		"eyJ.a b.c":         false,
		"eyJ.ä.b":           false,
		"sha256~abcdefghij": false,
	} {
		if got := scrub.IsToken(text); got != want {
			t.Errorf("%q: %t, want %t", text, got, want)
		}
	}
}
