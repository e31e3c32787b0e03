package scrub

// longRun and shortText say which texts cannot hold a token: names and UIDs have short
// runs of letters and digits, of ASCII, and a whole token is long. A longer run in a name is
// made of words, such as notificationservice, and has next to no digits; what is left of a
// token, however it is encoded, has capitals or many digits.
const (
	longRun    = 16
	shortText  = 128
	digitEvery = 8 // letters, at most, in a word
)

// Holds tells whether a text of a good answer has a part of a secret in it. A secret
// that is no token may be made of words, and so counts only as a whole.
func (s *Scrubber) Holds(text string) bool {
	short := len(text) <= shortText && isASCII(text)
	if s == nil || short && !hasLongRun(text) {
		return false
	}
	words := short && hasWordsOnly(text)
	var x *index // is dear, and most names need none
	for _, known := range s.secrets {
		if known.random && words {
			continue
		}
		if x == nil {
			x = newIndex(text[:min(len(text), maxText)])
			x.longRuns = x.longRuns && !short // a short one holds no token that was encoded twice
		}
		if known.random && len(x.find(known)) > 0 || !known.random && x.hasWhole(known.text) {
			return true
		}
	}
	return false
}

func hasLongRun(text string) bool {
	return anyRun(text, func(run string) bool { return len(run) > longRun })
}

// hasWordsOnly tells whether each long run of letters and digits in a text is made of words.
func hasWordsOnly(text string) bool {
	return !anyRun(text, func(run string) bool {
		digits := 0
		for i := range len(run) {
			switch {
			case run[i] >= 'A' && run[i] <= 'Z':
				return len(run) > longRun
			case run[i] <= '9':
				digits++
			}
		}
		return len(run) > longRun && digits*digitEvery > len(run)
	})
}

// anyRun tells whether any run of letters and digits in a text is such a one.
func anyRun(text string, is func(run string) bool) bool {
	from := 0
	for i := range len(text) {
		if !isAlnum(text[i]) {
			if is(text[from:i]) {
				return true
			}
			from = i + 1
		}
	}
	return is(text[from:])
}
