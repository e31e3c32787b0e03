package scrub

import (
	"cmp"
	"slices"
	"strings"
)

// span is a part of a text, in bytes.
type span struct{ from, to int }

// index finds forms of secrets in a text. The text is indexed and not the secret, since
// it is the shorter one as a rule, and the forms of a secret are many.
type index struct {
	text  string
	units []unit
	chars string
	// longRuns tells whether there are many letters and digits with nothing in between.
	longRuns bool
	// at is where each window of the canonical text begins, the last of its kind;
	// before is the one before that, or -1.
	at     map[uint64]int
	before []int
	// maybe has a bit for each window that there may be: most of those of a secret
	// are told apart by it.
	maybe [1 << 9]uint64
}

func newIndex(text string) *index {
	x := &index{text: text, units: canonical(text), longRuns: hasLongRun(text)}
	chars := make([]byte, len(x.units))
	for i, u := range x.units {
		chars[i] = u.char
	}
	x.chars = string(chars)
	x.at, x.before = map[uint64]int{}, make([]int, len(chars))
	var key uint64 // a window is 8 characters, which make a number
	for i := range len(chars) {
		key = key<<8 | uint64(chars[i])
		if i < window-1 {
			continue
		}
		at := i - window + 1
		x.before[at] = -1
		if last, ok := x.at[key]; ok {
			x.before[at] = last
		}
		x.at[key] = at
		bit := bitOf(key)
		x.maybe[bit>>6] |= 1 << (bit & 63)
	}
	return x
}

func bitOf(key uint64) uint64 { return key * 0x9e3779b97f4a7c15 >> 49 }

// find is where the secrets are in a text, in order, without overlaps.
func (s *Scrubber) find(text string) []span {
	if s == nil || len(s.secrets) == 0 || text == "" {
		return nil
	}
	x := newIndex(text)
	var found []span
	for _, known := range s.secrets {
		found = append(found, x.find(known)...)
	}
	return joined(found)
}

// find is where one secret is, in any form. Windows that it has in common with one that
// was looked for before are not found again.
func (x *index) find(known secret) (found []span) {
	black := make([]bool, len(x.units)) // which units are part of the secret
	forms(known.text, x.longRuns, func(form string, whole bool) { x.mark(form, whole, black) })
	if known.random {
		found = x.signature(signatureOf(known.text), black)
	} else {
		found = x.literal(known.text)
	}
	for i := 0; i < len(black); i++ {
		if !black[i] {
			continue
		}
		last := i
		for last+1 < len(black) && black[last+1] {
			last++
		}
		found = append(found, span{x.units[i].from, x.units[last].to})
		i = last
	}
	return found
}

// mark blackens what a text has in common with a form of a secret.
func (x *index) mark(form string, whole bool, black []bool) {
	if len(form) < window {
		x.markShort(form, whole, black)
		return
	}
	var key uint64
	for i := range len(form) {
		key = key<<8 | uint64(form[i])
		if bit := bitOf(key); i < window-1 || x.maybe[bit>>6]&(1<<(bit&63)) == 0 {
			continue
		}
		at, ok := x.at[key]
		delete(x.at, key) // lest a text and a secret of one letter take a square of time
		for ; ok && at >= 0; at = x.before[at] {
			for j := range window {
				black[at+j] = true
			}
		}
	}
}

// A form of fewer characters than a window is looked for as a whole: anywhere, or, if it
// is so short that a word may have it, where it is a word.
const (
	anywhere = 6
	asWord   = 2
)

func (x *index) markShort(form string, whole bool, black []bool) {
	if len(form) < asWord || !whole && len(form) < anywhere {
		return
	}
	for from := 0; ; {
		at := strings.Index(x.chars[from:], form)
		if at < 0 {
			return
		}
		at += from
		if len(form) >= anywhere || x.isWord(at, at+len(form)-1) {
			for i := range len(form) {
				black[at+i] = true
			}
		}
		from = at + 1
	}
}

// isWord tells whether neither neighbour of some units is a letter or digit.
func (x *index) isWord(first, last int) bool {
	return (first == 0 || x.units[first-1].to < x.units[first].from) &&
		(last == len(x.units)-1 || x.units[last].to < x.units[last+1].from)
}

// literal finds the spellings of a secret that is not made of letters and digits.
func (x *index) literal(secret string) (found []span) {
	const shortest = 3
	for _, spelling := range literals(secret) {
		if len(spelling) < shortest || plain(spelling) == spelling {
			continue
		}
		for from := 0; ; {
			at := strings.Index(x.text[from:], spelling)
			if at < 0 {
				break
			}
			found = append(found, span{from + at, from + at + len(spelling)})
			from += at + len(spelling)
		}
	}
	return found
}

// hasWhole tells whether a text has a secret in it, from its first to its last
// character.
func (x *index) hasWhole(secret string) bool {
	has := false
	forms(secret, x.longRuns, func(form string, _ bool) {
		has = has || len(form) >= window && strings.Contains(x.chars, form)
	})
	return has
}

// joined puts spans in order and makes one of those that overlap or have no more than a
// few signs between them.
func joined(found []span) []span {
	const apart = 2
	slices.SortFunc(found, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	var all []span
	for _, next := range found {
		if n := len(all); n > 0 && next.from <= all[n-1].to+apart {
			all[n-1].to = max(all[n-1].to, next.to)
			continue
		}
		all = append(all, next)
	}
	return all
}
