package pemtext

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ErrNone is about a text that holds nothing like PEM.
var ErrNone = errors.New("there is no certificate or key in it")

var errPrivate = errors.New("this is a private key, which has no place here; give the certificate or the public key alone, and as it was sent, take the private key for known to others")

// errBinary is about a file in DER, of which JSON keeps less than its bytes.
var errBinary = errors.New("it is binary; openssl x509 -inform der -in FILE writes a certificate as PEM, and openssl pkey -pubin -inform der -pubout a key")

// Certificates returns a bundle of certificates as it can be stored. A text in which
// every reader of PEM finds the same is returned as it is; any other one is written anew.
func Certificates(text string) (string, error) {
	inner, blocks, err := unwrapped(text, certificateOf)
	if err != nil {
		return "", err
	}
	found := 0
	for i := range blocks {
		isCertificate, err := checkCertificate(&blocks[i])
		if err != nil {
			return "", fmt.Errorf("%s: %w", blocks[i].place, err)
		}
		if isCertificate {
			found++
		}
	}
	if found == 0 {
		return "", fmt.Errorf("%s: this is no certificate but %s", blocks[0].place, article(blocks[0].label))
	}
	if inner != "" && sameBlocks(inner, blocks) {
		return inner, nil
	}
	return encode(blocks), nil
}

// checkCertificate tells whether a block is a certificate. One that a person would call
// so and that is none is an error; so is what only others can take apart.
func checkCertificate(b *block) (bool, error) {
	switch {
	case b.label == certificate:
		if _, err := x509.ParseCertificate(b.der); err != nil {
			return false, fmt.Errorf("the certificate is damaged: %w", err)
		}
		return true, nil
	case b.label == "TRUSTED CERTIFICATE":
		return false, errors.New("TRUSTED CERTIFICATE is OpenSSL's own form; openssl x509 -in FILE -out ca.crt writes the certificate alone")
	case strings.Contains(b.label, "PKCS7") || strings.Contains(b.label, "PKCS #7") || b.label == "CMS":
		return false, errors.New("this is a PKCS #7 container; openssl pkcs7 -print_certs -in FILE writes the certificates in it")
	case strings.Contains(b.label, certificate):
		return false, fmt.Errorf("a %s is no certificate", b.label)
	case isCertificate(b.der):
		return false, fmt.Errorf("this is a certificate under another label, %s", b.label)
	}
	return false, nil
}

func isCertificate(der []byte) bool {
	_, err := x509.ParseCertificate(der)
	return err == nil
}

// Keys returns the documents of public keys, or of certificates of them, as they can be
// stored: each with one key. Those that hold several are taken apart, since readers of
// such a list look at the first of each alone.
func Keys(documents []string) ([]string, error) {
	keys := make([]string, 0, len(documents))
	for i, document := range documents {
		found, err := keysOf(document)
		switch {
		case errors.Is(err, ErrNone):
			return nil, err
		case err != nil && len(documents) > 1:
			return nil, fmt.Errorf("item %d, %w", i+1, err)
		case err != nil:
			return nil, err
		}
		keys = append(keys, found...)
	}
	return keys, nil
}

func keysOf(document string) ([]string, error) {
	inner, blocks, err := unwrapped(document, keyOf)
	if err != nil {
		return nil, err
	}
	if len(blocks) == 0 {
		return nil, ErrNone
	}
	for i, b := range blocks {
		if blocks[i].label, blocks[i].der, err = checkKey(b); err != nil {
			return nil, fmt.Errorf("%s: %w", b.place, err)
		}
	}
	if len(blocks) == 1 && inner != "" && sameBlocks(inner, blocks) {
		return []string{strings.TrimSpace(inner)}, nil
	}
	keys := make([]string, len(blocks))
	for i := range blocks {
		keys[i] = strings.TrimSpace(encode(blocks[i : i+1]))
	}
	return keys, nil
}

// checkKey is a key, or a certificate of one, in a form that all readers know.
func checkKey(b block) (label string, der []byte, err error) {
	key, err := x509.ParsePKIXPublicKey(b.der)
	label, der = b.label, b.der
	if err != nil {
		if c, certificateErr := x509.ParseCertificate(b.der); certificateErr == nil {
			key, err = c.PublicKey, nil
		}
	}
	if err != nil {
		if pkcs1, pkcs1Err := x509.ParsePKCS1PublicKey(b.der); pkcs1Err == nil {
			key = pkcs1
			label = publicKey
			if der, err = x509.MarshalPKIXPublicKey(pkcs1); err != nil {
				return "", nil, err
			}
		}
	}
	if err != nil {
		return "", nil, errors.New("this is no public key and no certificate, or a damaged one")
	}
	switch key.(type) {
	case *rsa.PublicKey, *ecdsa.PublicKey:
		return label, der, nil
	case ed25519.PublicKey:
		return "", nil, errors.New("this is an Ed25519 key, which cannot be used: Kubernetes signs service account tokens with RSA or ECDSA")
	}
	return "", nil, errors.New("this key is neither RSA nor ECDSA, with which Kubernetes signs service account tokens")
}

// unwrapped reads a text, or the text that it is the base64 of, as kubeconfig files have
// it, or the one certificate or key that it is the base64 of. inner is the text that was
// read, "" if there was none.
func unwrapped(text string, whole func(der []byte) (label string)) (inner string, blocks []block, err error) {
	blocks, err = read(text)
	if err != nil || len(blocks) > 0 {
		return text, blocks, err
	}
	if strings.ContainsRune(text, utf8.RuneError) {
		return "", nil, errBinary
	}
	plain := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || strings.ContainsRune("\ufeff\u200b\"'", r) {
			return -1
		}
		return r
	}, escapes.ReplaceAllStringFunc(text, func(escape string) string {
		return strings.TrimLeft(strings.TrimRight(escape, "nrt"), `\`)
	}))
	decoded, err := decodedAll(plain)
	if err != nil || len(decoded) == 0 {
		return "", nil, ErrNone
	}
	if label := whole(decoded); label != "" {
		return "", []block{{label: label, der: decoded, place: "block 1, line 1"}}, nil
	}
	if holdsPrivate(decoded) {
		return "", nil, errPrivate
	}
	if blocks, err = read(string(decoded)); err != nil && strings.Contains(string(decoded), "-----") {
		return "", nil, fmt.Errorf("in what it is the base64 of: %w", err)
	}
	if err != nil || len(blocks) == 0 {
		return "", nil, ErrNone
	}
	return string(decoded), blocks, nil
}

func certificateOf(der []byte) string {
	if isCertificate(der) {
		return certificate
	}
	return ""
}

func keyOf(der []byte) string {
	if _, err := x509.ParsePKIXPublicKey(der); err == nil {
		return publicKey
	}
	return certificateOf(der)
}

func holdsPrivate(der []byte) bool {
	_, pkcs8 := x509.ParsePKCS8PrivateKey(der)
	_, pkcs1 := x509.ParsePKCS1PrivateKey(der)
	_, sec1 := x509.ParseECPrivateKey(der)
	return pkcs8 == nil || pkcs1 == nil || sec1 == nil
}

// sameBlocks tells whether a reader that knows PEM only as it is defined finds the same
// in a text. Those of Go pass over certificates that have headers.
func sameBlocks(text string, blocks []block) bool {
	rest := []byte(text)
	for _, b := range blocks {
		var found *pem.Block
		found, rest = pem.Decode(rest)
		if found == nil || found.Type != b.label || len(found.Headers) > 0 || string(found.Bytes) != string(b.der) {
			return false
		}
	}
	found, _ := pem.Decode(rest)
	return found == nil
}

func encode(blocks []block) string {
	var text strings.Builder
	for _, b := range blocks {
		text.Write(pem.EncodeToMemory(&pem.Block{Type: b.label, Bytes: b.der}))
	}
	return text.String()
}

func article(label string) string {
	if label == "" {
		return "something without a name"
	}
	return "the " + label
}
