// Package scrub takes secrets out of texts: whatever a peer answered may repeat what
// was sent to it. It knows the secrets, and looks for them however they were encoded
// on the way; it knows nothing of who asks, nor where a text goes.
//
// Text and secrets are compared in one canonical form, which has the letters and
// digits only, in lower case, with escapes of URLs, JSON, Go and HTML undone: so white
// space, line wraps, quotes and markup within a secret hide nothing, nor do the two
// alphabets of base64. A secret is looked for as it is, in base64 once or twice, in
// hexadecimal, and in decimal bytes; the signature of a token also as the bytes that it
// is, which are as good as the token. What is not attempted: compression, encryption,
// base32, quoted-printable, a change of case before another encoding, reversed text,
// rot13, and text that was put between each few characters of a secret.
package scrub

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// Redacted stands where a secret was.
const Redacted = "[redacted]"

// window is how many letters and digits in a row a text may not have in common with a
// secret. 8 make a chance match as good as impossible.
const window = 8

// maxText bounds a text, in bytes; what comes after is cut off.
const maxText = 8 << 10

// tokens are JSON Web Tokens, and parts that begin as one does, whoever they belong to.
var tokens = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{17,}(\.[A-Za-z0-9_-]*)*`)

// blackened is what Body left of a secret, and of tokens of others.
var blackened = regexp.MustCompile(`\*(?:[*.+/=_-]|\s\*){7,}`)

// Scrubber knows some secrets. It is immutable, and nil knows none.
type Scrubber struct {
	secrets []secret
}

type secret struct {
	text string
	// random says that no part of it is a word that others use.
	random bool
}

// New knows the secrets that are not empty.
func New(secrets ...string) *Scrubber { return (*Scrubber)(nil).And(secrets...) }

// And is a Scrubber that knows more.
func (s *Scrubber) And(secrets ...string) *Scrubber {
	more := &Scrubber{}
	if s != nil {
		more.secrets = append(make([]secret, 0, len(s.secrets)+len(secrets)), s.secrets...)
	}
	for _, text := range secrets {
		if text = strings.TrimSpace(text); text != "" && !more.knows(text) {
			more.secrets = append(more.secrets, secret{text: text, random: isToken(text)})
		}
	}
	return more
}

func (s *Scrubber) knows(text string) bool {
	return slices.ContainsFunc(s.secrets, func(known secret) bool { return known.text == text })
}

// Text is a text without the secrets, and without tokens of others. It is bounded, and
// cut before a word and not within.
func (s *Scrubber) Text(text string) string {
	text = Cut(text, maxText)
	var out strings.Builder
	done := 0
	for _, found := range s.all(text) {
		out.WriteString(text[done:found.from])
		out.WriteString(Redacted)
		done = found.to
	}
	out.WriteString(text[done:])
	return blackened.ReplaceAllString(out.String(), Redacted)
}

// all is where the secrets are, and tokens of others: they may have parts in common.
func (s *Scrubber) all(text string) []span {
	found := s.find(text)
	for _, at := range tokens.FindAllStringIndex(text, -1) {
		found = append(found, span{at[0], at[1]})
	}
	return joined(found)
}

// Error is an error whose text is fit to be read. What it is about can be asked for with
// errors.Is and errors.As, and its text as it was cannot. The text is made when somebody
// wants to read it: an API server that is down makes thousands of which nobody reads one.
func (s *Scrubber) Error(err error) error {
	return &said{text: sync.OnceValue(func() string { return s.Text(err.Error()) }), err: err}
}

type said struct {
	text func() string
	err  error
}

func (s *said) Error() string        { return s.text() }
func (s *said) Is(target error) bool { return errors.Is(s.err, target) }
func (s *said) As(target any) bool   { return errors.As(s.err, target) }

// TokensIn are what looks like a token in a text that is for something else.
func TokensIn(text string) []string { return tokens.FindAllString(text, -1) }

// Body is the body of an answer without the secrets, of the same length, and with
// punctuation where it was: a document can be decoded still.
func (s *Scrubber) Body(body []byte) []byte {
	body = slices.Clone(body)
	text := string(body)
	black := func(from, to int) {
		for i := from; i < to; i++ {
			if isAlnum(body[i]) || body[i] == '%' || body[i] >= utf8.RuneSelf {
				body[i] = '*'
			}
		}
	}
	for _, found := range s.all(text) {
		black(found.from, found.to)
	}
	return body
}

// Signatures knows of each token its signature alone, which no other token has in
// common with it; of other secrets, what s knows.
func (s *Scrubber) Signatures() *Scrubber {
	signatures := &Scrubber{}
	if s == nil {
		return signatures
	}
	for _, known := range s.secrets {
		if known.random {
			known.text = known.text[strings.LastIndexByte(known.text, '.')+1:]
		}
		if !signatures.knows(known.text) {
			signatures.secrets = append(signatures.secrets, known)
		}
	}
	return signatures
}

// isToken tells whether a secret is a whole token: eyJ….….…, of which the second and the
// third part are not empty.
func isToken(secret string) bool {
	header, rest, _ := strings.Cut(secret, ".")
	claims, signature, _ := strings.Cut(rest, ".")
	return strings.HasPrefix(header, "eyJ") && claims != "" && signature != "" &&
		isBase64URL(header) && isBase64URL(claims) && isBase64URL(signature)
}

// isBase64URL looks at each byte of the tokens of each request, so it looks it up.
func isBase64URL(text string) bool {
	for i := range len(text) {
		if !base64URL[text[i]] {
			return false
		}
	}
	return true
}

var base64URL = func() (alphabet [256]bool) {
	for c := range alphabet {
		alphabet[c] = isAlnum(byte(c)) || c == '-' || c == '_'
	}
	return alphabet
}()

// Cut bounds a text, and takes away the word that would be cut in two: the half of a
// secret is not known for what it is.
func Cut(text string, maxBytes int) string {
	if len(text) <= maxBytes {
		return text
	}
	const longestWord = 512
	end := maxBytes
	for end > 0 && maxBytes-end < longestWord && text[end-1] > ' ' && text[end-1] < 0x7f {
		end--
	}
	return strings.ToValidUTF8(text[:end], "") + "…"
}

// Bounded is a text of at most maxBytes, and says so where it is cut. Secrets are taken
// out before, since half of one is not known for what it is.
func Bounded(text string, maxBytes int) string {
	if len(text) <= maxBytes {
		return text
	}
	return strings.ToValidUTF8(text[:maxBytes], "") + "…"
}

// Few names the first few of a list.
func Few(list []string) string {
	const shown = 3
	if len(list) <= shown {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(slices.Clone(list[:shown]), ", "), len(list)-shown)
}
