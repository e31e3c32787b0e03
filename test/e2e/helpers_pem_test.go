package e2e

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"sync"
	"time"
)

// pemFixtures are keys and certificates in PEM, made once for all tests.
var pemFixtures = sync.OnceValue(func() (f struct {
	rsa, pkcs1, private, ecdsa, ed25519, x25519 string
	certificate, ecdsaCertificate               string
	brokenCertificate, brokenKey                string
}) {
	rsaKey := sure(rsa.GenerateKey(rand.Reader, 2048))
	ecdsaKey := sure(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	ed25519Key, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	x25519Key := sure(ecdh.X25519().GenerateKey(rand.Reader))

	f.rsa = publicPEM(&rsaKey.PublicKey)
	f.pkcs1 = encodePEM("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&rsaKey.PublicKey))
	f.private = encodePEM("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey))
	f.ecdsa = publicPEM(&ecdsaKey.PublicKey)
	f.ed25519 = publicPEM(ed25519Key)
	f.x25519 = publicPEM(x25519Key.PublicKey())
	f.certificate = selfSigned(rsaKey)
	f.ecdsaCertificate = selfSigned(ecdsaKey)
	f.brokenCertificate = encodePEM("CERTIFICATE", []byte("no certificate"))
	f.brokenKey = encodePEM("PUBLIC KEY", []byte("no key"))
	return f
})

func publicPEM(key crypto.PublicKey) string {
	return encodePEM("PUBLIC KEY", sure(x509.MarshalPKIXPublicKey(key)))
}

func selfSigned(key crypto.Signer) string {
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "test"},
		NotAfter:              time.Now().Add(time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	return encodePEM("CERTIFICATE", sure(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)))
}

func certificateDER() []byte {
	block, _ := pem.Decode([]byte(pemFixtures().certificate))
	return block.Bytes
}

func encodePEM(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// sure is for what fails only if the machine is out of order.
func sure[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
