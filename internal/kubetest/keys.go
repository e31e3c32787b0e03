package kubetest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Key signs tokens.
type Key struct {
	// ID is the kid header of what it signs; kube-apiserver makes it from the
	// public key too.
	ID        string
	Algorithm jose.SignatureAlgorithm
	// Private is what the JOSE library takes for the algorithm: a private key,
	// or bytes for a shared secret.
	Private any
}

// NewRSAKey makes an RSA key for RS256, the one that most clusters have. It takes
// a moment.
func NewRSAKey() Key {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	return newKey(jose.RS256, private, err)
}

// NewECDSAKey makes a P-256 key for ES256.
func NewECDSAKey() Key {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return newKey(jose.ES256, private, err)
}

// SharedSecret makes a "key" for HS256. A cluster never signs with one; an
// attacker may, with the text of a public key as the secret.
func SharedSecret(secret string) Key {
	return Key{ID: "shared", Algorithm: jose.HS256, Private: []byte(secret)}
}

func newKey(algorithm jose.SignatureAlgorithm, private crypto.Signer, err error) Key {
	if err != nil {
		panic(err) // the system's source of randomness does not fail
	}
	key := Key{Algorithm: algorithm, Private: private}
	sum := sha256.Sum256(key.publicDER())
	key.ID = base64.RawURLEncoding.EncodeToString(sum[:])
	return key
}

// PublicPEM is the public key as pem_keys takes it. It panics for a shared secret,
// which has none.
func (k Key) PublicPEM() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: k.publicDER()}))
}

func (k Key) publicDER() []byte {
	der, err := x509.MarshalPKIXPublicKey(k.signer().Public())
	if err != nil {
		panic(err)
	}
	return der
}

// CertificatePEM is a self-signed certificate of the public key. It panics for a
// shared secret.
func (k Key) CertificatePEM() string {
	c := template("service-account-signer", time.Now().Add(time.Hour))
	der, err := x509.CreateCertificate(rand.Reader, c, c, k.signer().Public(), k.signer())
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func (k Key) signer() crypto.Signer {
	signer, ok := k.Private.(crypto.Signer)
	if !ok {
		panic(fmt.Sprintf("kubetest: a key for %s has no public part", k.Algorithm))
	}
	return signer
}

// keyring holds the keys of a server: ECDSA, which is quick to make, and RSA, made
// when it is first asked for.
type keyring struct {
	mu    sync.Mutex
	ecdsa Key
	rsa   *Key
	// retired are keys that tokens are no longer signed with and still accepted by.
	retired []Key
}

// ECDSAKey is the key that the server's tokens are signed with unless they ask for
// another.
func (s *Server) ECDSAKey() Key {
	s.keys.mu.Lock()
	defer s.keys.mu.Unlock()
	return s.keys.ecdsa
}

// RotateKey makes a new key, with which tokens are signed from now on. Those of the key
// before it are accepted until RetireKeys.
func (s *Server) RotateKey() {
	s.keys.mu.Lock()
	defer s.keys.mu.Unlock()
	s.keys.retired = append(s.keys.retired, s.keys.ecdsa)
	s.keys.ecdsa = NewECDSAKey()
}

// RetireKeys takes away all keys from before the last rotation; what they signed is void.
func (s *Server) RetireKeys() {
	s.keys.mu.Lock()
	defer s.keys.mu.Unlock()
	s.keys.retired = nil
}

// RSAKey is a second key whose tokens the server accepts.
func (s *Server) RSAKey() Key {
	s.keys.mu.Lock()
	defer s.keys.mu.Unlock()
	if s.keys.rsa == nil {
		key := NewRSAKey()
		s.keys.rsa = &key
	}
	return *s.keys.rsa
}

// all are the keys whose tokens the server accepts.
func (k *keyring) all() []Key {
	k.mu.Lock()
	defer k.mu.Unlock()
	keys := append([]Key{k.ecdsa}, k.retired...)
	if k.rsa == nil {
		return keys
	}
	return append(keys, *k.rsa)
}

func (k *keyring) public() (public []any) {
	for _, key := range k.all() {
		public = append(public, key.signer().Public())
	}
	return public
}
