package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
)

// ErrSignature says that none of the keys signed the token.
var ErrSignature = errors.New("no configured key signed the token")

var errNoKey = errors.New("data does not contain any valid RSA or ECDSA public keys")

// Keys verify the signatures of tokens. The zero value has no key.
type Keys struct {
	public []crypto.PublicKey
	// byID are the keys that have an id; several may have the same.
	byID map[string][]crypto.PublicKey
}

// ParseKeySet reads a JSON Web Key Set, as a cluster publishes it. Keys that cannot be
// used are left out, as RFC 7517 (section 5) asks: of types that no service account token
// is signed with, of ones that are not known, without what theirs needs. A set without any
// that is left is an error.
func ParseKeySet(document []byte) (Keys, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(document, &set); err != nil {
		return Keys{}, errors.New("not a JSON Web Key Set")
	}
	keys := Keys{byID: map[string][]crypto.PublicKey{}}
	for _, member := range set.Keys {
		var jwk jose.JSONWebKey
		if err := json.Unmarshal(member, &jwk); err != nil || jwk.Use != "" && jwk.Use != "sig" {
			continue
		}
		switch key := jwk.Key.(type) {
		case *rsa.PublicKey, *ecdsa.PublicKey:
			keys.public = append(keys.public, key)
			if jwk.KeyID != "" {
				keys.byID[jwk.KeyID] = append(keys.byID[jwk.KeyID], key)
			}
		}
	}
	if len(keys.public) == 0 {
		return Keys{}, errors.New("the JSON Web Key Set holds no RSA or ECDSA public key")
	}
	return keys, nil
}

// Knows tells whether there is a key of the id that the token says it was signed
// with. A token that names none is known to all keys.
func (k Keys) Knows(t *Unverified) bool {
	_, ok := k.byID[t.keyID]
	return ok || t.keyID == "" && len(k.public) > 0
}

// ParseKeys reads a list of PEM documents, each with one public key or
// certificate of type RSA or ECDSA. Only the first block of a document counts.
func ParseKeys(documents []string) (Keys, error) {
	keys := make([]crypto.PublicKey, 0, len(documents))
	for _, document := range documents {
		key, err := parseKey([]byte(document))
		if err != nil {
			return Keys{}, err
		}
		keys = append(keys, key)
	}
	return Keys{public: keys}, nil
}

func parseKey(document []byte) (crypto.PublicKey, error) {
	block, _ := pem.Decode(document)
	if block == nil {
		return nil, errNoKey
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		certificate, certificateErr := x509.ParseCertificate(block.Bytes)
		if certificateErr != nil {
			return nil, certificateErr
		}
		key = certificate.PublicKey
	}
	switch key.(type) {
	case *rsa.PublicKey, *ecdsa.PublicKey:
		return key, nil
	case ed25519.PublicKey:
		return nil, fmt.Errorf("%w: Ed25519 keys cannot be used, Kubernetes signs service account tokens with RSA or ECDSA", errNoKey)
	}
	return nil, errNoKey
}

// Empty tells whether there is no key to verify with.
func (k Keys) Empty() bool { return len(k.public) == 0 }

// Len is the number of keys.
func (k Keys) Len() int { return len(k.public) }

// In counts the keys that are among others.
func (k Keys) In(others Keys) (count int) {
	for _, key := range k.public {
		equal := key.(interface{ Equal(crypto.PublicKey) bool }).Equal // all public keys of the standard library have it
		if slices.ContainsFunc(others.public, equal) {
			count++
		}
	}
	return count
}

// Verify returns nil if one of the keys signed the token, and ErrSignature if
// none did. A key of another type than the token's algorithm never fits.
func (k Keys) Verify(t *Unverified) error {
	signed, err := t.signature()
	if err != nil {
		return ErrSignature
	}
	candidates := k.public
	if named, ok := k.byID[t.keyID]; ok {
		candidates = named
	}
	for _, key := range candidates {
		if _, err := signed.Verify(key); err == nil {
			return nil
		}
	}
	return ErrSignature
}
