package consulacl

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// Keyed makes the accessors and secrets of the tokens of one mount, and knows them again:
// half of each is a signature of the other half with the mount's key, and the accessor
// follows from the secret. So nothing has to be stored to tell the mount's own tokens from
// those of others, and a secret that somebody made up is never asked about.
//
// Who does not know the key guesses 122 bits, as of any random UUID.
type Keyed struct{ key []byte }

// KeySize is how long a key is, in bytes.
const KeySize = 32

// What is signed: an accessor, which many may know, is never a secret.
const (
	signedSecret   = "secret"
	signedAccessor = "accessor"
	derived        = "accessor of secret"
)

// NewKeyed are those of a key.
func NewKeyed(key []byte) Keyed { return Keyed{key: key} }

// New is a new pair.
func (k Keyed) New() (accessor, secret string) {
	var b [16]byte
	_, _ = rand.Read(b[:8]) // it never fails
	secret = k.signed(signedSecret, b)
	return k.AccessorOf(secret), secret
}

// OwnsSecret tells whether a secret was made with the key.
func (k Keyed) OwnsSecret(secret string) bool { return k.owns(signedSecret, secret) }

// OwnsAccessor tells whether an accessor was made with the key.
func (k Keyed) OwnsAccessor(accessor string) bool { return k.owns(signedAccessor, accessor) }

// AccessorOf is the accessor of a secret that was made with the key.
func (k Keyed) AccessorOf(secret string) string {
	var b [16]byte
	copy(b[:8], k.mac(derived, []byte(strings.ToLower(secret))))
	return k.signed(signedAccessor, b)
}

func (k Keyed) owns(what, id string) bool {
	plain, err := hex.DecodeString(strings.ReplaceAll(id, "-", ""))
	if err != nil || len(plain) != 16 || len(k.key) != KeySize {
		return false
	}
	var b [16]byte
	copy(b[:8], plain)
	return hmac.Equal([]byte(k.signed(what, b)), []byte(strings.ToLower(id)))
}

// signed fills in the second half, and makes a UUID of both.
func (k Keyed) signed(what string, b [16]byte) string {
	b[6] = b[6]&0x0f | 0x40
	copy(b[8:], k.mac(what, b[:8]))
	b[8] = b[8]&0x3f | 0x80
	return FormatUUID(b)
}

func (k Keyed) mac(what string, of []byte) []byte {
	mac := hmac.New(sha256.New, k.key)
	mac.Write([]byte(what + "\x00"))
	mac.Write(of)
	return mac.Sum(nil)[:8]
}
