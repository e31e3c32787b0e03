package faults

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/test/testbed"
)

// forger makes tokens that nobody signed whom the cluster believes. No two are
// alike.
type forger struct {
	genuine string // of the service account that can log in
	keyID   string // of the cluster's signing key
	public  string // that key's public half in PEM, which anybody can have
	own     *rsa.PrivateKey
	kinds   []forgery
}

// forgery is a kind of forged token, and in how many of every hundred.
type forgery struct {
	name   string
	share  int
	make   func() string
	parses bool // well-formed enough to be worth a review
}

func newForger(t *testing.T) *forger {
	t.Helper()
	ownPEM, _, err := testbed.NewSigningKey()
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode([]byte(ownPEM))
	own, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	f := &forger{genuine: kube.newToken(t), public: kube.SigningPublicKeyPEM, own: own}
	f.keyID = headerOf(t, f.genuine)["kid"].(string)
	f.kinds = []forgery{
		{"random", 16, rand.Text, false},
		{"random with dots", 10, func() string { return random(60) + "." + random(600) + "." + random(256) }, false},
		{"wrong key", 10, f.wrongKey, true},
		{"own key in the header", 4, f.embeddedKey, true},
		{"none", 12, func() string { return f.unsigned(fields{"alg": "none"}, f.claims()) + "." }, false},
		{"HS256 with the public key", 12, f.publicKeyAsSecret, false},
		{"1 MiB", 1, f.makeHuge(), false},
		{"deep JSON", 9, f.deep, true},
		{"path in claims", 10, func() string { return f.claiming("../../../../apis/x", "../../secrets/y?watch=1#") }, true},
		{"CRLF in claims", 10, func() string { return f.claiming("a\r\nX-Injected: yes", "b\r\n\r\nGET / HTTP/1.1") }, true},
		{"genuine with another signature", 6, f.tampered, true},
	}
	return f
}

// pick spreads the kinds evenly over the numbers.
func (f *forger) pick(n int64) forgery {
	at := int(n * 37 % 100) // 37 and 100 have no divisor in common
	for _, kind := range f.kinds {
		if at -= kind.share; at < 0 {
			return kind
		}
	}
	panic("the shares do not add up to 100")
}

// claims are those of a good token of the service account, as everybody in its
// namespace can know them.
func (f *forger) claims() fields { return f.claimsOf(kube.namespace, kube.account) }

func (f *forger) claimsOf(namespace, name string) fields {
	now := time.Now()
	return fields{
		"iss": kube.Issuer, "aud": []string{audience}, "jti": rand.Text(),
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		"sub": "system:serviceaccount:" + namespace + ":" + name,
		"kubernetes.io": fields{
			"namespace":      namespace,
			"serviceaccount": fields{"name": name, "uid": "7b7ad5a1-0c0a-4a2e-9b0e-0f5a6f3b1c2d"},
		},
	}
}

func (f *forger) header() fields { return fields{"alg": "RS256", "kid": f.keyID} }

func (f *forger) unsigned(header, claims fields) string {
	return segment(header) + "." + segment(claims)
}

func (f *forger) wrongKey() string { return f.sign(f.unsigned(f.header(), f.claims())) }

func (f *forger) sign(input string) string {
	digest := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPKCS1v15(nil, f.own, crypto.SHA256, digest[:])
	if err != nil {
		panic(err) // the key is good
	}
	return input + "." + encode(signature)
}

// embeddedKey asks to be verified with the key that it brings along.
func (f *forger) embeddedKey() string {
	header := f.header()
	header["jwk"] = fields{
		"kty": "RSA", "n": encode(f.own.N.Bytes()), "e": encode(big.NewInt(int64(f.own.E)).Bytes()),
	}
	return f.sign(f.unsigned(header, f.claims()))
}

func (f *forger) publicKeyAsSecret() string {
	input := f.unsigned(fields{"alg": "HS256", "kid": f.keyID}, f.claims())
	mac := hmac.New(sha256.New, []byte(f.public))
	mac.Write([]byte(input))
	return input + "." + encode(mac.Sum(nil))
}

// makeHuge prepares tokens as long as a string in a request to Vault may be. Making
// each from nothing would load the machine more than refusing it does.
func (f *forger) makeHuge() func() string {
	claims := f.claims()
	claims["padding"] = strings.Repeat("x", 700<<10)
	token := f.unsigned(f.header(), claims) + "."
	token += strings.Repeat("A", 1<<20-len(token)-len(rand.Text()))
	return func() string { return token + rand.Text() }
}

// deep nests as deep as the bound on a token's length allows.
func (f *forger) deep() string {
	claims := f.claims()
	claims["deep"] = json.RawMessage(strings.Repeat("[", 5000) + strings.Repeat("]", 5000))
	return f.unsigned(f.header(), claims) + "." + random(256)
}

func (f *forger) claiming(namespace, name string) string {
	header := f.header()
	header["kid"] = name
	return f.unsigned(header, f.claimsOf(namespace, name)) + "." + random(256)
}

func (f *forger) tampered() string {
	return f.genuine[:strings.LastIndexByte(f.genuine, '.')+1] + random(256)
}

func headerOf(t *testing.T, token string) (header fields) {
	t.Helper()
	first, _, _ := strings.Cut(token, ".")
	content, err := base64.RawURLEncoding.DecodeString(first)
	if err == nil {
		err = json.Unmarshal(content, &header)
	}
	if err != nil {
		t.Fatal(err)
	}
	return header
}

func segment(value any) string {
	encoded, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Errorf("what a forged token holds: %w", err))
	}
	return encode(encoded)
}

func encode(content []byte) string { return base64.RawURLEncoding.EncodeToString(content) }

func random(bytes int) string {
	content := make([]byte, bytes)
	_, _ = rand.Read(content) // never fails
	return encode(content)
}
