package scrub

import (
	"strconv"
	"strings"
)

// unit is a letter or digit of a text in its canonical form, and the bytes of the text
// that it stands for.
type unit struct {
	char     byte
	from, to int
}

func isAlnum(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// canonical is a text in its canonical form. An escape is the character that it stands
// for.
func canonical(text string) []unit {
	units := make([]unit, 0, len(text))
	for i := 0; i < len(text); {
		char, length := text[i], 1
		switch char {
		case '%':
			char, length = percent(text[i:])
		case '\\':
			char, length = backslash(text[i:])
		case '&':
			char, length = entity(text[i:])
		}
		if isAlnum(char) {
			units = append(units, unit{lower(char), i, i + length})
		}
		i += length
	}
	return units
}

func canonicalOf(text string) string {
	if !strings.ContainsAny(text, `%\&`) {
		return plain(text)
	}
	units := canonical(text)
	chars := make([]byte, len(units))
	for i, u := range units {
		chars[i] = u.char
	}
	return string(chars)
}

// percent reads %41, and %2541, which was encoded twice.
func percent(text string) (char byte, length int) {
	at := 1
	for strings.HasPrefix(text[at:], "25") && len(text) >= at+4 {
		at += 2
	}
	if char, ok := hexByte(text[at:], 2); ok {
		return char, at + 2
	}
	return 0, 1
}

// backslash reads the escapes of JSON and Go, also of a text that was quoted twice and
// so has more than one backslash.
func backslash(text string) (char byte, length int) {
	at := len(text) - len(strings.TrimLeft(text, `\`))
	if at == len(text) {
		return 0, at
	}
	switch text[at] {
	case 'n', 'r', 't', 'b', 'f', 'v', 'a':
		return 0, at + 1
	case 'x':
		if char, ok := hexByte(text[at+1:], 2); ok {
			return char, at + 3
		}
	case 'u':
		if char, ok := hexByte(text[at+1:], 4); ok {
			return char, at + 5
		}
	case '0', '1':
		if len(text) >= at+3 {
			if n, err := strconv.ParseUint(text[at:at+3], 8, 7); err == nil {
				return byte(n), at + 3
			}
		}
	}
	return 0, at
}

// entity reads &#65; and &#x41;, and takes &quot; for no letters.
func entity(text string) (char byte, length int) {
	const longest = 10
	end := strings.IndexByte(text[:min(len(text), longest)], ';')
	if end < 2 {
		return 0, 1
	}
	number, numeric := strings.CutPrefix(text[1:end], "#")
	if !numeric {
		for i := range len(number) {
			if !isAlnum(number[i]) {
				return 0, 1
			}
		}
		return 0, end + 1
	}
	base := 10
	if trimmed := strings.TrimLeft(number, "xX"); trimmed != number {
		number, base = trimmed, 16
	}
	n, err := strconv.ParseUint(number, base, 7)
	if err != nil {
		return 0, end + 1
	}
	return byte(n), end + 1
}

// hexByte reads a number of digits; one beyond ASCII is 0, which is no letter.
func hexByte(text string, digits int) (char byte, ok bool) {
	if len(text) < digits {
		return 0, false
	}
	n, err := strconv.ParseUint(text[:digits], 16, 32)
	if err != nil {
		return 0, false
	}
	if n > 0x7f {
		n = 0
	}
	return byte(n), true //nolint:gosec // it is below 0x80
}
