package pemtext

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"strings"
	"unicode"
)

// ErrEncryptedKey is about a key that a passphrase is needed for.
var ErrEncryptedKey = errors.New("the private key is encrypted; openssl pkey -in FILE writes it without its passphrase")

// ErrNoPrivateKey is about a text that holds no private key that can be read.
var ErrNoPrivateKey = errors.New("there is no private key in it that can be read; give one in PEM form, RSA or ECDSA")

// PrivateKey returns the one private key of a text as it can be stored: in PKCS #8, whatever
// else stands beside it, such as the parameters of its curve. The text may be the base64 of
// the whole, as in a kubeconfig, and have \n for line feeds. No error holds any of it.
func PrivateKey(text string) (string, error) {
	text = strings.ReplaceAll(strings.ReplaceAll(text, `\r`, ""), `\n`, "\n")
	if !strings.Contains(text, "-----BEGIN") {
		packed := strings.Map(func(r rune) rune {
			if unicode.IsSpace(r) {
				return -1
			}
			return r
		}, text)
		decoded, err := base64.StdEncoding.DecodeString(packed)
		if err != nil {
			return "", ErrNoPrivateKey
		}
		text = string(decoded)
	}
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return "", ErrNoPrivateKey
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
			return "", ErrEncryptedKey
		}
		if key := privateKeyOf(block.Bytes); key != nil {
			der, err := x509.MarshalPKCS8PrivateKey(key)
			if err != nil {
				return "", ErrNoPrivateKey
			}
			return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), nil
		}
	}
}

func privateKeyOf(der []byte) any {
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return key
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key
	}
	return nil
}
