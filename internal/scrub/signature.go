package scrub

import (
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"strings"
	"unicode/utf8"
)

// signatureOf are the bytes of a token's signature, "" of what is no token. With them and
// the claims, which are no secret, whoever reads them has the token.
func signatureOf(token string) string {
	encoded := strings.TrimRight(token[strings.LastIndexByte(token, '.')+1:], "=")
	signature, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return ""
	}
	return string(signature)
}

// signatureWindow is how many bytes of a signature in a row a text may not have. 6 make a
// chance match as good as impossible, also in numbers, of which texts are full.
const signatureWindow = 6

// signature is where the bytes of a signature are: as numbers, in base64 of their own, or
// as bytes, of which some may be escaped.
func (x *index) signature(signature string, black []bool) (found []span) {
	if signature == "" {
		return nil
	}
	x.markLong(hex.EncodeToString([]byte(signature)), 2*signatureWindow, black)
	x.markLong(decimal(signature), 14, black) // 5 to 7 bytes, as a rule
	for _, code := range encoded(signature) {
		x.markLong(plain(code), window, black)
	}
	for _, latin1 := range []bool{false, true} {
		if latin1 && isASCII(x.text) {
			break
		}
		units := bytesOf(x.text, latin1)
		chars := make([]byte, len(units))
		for i, u := range units {
			chars[i] = u.char
		}
		common(string(chars), signature, signatureWindow, func(at int) {
			found = append(found, span{units[at].from, units[at+signatureWindow-1].to})
		})
	}
	return found
}

func isASCII(text string) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// markLong blackens what a text has in common with a form, from a length on.
func (x *index) markLong(form string, length int, black []bool) {
	common(x.chars, form, length, func(at int) {
		for i := range length {
			black[at+i] = true
		}
	})
}

// common calls yield with each place in a text from which on it has a number of bytes in
// common with another, in time that grows with both and not with their product.
func common(text, other string, length int, yield func(at int)) {
	if len(text) < length || len(other) < length {
		return
	}
	// The parts of a text that are in the other. Those of the text, which is the shorter one as
	// a rule, are kept, and those of the other looked for among them.
	shared := make(map[string]bool, len(text))
	for i := 0; i+length <= len(text); i++ {
		shared[text[i:i+length]] = false
	}
	for i := 0; i+length <= len(other); i++ {
		part := other[i : i+length]
		if known, ok := shared[part]; ok && !known {
			shared[part] = true
		}
	}
	for i := 0; i+length <= len(text); i++ {
		if shared[text[i:i+length]] {
			yield(i)
		}
	}
}

// bytesOf are the bytes that a text is about, where it writes bytes as they are, escaped
// as Go, C, Python or URLs do it, or as a list of 0x41. latin1 says that each character is
// a byte, as in JSON of bytes that were taken for text.
func bytesOf(text string, latin1 bool) []unit {
	units := make([]unit, 0, len(text))
	for i := 0; i < len(text); {
		char, length := text[i], 1
		switch {
		case char == '%':
			if escaped, ok := rawByte(text[i+1:], 2, 16); ok {
				char, length = escaped, 3
			}
		case char == '\\':
			char, length = escapedByte(text[i:])
		case strings.HasPrefix(text[i:], "0x"), strings.HasPrefix(text[i:], "0X"):
			if listed, digits := listedByte(text[i+2:]); digits > 0 {
				rest := strings.TrimLeft(text[i+2+digits:], ", \t\r\n")
				char, length = listed, len(text)-i-len(rest)
			}
		case strings.HasPrefix(text[i:], "&#"):
			if number, ok := entityByte(text[i:]); ok {
				char, length = number, strings.IndexByte(text[i:], ';')+1
			}
		case latin1 && char >= utf8.RuneSelf:
			if r, size := utf8.DecodeRuneInString(text[i:]); size > 1 && r <= 0xff {
				char, length = byte(r), size //nolint:gosec // it is below 0x100
			}
		}
		units = append(units, unit{char, i, i + length})
		i += length
	}
	return units
}

// escapedByte reads an escape that begins with one backslash or, where it was quoted
// again, with several.
func escapedByte(text string) (char byte, length int) {
	at := len(text) - len(strings.TrimLeft(text, `\`))
	if at == len(text) {
		return '\\', at
	}
	const letters, meant = `abfnrtv`, "\a\b\f\n\r\t\v"
	if i := strings.IndexByte(letters, text[at]); i >= 0 {
		return meant[i], at + 1
	}
	for _, digits := range []struct {
		before      string
		count, base int
	}{{"x", 2, 16}, {"u", 4, 16}, {"", 3, 8}} {
		rest, ok := strings.CutPrefix(text[at:], digits.before)
		if !ok {
			continue
		}
		if char, ok := rawByte(rest, digits.count, digits.base); ok {
			return char, at + len(digits.before) + digits.count
		}
	}
	if text[at] == '"' || text[at] == '\'' {
		return text[at], at + 1
	}
	return '\\', at
}

// rawByte reads a byte of a number of digits.
func rawByte(text string, digits, base int) (char byte, ok bool) {
	if len(text) < digits {
		return 0, false
	}
	n, err := strconv.ParseUint(text[:digits], base, 8)
	return byte(n), err == nil
}

// listedByte reads what comes after 0x, of which Go writes no leading zero.
func listedByte(text string) (char byte, digits int) {
	for _, digits := range []int{2, 1} {
		if char, ok := rawByte(text, digits, 16); ok {
			return char, digits
		}
	}
	return 0, 0
}

// entityByte reads &#65; and &#x41;.
func entityByte(text string) (char byte, ok bool) {
	const longest = 10
	end := strings.IndexByte(text[:min(len(text), longest)], ';')
	if end < 3 {
		return 0, false
	}
	base, number := 10, text[2:end]
	if number[0] == 'x' || number[0] == 'X' {
		base, number = 16, number[1:]
	}
	n, err := strconv.ParseUint(number, base, 8)
	return byte(n), err == nil
}
