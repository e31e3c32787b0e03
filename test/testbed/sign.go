package testbed

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// SignToken signs claims as a service account token issuer with the given RSA
// key (PEM) would. With [Cluster.SigningKeyPEM] the API server believes the
// result as far as the claims are true; with any other key it is a forgery.
func SignToken(signingKeyPEM string, claims map[string]any) (string, error) {
	block, _ := pem.Decode([]byte(signingKeyPEM))
	if block == nil {
		return "", errors.New("the signing key is not PEM")
	}
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		return "", err
	}
	id, err := keyID(&key.PublicKey)
	if err != nil {
		return "", err
	}
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.RS256, Key: key},
		(&jose.SignerOptions{}).WithHeader("kid", id),
	)
	if err != nil {
		return "", err
	}
	return jwt.Signed(signer).Claims(claims).Serialize()
}

// keyID is the key id that kube-apiserver gives to an RSA key in its tokens and
// at /openid/v1/jwks.
func keyID(key *rsa.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(der)
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}

// NewSigningKey makes an RSA key and returns both halves in PEM.
func NewSigningKey() (privatePEM, publicPEM string, err error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return "", "", err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return "", "", err
	}
	return encodePEM("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)), encodePEM("PUBLIC KEY", public), nil
}

func encodePEM(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// writeSigningKey makes the cluster's signing key and puts it where
// kube-apiserver finds it.
func (c *Cluster) writeSigningKey() (err error) {
	c.SigningKeyPEM, c.SigningPublicKeyPEM, err = NewSigningKey()
	if err != nil {
		return fmt.Errorf("cannot make a signing key: %w", err)
	}
	return os.WriteFile(c.signingKeyPath(), []byte(c.SigningKeyPEM), 0o600)
}

func (c *Cluster) signingKeyPath() string { return filepath.Join(c.Dir, "service-account.key") }
