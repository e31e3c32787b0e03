package pemtext_test

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"
	"testing"

	"vault-plugin-auth-kubernetes/internal/pemtext"
)

// firstKeys are what Vault's own method makes of pem_keys: the first block of each item.
func firstKeys(t *testing.T, items []string) (found []crypto.PublicKey) {
	t.Helper()
	for _, item := range items {
		b, _ := pem.Decode([]byte(item))
		if b == nil {
			t.Fatalf("it reads nothing in %q", item)
		}
		key, err := x509.ParsePKIXPublicKey(b.Bytes)
		if err != nil {
			c, err := x509.ParseCertificate(b.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			key = c.PublicKey
		}
		found = append(found, key)
	}
	return found
}

func TestKeysAsPeopleHaveThem(t *testing.T) {
	m := fixtures()
	all := publicPEM(&m.rsaKey.PublicKey) + publicPEM(&m.ecdsaKey.PublicKey) + m.certificates[0]
	want := []crypto.PublicKey{&m.rsaKey.PublicKey, &m.ecdsaKey.PublicKey, &m.rsaKey.PublicKey}
	same := func(a, b crypto.PublicKey) bool {
		return a.(interface{ Equal(crypto.PublicKey) bool }).Equal(b)
	}
	for name, text := range spellings(all) {
		got, err := pemtext.Keys([]string{text})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !slices.EqualFunc(firstKeys(t, got), want, same) {
			t.Errorf("%s: not all count in %q", name, got)
		}
		if again, err := pemtext.Keys(got); err != nil || !slices.Equal(again, got) {
			t.Errorf("%s: read again they are others: %v", name, err)
		}
	}
}

func TestKeyForms(t *testing.T) {
	m := fixtures()
	public := publicPEM(&m.rsaKey.PublicKey)
	want := strings.TrimSpace(public)
	der, _ := pem.Decode([]byte(public))
	for name, text := range map[string]string{
		"PKCS #1":       block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&m.rsaKey.PublicKey)),
		"DER in base64": noFeeds.Replace(public)[26 : len(noFeeds.Replace(public))-24],
		"as it is":      public,
	} {
		if got, err := pemtext.Keys([]string{text}); err != nil || len(got) != 1 || got[0] != want {
			t.Errorf("%s: %v %q", name, err, got)
		}
	}
	other := block("KEY", der.Bytes) // a label that Vault's own method does not look at either
	if got, err := pemtext.Keys([]string{other}); err != nil || got[0] != strings.TrimSpace(other) {
		t.Errorf("another label: %v %q", err, got)
	}
}

func TestKeysRefuses(t *testing.T) {
	m := fixtures()
	public := publicPEM(&m.ecdsaKey.PublicKey)
	edwards, _, err := ed25519.GenerateKey(bytes.NewReader(make([]byte, 64)))
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		items []string
		words string
	}{
		"garbage":               {[]string{public, "garbage"}, "there is no certificate or key"},
		"an empty item":         {[]string{""}, "there is no certificate or key"},
		"a private key":         {[]string{public, privatePEM(m.rsaKey)}, "item 2, block 1, line 1: this is a private key"},
		"beside its public one": {[]string{public + privatePEM(m.ecdsaKey)}, "block 2, line 5: this is a private key"},
		"broken":                {[]string{public + block("PUBLIC KEY", []byte("no key"))}, "block 2, line 5: this is no public key"},
		"Ed25519":               {[]string{publicPEM(edwards)}, "Ed25519"},
		"cut short":             {[]string{public[:60]}, "cut short"},
	} {
		if got, err := pemtext.Keys(row.items); err == nil || !strings.Contains(err.Error(), row.words) {
			t.Errorf("%s: %v %q, want %q", name, err, got, row.words)
		}
	}
}
