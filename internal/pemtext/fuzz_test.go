package pemtext_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"vault-plugin-auth-kubernetes/internal/pemtext"
)

// FuzzCertificates damages a bundle of three at two places. What is taken nevertheless
// has each certificate in it whose data is still there, and reads the same again.
func FuzzCertificates(f *testing.F) {
	m := fixtures()
	all := strings.Join(m.certificates, "# between\n")
	for _, form := range []uint8{0, 1, 2, 3, 4} {
		f.Add(form, uint16(0), uint16(0), "", uint16(0), uint16(0), "")
		f.Add(form, uint16(27), uint16(1), "", uint16(900), uint16(3), "-")
		f.Add(form, uint16(0), uint16(28), "", uint16(1000), uint16(30), "\\n")
		f.Add(form, uint16(0), uint16(5), "----", uint16(1200), uint16(0), "-----BEGIN CERTIFICATE-----")
	}
	f.Fuzz(func(t *testing.T, form uint8, at1, cut1 uint16, put1 string, at2, cut2 uint16, put2 string) {
		text := all
		switch form % 5 {
		case 1:
			text = spaces.Replace(text)
		case 2:
			text = escaped.Replace(text)
		case 3:
			text = noFeeds.Replace(text)
		case 4:
			text = "  " + strings.ReplaceAll(text, "\n", "\n  ")
		}
		text = damaged(damaged(text, int(at1), int(cut1), put1), int(at2), int(cut2), put2)
		got, err := pemtext.Certificates(text)
		if err != nil {
			return
		}
		found := map[string]bool{}
		for _, der := range inPool(got) {
			found[string(der)] = true
		}
		data := strings.NewReplacer("\n", "", `\n`, "", " ", "").Replace(text)
		for i, der := range m.der {
			if strings.Contains(data, base64.StdEncoding.EncodeToString(der)) && !found[string(der)] {
				t.Errorf("certificate %d is there and does not count: %q", i, text)
			}
		}
		if again, err := pemtext.Certificates(got); err != nil || again != got {
			t.Errorf("read again it is another: %v", err)
		}
		if strings.Contains(got, "PRIVATE KEY") {
			t.Error("a private key is kept")
		}
	})
}

func damaged(text string, at, cut int, put string) string {
	at = min(at, len(text))
	return text[:at] + put + text[min(at+cut, len(text)):]
}

// FuzzKeys reads anything at all.
func FuzzKeys(f *testing.F) {
	m := fixtures()
	for _, text := range spellings(publicPEM(&m.ecdsaKey.PublicKey) + m.certificates[1]) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := pemtext.Keys([]string{text})
		if err != nil {
			return
		}
		firstKeys(t, got)
		again, err := pemtext.Keys(got)
		if err != nil || strings.Join(again, "") != strings.Join(got, "") {
			t.Errorf("%q was read as %q, and that as %q: %v", text, got, again, err)
		}
	})
}
