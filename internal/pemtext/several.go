package pemtext

import (
	"encoding/base64"
	"strings"
)

// beginsPEM is how the base64 of PEM begins.
const beginsPEM = "LS0tLS1CRUdJTi"

// decodedAll is what a text is the base64 of, or what several are that stand one behind the
// other, as a query for more than one secret prints them.
func decodedAll(text string) ([]byte, error) {
	decoded, err := base64.StdEncoding.DecodeString(text)
	if err == nil || !strings.HasPrefix(text, beginsPEM) {
		return decoded, err
	}
	decoded = nil
	for part := range strings.SplitSeq(text[len(beginsPEM):], beginsPEM) {
		one, err := base64.StdEncoding.DecodeString(beginsPEM + part)
		if err != nil {
			return nil, err
		}
		decoded = append(append(decoded, one...), '\n')
	}
	return decoded, nil
}
