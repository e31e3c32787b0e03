package scrub_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"vault-plugin-auth-kubernetes/internal/scrub"
)

// ofBytes are what programs write of the bytes of a signature.
var ofBytes = map[string]func(b string) string{
	"hex":               func(b string) string { return hex.EncodeToString([]byte(b)) },
	"upper hex":         func(b string) string { return fmt.Sprintf("%X", b) },
	"hex with colons":   func(b string) string { return strings.ReplaceAll(fmt.Sprintf("% x", b), " ", ":") },
	"upper, with space": func(b string) string { return fmt.Sprintf("% X", b) },
	"hex in lines":      func(b string) string { return lines(hex.EncodeToString([]byte(b)), 32, "\n") },
	"Go's bytes":        func(b string) string { return fmt.Sprintf("%d", []byte(b)) },
	"JSON's bytes":      func(b string) string { return strings.ReplaceAll(fmt.Sprintf("%d", []byte(b)), " ", ",") },
	"Go's syntax":       func(b string) string { return fmt.Sprintf("%#v", []byte(b)) },
	"escapes":           func(b string) string { return eachByte(b, `\x%02x`) },
	"escapes, twice":    func(b string) string { return eachByte(b, `\\x%02X`) },
	"octal escapes":     func(b string) string { return eachByte(b, `\%03o`) },
	"unicode escapes":   func(b string) string { return eachByte(b, `\u%04x`) },
	"percent":           percentEncoded,
	"entities":          func(b string) string { return eachByte(b, "&#%d;") },
	"base64":            func(b string) string { return base64.StdEncoding.EncodeToString([]byte(b)) },
	"base64url":         func(b string) string { return base64.RawURLEncoding.EncodeToString([]byte(b)) },
	"base64 within":     func(b string) string { return base64.StdEncoding.EncodeToString([]byte("x" + b + "y")) },
	"base64 further":    func(b string) string { return base64.StdEncoding.EncodeToString([]byte("xx" + b)) },
	"as it is":          func(b string) string { return b },
	"taken for text": func(b string) string {
		var text []rune
		for i := range len(b) {
			text = append(text, rune(b[i]))
		}
		return string(text)
	},
}

func signature(t testing.TB, token string) string {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(token[strings.LastIndexByte(token, '.')+1:])
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// leaksBytes returns a part of 9 bytes of a signature that a text has in it, or "".
func leaksBytes(signature, text string) string {
	const part = 9 // of which base64 makes whole characters
	folded := strings.ToLower(text)
	for i := 0; i+part <= len(signature); i++ {
		for name, encode := range ofBytes {
			code := encode(signature[i : i+part])
			if strings.Contains(text, code) || strings.Contains(folded, strings.ToLower(code)) && name != "as it is" && name != "taken for text" {
				return fmt.Sprintf("%s: % x", name, signature[i:i+part])
			}
		}
	}
	return ""
}

func TestTextOfSignatures(t *testing.T) {
	for seed := range uint64(3) {
		token := jwt(seed)
		bytes := signature(t, token)
		s := scrub.New(token)
		for name, encode := range ofBytes {
			for what, part := range map[string]string{"whole": bytes, "beginning": bytes[:20], "middle": bytes[21:33], "end": bytes[len(bytes)-17:]} {
				text := "refused: " + encode(part) + " was sent"
				got := s.Text(text)
				if leaked := leaksBytes(bytes, got); leaked != "" || strings.Contains(got, encode(part)) {
					t.Errorf("%s, %s: %s is in %q", name, what, leaked, got)
				}
				if !strings.HasPrefix(got, "refuse") || !strings.HasSuffix(got, " was sent") || !strings.Contains(got, scrub.Redacted) {
					t.Errorf("%s, %s: what is no secret is gone: %q", name, what, got)
				}
				body := s.Body([]byte(text))
				if leaked := leaksBytes(bytes, string(body)); leaked != "" || len(body) != len(text) {
					t.Errorf("%s, %s: %s is in the body %q", name, what, leaked, body)
				}
			}
			if !s.Holds(encode(bytes)) || !s.Signatures().Holds("node "+encode(bytes)) {
				t.Errorf("%s: a name that holds the signature is taken", name)
			}
		}
		others := signature(t, jwt(seed+100))
		for name, encode := range ofBytes {
			if text := "serial " + encode(others); s.Holds(text) || !strings.Contains(s.Text(text), "serial ") {
				t.Errorf("%s: bytes that are no signature: %q", name, s.Text(text))
			}
		}
	}
}

// FuzzSignature writes a part of a signature into any text, cuts it somewhere, and looks
// for 9 bytes of it in what is left.
func FuzzSignature(f *testing.F) {
	names := slices.Sorted(maps.Keys(ofBytes))
	for i := range names {
		f.Add(uint64(i), "before ", " after", uint8(i), uint8(0), uint8(64), uint16(4000))
	}
	f.Add(uint64(1), "0", "%", uint8(3), uint8(7), uint8(30), uint16(90))
	f.Fuzz(func(t *testing.T, seed uint64, before, after string, encoding, from, to uint8, end uint16) {
		token := jwt(seed)
		bytes := signature(t, token)
		start := int(from) % len(bytes)
		part := bytes[start : start+int(to)%(len(bytes)-start+1)]
		text := before + ofBytes[names[int(encoding)%len(names)]](part) + after
		text = text[:min(len(text), int(end))]
		s := scrub.New(token)
		if leaked := leaksBytes(bytes, s.Text(text)); leaked != "" {
			t.Errorf("%s is left of %q", leaked, text)
		}
		if leaked := leaksBytes(bytes, string(s.Body([]byte(text)))); leaked != "" {
			t.Errorf("%s is left in the body of %q", leaked, text)
		}
	})
}
