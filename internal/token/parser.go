package token

import (
	"encoding/base64"
	"strings"
	"sync/atomic"

	"github.com/go-jose/go-jose/v4"
)

// Parser parses the tokens of one cluster. They all have the same header until the
// cluster's signing key changes, and reading it is half of the work, so the parser
// remembers the last one that was acceptable. It is safe for concurrent use, and its
// zero value is ready.
type Parser struct {
	last atomic.Pointer[acceptedHeader]
}

// acceptedHeader is a header that the JOSE library accepted.
type acceptedHeader struct {
	encoded string // as the first segment of a token
	keyID   string
}

// open takes the three segments apart, each by the rules of the JOSE library, and
// returns the payload. With a header that is known there is nothing left of those
// rules but that each segment is base64.
func (p *Parser) open(t *Unverified) (payload []byte, err error) {
	encoded, rest, _ := strings.Cut(t.raw, ".")
	if last := p.last.Load(); last != nil && last.encoded == encoded {
		t.keyID = last.keyID
		return decode(rest)
	}
	signed, err := t.signature()
	if err != nil {
		return nil, err
	}
	t.keyID = signed.Signatures[0].Header.KeyID
	p.last.Store(&acceptedHeader{encoded: strings.Clone(encoded), keyID: strings.Clone(t.keyID)})
	return signed.UnsafePayloadWithoutVerification(), nil
}

func decode(payloadAndSignature string) (payload []byte, err error) {
	encoded, signature, _ := strings.Cut(payloadAndSignature, ".")
	if _, err := base64.RawURLEncoding.DecodeString(signature); err != nil {
		return nil, err
	}
	return base64.RawURLEncoding.DecodeString(encoded)
}

// signature is the token as the JOSE library has it, for verification.
func (t *Unverified) signature() (_ *jose.JSONWebSignature, err error) {
	if t.signed == nil {
		t.signed, err = jose.ParseSignedCompact(t.raw, algorithms)
	}
	return t.signed, err
}

// LooksLike tells whether a text may be a JWT, be it a damaged one: nearly all
// begin with {" in base64.
func LooksLike(text string) bool {
	_, err := Parse(text)
	return err == nil || strings.HasPrefix(strings.TrimSpace(text), "eyJ")
}
