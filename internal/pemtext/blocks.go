// Package pemtext reads certificates and public keys out of text as people have it: with
// the line feeds gone, escaped or doubled, indented, quoted, with notes in between. What
// it takes is what PEM readers of other programs read as well, or is written anew so that
// they do; what it cannot make out is an error that says where. It knows nothing of Vault
// and does no I/O.
package pemtext

import (
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// block is one thing between a BEGIN and its END.
type block struct {
	label string
	der   []byte
	place string
}

// Labels of what is read here.
const (
	certificate  = "CERTIFICATE"
	publicKey    = "PUBLIC KEY"
	rsaPublicKey = "RSA PUBLIC KEY"
)

var (
	// marker is the line that begins or ends a block, wherever it stands.
	marker = regexp.MustCompile(`-----(BEGIN|END)\s*([A-Z0-9#. \t]{0,64}?)\s*-----`)
	// almostMarker is what a person reads as one: with dashes that are too few, or that
	// some program made typographic, or in small letters.
	almostMarker = regexp.MustCompile(`(?i)[-‐-―−]{2,}\s*(BEGIN|END)\b`)
	// stray is base64 as certificates and keys begin, which has lost its markers.
	stray = regexp.MustCompile(`(MI[GHI]|MFkw|MHYw)[A-Za-z0-9+/]{40,}`)
	// header is a line as PEM may have between BEGIN and the data.
	header = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]*: `)
	// escapes are what is left of line feeds, and of slashes, where a text was put into
	// another once too often.
	escapes = regexp.MustCompile(`\\+([nrt/])`)
)

// spaceless are the labels by what is left of them where all white space is gone.
var spaceless = map[string]string{"PUBLICKEY": publicKey, "RSAPUBLICKEY": rsaPublicKey, "X509CERTIFICATE": certificate, "X509 CERTIFICATE": certificate}

// edge is where a marker stands in a text.
type edge struct {
	from, to int
	begins   bool
	label    string
}

// read finds all blocks of a text. None at all is no error.
func read(text string) ([]block, error) {
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return nil, errors.New("it is no text in UTF-8")
	}
	edges := edgesOf(text)
	if err := refusePrivate(text, edges); err != nil {
		return nil, err
	}
	if err := refuseAlmost(text, edges); err != nil {
		return nil, err
	}
	var blocks []block
	outside := 0 // where the text outside of blocks goes on
	for i := 0; i < len(edges); i += 2 {
		begin := edges[i]
		at := place(text, len(blocks)+1, begin.from)
		switch {
		case !begin.begins:
			return nil, fmt.Errorf("%s: END %s has no BEGIN", place(text, len(blocks)+1, begin.from), begin.label)
		case i+1 == len(edges):
			return nil, fmt.Errorf("%s: it is cut short, END %s is missing", at, begin.label)
		case edges[i+1].begins:
			return nil, fmt.Errorf("%s: END %s is missing before the next BEGIN", at, begin.label)
		case edges[i+1].label != begin.label:
			return nil, fmt.Errorf("%s: BEGIN %s is followed by END %s", at, begin.label, edges[i+1].label)
		}
		if err := refuseStray(text, outside, begin.from); err != nil {
			return nil, err
		}
		der, err := decode(text, begin.to, edges[i+1].from)
		if err != nil {
			return nil, fmt.Errorf("block %d, %w", len(blocks)+1, err)
		}
		if holdsPrivate(der) {
			return nil, fmt.Errorf("%s: %w", at, errPrivate)
		}
		blocks = append(blocks, block{label: begin.label, der: der, place: at})
		outside = edges[i+1].to
	}
	if len(blocks) > 0 {
		if err := refuseStray(text, outside, len(text)); err != nil {
			return nil, err
		}
	}
	return blocks, nil
}

func edgesOf(text string) (edges []edge) {
	for _, at := range marker.FindAllStringSubmatchIndex(text, -1) {
		label := strings.Join(strings.Fields(text[at[4]:at[5]]), " ")
		if known := spaceless[label]; known != "" {
			label = known
		}
		edges = append(edges, edge{from: at[0], to: at[1], begins: text[at[2]:at[3]] == "BEGIN", label: label})
	}
	return edges
}

// refusePrivate comes before all else: whatever more is wrong, a private key must not be
// stored where it can be read back, and whoever sent one should hear of it.
func refusePrivate(text string, edges []edge) error {
	for i, e := range edges {
		if strings.Contains(strings.ReplaceAll(e.label, " ", ""), "PRIVATEKEY") {
			return fmt.Errorf("%s: %w", place(text, i/2+1, e.from), errPrivate)
		}
	}
	return nil
}

// refuseAlmost refuses what would be passed over as a comment, and was meant as a block.
func refuseAlmost(text string, edges []edge) error {
	from := 0
	for _, next := range append(edges, edge{from: len(text)}) {
		if at := almostMarker.FindStringIndex(text[from:next.from]); at != nil {
			return fmt.Errorf("line %d: this is not spelled as PEM has it, -----BEGIN CERTIFICATE----- with five hyphens on each side", line(text, from+at[0]))
		}
		from = next.to
	}
	return nil
}

func refuseStray(text string, from, to int) error {
	if at := stray.FindStringIndex(text[from:to]); at != nil {
		return fmt.Errorf("line %d: there is base64 outside of BEGIN and END", line(text, from+at[0]))
	}
	return nil
}

// decode reads what stands between two markers. Its errors begin with the line.
func decode(text string, from, to int) ([]byte, error) {
	body := skipHeaders(text[from:to])
	offset := to - len(body)
	body = strings.NewReplacer(`"`, " ", `'`, " ").Replace(body)
	plain := escapes.ReplaceAllStringFunc(body, func(escape string) string {
		if strings.HasSuffix(escape, "/") {
			return "/"
		}
		return " "
	})
	plain = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || r == '\ufeff' || r == '\u200b' {
			return -1
		}
		return r
	}, plain)
	if plain == "" {
		return nil, fmt.Errorf("line %d: there is nothing between BEGIN and END", line(text, from))
	}
	if at := strings.IndexFunc(body, notBase64); at >= 0 {
		if strings.Contains(body, ": ") && !strings.Contains(text[from:to], "\n") {
			return nil, fmt.Errorf("line %d: line feeds are missing between its headers and the data", line(text, from))
		}
		r, _ := utf8.DecodeRuneInString(body[at:])
		return nil, fmt.Errorf("line %d: %q is no character of base64", line(text, offset+at), r)
	}
	der, err := base64.StdEncoding.DecodeString(plain)
	if err != nil {
		return nil, fmt.Errorf("line %d: its base64 is damaged or not whole", line(text, from))
	}
	return der, nil
}

// skipHeaders is what comes after the headers of a block, which few have. They end with
// an empty line.
func skipHeaders(body string) string {
	rest := strings.TrimLeft(body, " \t\r\n")
	if !header.MatchString(rest) {
		return body
	}
	for header.MatchString(rest) {
		_, after, found := strings.Cut(rest, "\n")
		if !found {
			return body
		}
		rest = strings.TrimLeft(after, " \t")
	}
	if !strings.HasPrefix(rest, "\n") && !strings.HasPrefix(rest, "\r\n") {
		return body
	}
	return rest
}

// notBase64 tells of what has no place between the markers, once escapes are read: a
// backslash is judged by the decoder.
func notBase64(r rune) bool {
	isBase64 := r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune(`+/=\`, r))
	return !isBase64 && !unicode.IsSpace(r) && r != '\ufeff' && r != '\u200b'
}

func place(text string, number, at int) string {
	return fmt.Sprintf("block %d, line %d", number, line(text, at))
}

func line(text string, at int) int { return strings.Count(text[:at], "\n") + 1 }
