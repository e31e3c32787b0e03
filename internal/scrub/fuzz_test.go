package scrub_test

import (
	"maps"
	"slices"
	"testing"

	"vault-plugin-auth-kubernetes/internal/scrub"
)

// FuzzText embeds a token, or a part of it, into any text, in any encoding, cuts it
// somewhere, and looks for 12 characters of it in what is left.
func FuzzText(f *testing.F) {
	names := slices.Sorted(maps.Keys(encodings))
	for i := range names {
		f.Add(uint64(i), "before ", " after", uint8(i), uint16(0), uint16(300), uint16(4000))
	}
	f.Add(uint64(1), "\\", "%", uint8(3), uint16(7), uint16(200), uint16(90))
	f.Fuzz(func(t *testing.T, seed uint64, before, after string, encoding uint8, from, to, end uint16) {
		secret := jwt(seed)
		start := int(from) % len(secret)
		part := secret[start : start+int(to)%(len(secret)-start+1)]
		text := before + encodings[names[int(encoding)%len(names)]](part) + after
		text = text[:min(len(text), int(end))]
		s := scrub.New(secret)
		if leaked := leaks(secret, s.Text(text)); leaked != "" {
			t.Errorf("%s is left of %q", leaked, text)
		}
		body := s.Body([]byte(text))
		if leaked := leaks(secret, string(body)); leaked != "" || len(body) != len(text) {
			t.Errorf("%s is left in the body %q", leaked, text)
		}
	})
}
