package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"vault-plugin-auth-kubernetes/internal/kubetest"
)

// signers has one key for each algorithm that Kubernetes can sign with.
func signers(t *testing.T) map[string]kubetest.Key {
	t.Helper()
	signers := map[string]kubetest.Key{}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for _, algorithm := range []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512} {
		signers[string(algorithm)] = kubetest.Key{Algorithm: algorithm, Private: rsaKey}
	}
	for algorithm, curve := range map[jose.SignatureAlgorithm]elliptic.Curve{
		jose.ES256: elliptic.P256(), jose.ES384: elliptic.P384(), jose.ES512: elliptic.P521(),
	} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		signers[string(algorithm)] = kubetest.Key{Algorithm: algorithm, Private: key}
	}
	return signers
}

func keysOf(t *testing.T, documents ...string) Keys {
	t.Helper()
	keys, err := ParseKeys(documents)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// Each key verifies what it signed, and nothing that a key of another type or size
// signed.
func TestVerifyEveryAlgorithm(t *testing.T) {
	all := signers(t)
	for name, signer := range all {
		t.Run(name, func(t *testing.T) {
			signed := parsed(t, draft(signer).Sign())
			for other, key := range all {
				for form, document := range map[string]string{"public key": key.PublicPEM(), "certificate": key.CertificatePEM()} {
					err := keysOf(t, document).Verify(signed)
					same := samePublic(key, signer)
					if same && err != nil {
						t.Errorf("the %s of %s: %v", form, other, err)
					}
					if !same && !errors.Is(err, ErrSignature) {
						t.Errorf("the %s of %s: %v, want ErrSignature", form, other, err)
					}
				}
			}
		})
	}
}

func samePublic(a, b kubetest.Key) bool {
	public := a.Private.(crypto.Signer).Public().(interface{ Equal(crypto.PublicKey) bool })
	return public.Equal(b.Private.(crypto.Signer).Public())
}

func TestVerifyRefuses(t *testing.T) {
	key, stranger := kubetest.NewECDSAKey(), kubetest.NewECDSAKey()
	rsaKey := kubetest.NewRSAKey()
	good := strings.Split(draft(key).Sign(), ".")
	other := strings.Split(draft(key).Sign(kubetest.Audience("other")), ".")
	both := keysOf(t, key.PublicPEM(), rsaKey.PublicPEM())

	for name, raw := range map[string]string{
		"a stranger's signature":     draft(stranger).Sign(),
		"claims of another token":    good[0] + "." + other[1] + "." + good[2],
		"header of another token":    b64(`{"alg":"ES256","kid":"x"}`) + "." + good[1] + "." + good[2],
		"signature cut short":        good[0] + "." + good[1] + "." + good[2][:len(good[2])-2],
		"signature of zeroes":        good[0] + "." + good[1] + "." + strings.Repeat("A", len(good[2])),
		"algorithm of the other key": b64(`{"alg":"RS256"}`) + "." + good[1] + "." + good[2],
		"another hash":               b64(`{"alg":"ES384"}`) + "." + good[1] + "." + good[2],
		"the stranger's key in the header": draft(stranger).Sign(func(d *kubetest.Draft) {
			d.Header = map[string]any{"jwk": jose.JSONWebKey{Key: stranger.Private.(crypto.Signer).Public()}}
		}),
		"a critical header that nobody knows": draft(key).Sign(func(d *kubetest.Draft) {
			d.Header = map[string]any{"crit": []string{"x"}, "x": 1}
		}),
		"the key id of a known key": draft(stranger).Sign(func(d *kubetest.Draft) { d.Key.ID = key.ID }),
	} {
		t.Run(name, func(t *testing.T) {
			if err := both.Verify(parsed(t, raw)); !errors.Is(err, ErrSignature) {
				t.Errorf("error %v, want ErrSignature", err)
			}
		})
	}
}

func TestVerifyWithOneOfSeveralKeys(t *testing.T) {
	key := kubetest.NewECDSAKey()
	keys := keysOf(t, kubetest.NewRSAKey().PublicPEM(), kubetest.NewECDSAKey().PublicPEM(), key.CertificatePEM())
	if err := keys.Verify(parsed(t, draft(key).Sign())); err != nil {
		t.Error(err)
	}
}

func TestNoKeysVerifyNothing(t *testing.T) {
	none := keysOf(t)
	if !none.Empty() || !(Keys{}).Empty() {
		t.Error("no keys are not empty")
	}
	if err := none.Verify(parsed(t, draft(kubetest.NewECDSAKey()).Sign())); !errors.Is(err, ErrSignature) {
		t.Errorf("error %v, want ErrSignature", err)
	}
	if keysOf(t, kubetest.NewECDSAKey().PublicPEM()).Empty() {
		t.Error("a key is empty")
	}
}

func pemOf(t *testing.T, blockType string, der []byte, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: blockType, Bytes: der}))
}

func TestParseKeysRefuses(t *testing.T) {
	key := kubetest.NewECDSAKey()
	edPublic, edPrivate, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	edDER, edErr := x509.MarshalPKIXPublicKey(edPublic)
	ecPrivate, ecErr := x509.MarshalPKCS8PrivateKey(key.Private)
	rsaKey := kubetest.NewRSAKey()
	pkcs1 := x509.MarshalPKCS1PublicKey(rsaKey.Private.(*rsa.PrivateKey).Public().(*rsa.PublicKey))

	for name, documents := range map[string][]string{
		"empty":                                {""},
		"garbage":                              {"garbage"},
		"PEM around garbage":                   {pemOf(t, "PUBLIC KEY", []byte("garbage"), nil)},
		"cut off":                              {key.PublicPEM()[:80]},
		"Ed25519 key":                          {pemOf(t, "PUBLIC KEY", edDER, edErr)},
		"Ed25519 certificate":                  {kubetest.Key{Algorithm: jose.EdDSA, Private: edPrivate}.CertificatePEM()},
		"private key":                          {pemOf(t, "PRIVATE KEY", ecPrivate, ecErr)},
		"RSA key of the old form":              {pemOf(t, "RSA PUBLIC KEY", pkcs1, nil)},
		"a good one and a bad one":             {key.PublicPEM(), "garbage"},
		"the good one is second in a document": {pemOf(t, "PUBLIC KEY", []byte("garbage"), nil) + key.PublicPEM()},
	} {
		t.Run(name, func(t *testing.T) {
			keys, err := ParseKeys(documents)
			if err == nil || !keys.Empty() {
				t.Errorf("keys: %t, error %v", !keys.Empty(), err)
			}
		})
	}
}

// An operator whose cluster really has such a key learns that it is the type.
func TestEd25519IsNamed(t *testing.T) {
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if _, err := ParseKeys([]string{pemOf(t, "PUBLIC KEY", der, err)}); !errors.Is(err, errNoKey) || !strings.Contains(err.Error(), "Ed25519") {
		t.Errorf("error %v", err)
	}
}

func TestOnlyTheFirstBlockOfADocumentCounts(t *testing.T) {
	first, second := kubetest.NewECDSAKey(), kubetest.NewECDSAKey()
	keys := keysOf(t, first.PublicPEM()+second.PublicPEM())
	if err := keys.Verify(parsed(t, draft(first).Sign())); err != nil {
		t.Errorf("the first key: %v", err)
	}
	if err := keys.Verify(parsed(t, draft(second).Sign())); !errors.Is(err, ErrSignature) {
		t.Errorf("the second key: %v, want ErrSignature", err)
	}
}
