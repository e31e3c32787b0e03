package scrub

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"html"
	"net/url"
	"strconv"
	"strings"
)

// forms calls yield with each form in which a secret is looked for, of letters and
// digits alone. whole says that the form begins and ends with the secret: in base64 a
// secret within a longer text has neighbours in its first and last character, which are
// then left out. What was encoded twice has long runs of letters and digits, and is left
// out where the text has none and the secret is long: it is most of the work.
func forms(secret string, longRuns bool, yield func(form string, whole bool)) {
	yield(canonicalOf(secret), true)
	yield(canonicalOf(hex.EncodeToString([]byte(secret))), true)
	yield(decimal(secret), true)
	for _, once := range encoded(secret) {
		yield(plain(once), false)
		if !longRuns && len(secret) > shortText {
			continue
		}
		for _, alphabet := range []string{once, urlAlphabet.Replace(once)} {
			for _, twice := range encoded(alphabet) {
				yield(plain(twice), false)
			}
		}
	}
	yield(plain(base64.StdEncoding.EncodeToString([]byte(secret))), true)
}

var urlAlphabet = strings.NewReplacer("+", "-", "/", "_")

// encoded is a text in base64 as it looks at each of the three places that it may have
// within another, without the characters that depend on its neighbours.
func encoded(text string) []string {
	all := make([]string, 3)
	for before := range all {
		code := base64.RawStdEncoding.EncodeToString(append(make([]byte, before), text...))
		from, to := []int{0, 2, 3}[before], len(code)
		if (before+len(text))%3 != 0 {
			to--
		}
		if from < to {
			all[before] = code[from:to]
		}
	}
	return all
}

// decimal is a text as Go prints bytes, without what stands between them.
func decimal(text string) string {
	var digits []byte
	for i := range len(text) {
		digits = strconv.AppendUint(digits, uint64(text[i]), 10)
	}
	return string(digits)
}

// plain has the letters and digits of a text that has no escapes, in lower case.
func plain(text string) string {
	chars := make([]byte, 0, len(text))
	for i := range len(text) {
		if isAlnum(text[i]) {
			chars = append(chars, lower(text[i]))
		}
	}
	return string(chars)
}

// literals are the spellings of a secret that has signs in it, such as a password with
// few letters, or none.
func literals(secret string) []string {
	quotedJSON, err := json.Marshal(secret)
	if err != nil {
		return nil // cannot be: it is a string
	}
	quoted := strconv.Quote(secret)
	_, ofUser, _ := strings.Cut(url.UserPassword("", secret).String(), ":")
	return []string{
		secret, string(quotedJSON[1 : len(quotedJSON)-1]), quoted[1 : len(quoted)-1],
		url.QueryEscape(secret), url.PathEscape(secret), ofUser, html.EscapeString(secret),
	}
}
