package binding

import (
	"strings"
	"unicode/utf8"
)

// piece is part of a selector that was refused, read as leniently as people write.
type piece struct {
	kind pieceKind
	// text is as it was written, and value what a quoted text or a word says.
	text, value string
}

type pieceKind uint8

const (
	pieceWord pieceKind = iota
	pieceQuoted
	pieceSymbol // operators, and each parenthesis, bracket and comma alone
	pieceEnd
)

// quotes are what people, and what their editors make of it, put around texts.
var quotes = map[rune]string{
	'"': `"`, '`': "`", '\'': "'", '“': "”“\"", '”': "”", '„': "“”", '‘': "’‘", '’': "’", '«': "»", '»': "«",
}

const (
	lonePieces  = "()[]{},;"
	symbolRunes = "=!~<>&|≠:"
)

// pieces splits a selector. ok is false where a quote is not closed.
func pieces(text string) (found []piece, ok bool) {
	for text = strings.TrimLeft(text, " \t\r\n\u00a0"); text != ""; text = strings.TrimLeft(text, " \t\r\n\u00a0") {
		first, size := utf8.DecodeRuneInString(text)
		var p piece
		switch {
		case quotes[first] != "":
			if p, ok = quotedPiece(text, first, size); !ok {
				return nil, false
			}
		case strings.ContainsRune(lonePieces, first):
			p = piece{kind: pieceSymbol, text: text[:size]}
		case strings.ContainsRune(symbolRunes, first):
			length := strings.IndexFunc(text, func(r rune) bool { return !strings.ContainsRune(symbolRunes, r) })
			if length < 0 {
				length = len(text)
			}
			if strings.HasPrefix(text, "&&") || strings.HasPrefix(text, "||") {
				length = 2 // what follows is of the next operand
			}
			p = piece{kind: pieceSymbol, text: text[:length]}
		default:
			p = wordPiece(text)
		}
		found = append(found, p)
		text = text[len(p.text):]
	}
	return found, true
}

// quotedPiece reads a quoted text. A backslash before the quote that would end it keeps
// it from doing so where the text ends later; the grammar has no such thing.
func quotedPiece(text string, open rune, size int) (piece, bool) {
	plain, plainValue := -1, ""
	escaped := false
	for i, r := range text[size:] {
		if strings.ContainsRune(quotes[open], r) {
			end := size + i + utf8.RuneLen(r)
			if !escaped || open == '`' {
				return piece{kind: pieceQuoted, text: text[:end], value: text[size : size+i]}, true
			}
			if plain < 0 {
				plain, plainValue = end, text[size:size+i]
			}
		}
		escaped = r == '\\' && !escaped
	}
	if plain < 0 {
		return piece{}, false
	}
	return piece{kind: pieceQuoted, text: text[:plain], value: plainValue}, true
}

// wordPiece reads a word, with an index if it has one.
func wordPiece(text string) piece {
	length := 0
	for length < len(text) {
		r, size := utf8.DecodeRuneInString(text[length:])
		if r == '[' && length > 0 {
			closing := strings.IndexByte(text[length:], ']')
			if closing < 0 {
				break
			}
			length += closing + 1
			continue
		}
		partOfWord := r == ':' && length > 0 // in cluster:role, not in name: "x"
		if partOfWord {
			next := strings.IndexAny(text[length+1:], " \t\r\n\"'")
			partOfWord = next != 0 && length+1 < len(text)
		}
		if !partOfWord && (strings.ContainsRune(" \t\r\n\u00a0"+lonePieces+symbolRunes, r) || quotes[r] != "") {
			break
		}
		length += size
	}
	return piece{kind: pieceWord, text: text[:length], value: text[:length]}
}
