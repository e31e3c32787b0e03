package pemtext_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"strings"
	"testing"

	"vault-plugin-auth-kubernetes/internal/pemtext"
)

// A private key as people have it is stored as the same key.
func TestPrivateKey(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	sec1, _ := x509.MarshalECPrivateKey(ec)
	pkcs8, _ := x509.MarshalPKCS8PrivateKey(ec)
	text := func(label string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}))
	}
	ofRSA := text("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey))
	for name, row := range map[string]struct {
		text string
		err  error
	}{
		"PKCS 8":                   {text: text("PRIVATE KEY", pkcs8)},
		"SEC 1":                    {text: text("EC PRIVATE KEY", sec1)},
		"SEC 1 behind its curve":   {text: text("EC PARAMETERS", []byte{6, 8, 42, 134, 72, 206, 61, 3, 1, 7}) + text("EC PRIVATE KEY", sec1)},
		"PKCS 1":                   {text: ofRSA},
		"of a kubeconfig":          {text: base64.StdEncoding.EncodeToString([]byte(ofRSA)) + "\n"},
		"escaped line feeds":       {text: strings.ReplaceAll(ofRSA, "\n", `\n`)},
		"Windows' line feeds":      {text: strings.ReplaceAll(ofRSA, "\n", "\r\n")},
		"words around it":          {text: "Bag Attributes\n" + ofRSA + "the end\n"},
		"encrypted, PKCS 8":        {text: text("ENCRYPTED PRIVATE KEY", pkcs8), err: pemtext.ErrEncryptedKey},
		"encrypted, as of old":     {text: strings.Replace(ofRSA, "KEY-----\n", "KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n", 1), err: pemtext.ErrEncryptedKey},
		"empty":                    {err: pemtext.ErrNoPrivateKey},
		"the name of a file":       {text: "client.key", err: pemtext.ErrNoPrivateKey},
		"cut short":                {text: ofRSA[:len(ofRSA)/2], err: pemtext.ErrNoPrivateKey},
		"a public key":             {text: text("PUBLIC KEY", []byte{1}), err: pemtext.ErrNoPrivateKey},
		"base64 of something else": {text: "aGVsbG8=", err: pemtext.ErrNoPrivateKey},
	} {
		got, err := pemtext.PrivateKey(row.text)
		if !errors.Is(err, row.err) || (err == nil) != strings.HasPrefix(got, "-----BEGIN PRIVATE KEY-----\n") {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil {
			continue
		}
		block, _ := pem.Decode([]byte(got))
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil || !ec.Equal(key) && !rsaKey.Equal(key) {
			t.Errorf("%s: another key, %v", name, err)
		}
	}
}
