package binding

import (
	"slices"
	"strings"
)

// collision is a name that two different service accounts get from one template.
type collision struct {
	name string
	// first and second are the values of the template's attributes, in their order.
	first, second []string
}

// collide finds a name that the parts give for two different sets of values, nil if
// there is none. Each part is a language, and values of the parts joined are one text;
// two sets give the same if that text can be taken apart in two ways. That is asked of
// all texts at once: two readers go over a text side by side, each at a place in a part,
// and a collision is a text that both read to the end after they were in different
// parts once. A shortest one is found.
func collide(parts []language, allowed []byte) *collision {
	if len(parts) == 0 {
		return nil
	}
	start := pair{}
	came := map[pair]step{start: {}}
	for queue := []pair{start}; len(queue) > 0; queue = queue[1:] {
		now := queue[0]
		if now.diverged && now.a.atEnd(parts) && now.b.atEnd(parts) {
			return now.text(parts, came)
		}
		for _, char := range allowed {
			for _, then := range now.next(parts, char) {
				if _, known := came[then]; !known {
					came[then] = step{from: now, char: char}
					queue = append(queue, then)
				}
			}
		}
	}
	return nil
}

// pair is where two readers of one text are.
type pair struct {
	a, b reader
	// diverged tells whether they were in different parts once.
	diverged bool
}

// step is how a pair was come to first.
type step struct {
	from pair
	char byte
}

func (p pair) next(parts []language, char byte) []pair {
	var pairs []pair
	for _, a := range p.a.next(parts, char) {
		for _, b := range p.b.next(parts, char) {
			pairs = append(pairs, pair{a: a, b: b, diverged: p.diverged || a.part != b.part})
		}
	}
	return pairs
}

// text makes a collision of the way that led to a pair.
func (p pair) text(parts []language, came map[pair]step) *collision {
	var text []byte
	var as, bs []int
	for at := p; at != (pair{}); at = came[at].from {
		text, as, bs = append(text, came[at].char), append(as, at.a.part), append(bs, at.b.part)
	}
	slices.Reverse(text)
	slices.Reverse(as)
	slices.Reverse(bs)
	return taken(parts, text, as, bs)
}

// reader is a place in a text that is read as one part after the other.
type reader struct {
	part, state int
}

func (r reader) atEnd(parts []language) bool {
	return r.part == len(parts)-1 && parts[r.part].accepts(r.state)
}

// next are the places after one more character: further in the same part, or, where
// that may end, at the first character of the next. No part is empty.
func (r reader) next(parts []language, char byte) []reader {
	var places []reader
	if state := parts[r.part].step(r.state, char); state != dead {
		places = append(places, reader{r.part, state})
	}
	if parts[r.part].accepts(r.state) && r.part+1 < len(parts) {
		if state := parts[r.part+1].step(0, char); state != dead {
			places = append(places, reader{r.part + 1, state})
		}
	}
	return places
}

// taken makes a collision of a text and the parts that each reader took its characters
// for. Letters that are of an attribute to both are made different ones, so that a
// human sees which is which.
func taken(parts []language, text []byte, as, bs []int) *collision {
	letter := byte('a')
	for i := range text {
		if isLetter(text[i]) && parts[as[i]].anyLetter() && parts[bs[i]].anyLetter() && letter <= 'z' {
			text[i] = letter
			letter++
		}
	}
	values := func(partOf []int) []string {
		joined := make([]string, len(parts))
		for i, part := range partOf {
			joined[part] += string(text[i])
		}
		var of []string
		for i, part := range parts {
			if !part.isLiteral() {
				of = append(of, joined[i])
			}
		}
		return of
	}
	first, second := values(as), values(bs)
	if len(first[0]) > len(second[0]) {
		first, second = second, first
	}
	return &collision{name: string(text), first: first, second: second}
}

// dead is the state from which nothing is read any more.
const dead = -1

// language is what a part of a name can be: a literal, or the values of an attribute.
// It is a deterministic automaton that begins in the state 0.
type language struct {
	literal string // if it is not empty, nothing else counts
	shape   shape
}

// shape is what values of attributes look like, after Kubernetes' own rules. Names have
// no upper-case letters: values with any are refused where a name is computed.
type shape uint8

const (
	shapeAny       shape = iota // any text, not empty
	shapeLabel                  // a DNS label
	shapeSubdomain              // DNS labels, joined with dots
	shapeValue                  // the value of a label
	shapeUID                    // a UUID
)

func literalPart(text string) language { return language{literal: text} }

func (l language) isLiteral() bool { return l.literal != "" }

// anyLetter tells whether one letter is as good as another.
func (l language) anyLetter() bool { return !l.isLiteral() && l.shape != shapeUID }

// The states of shapes: at the beginning, after a letter or digit, after another
// character. In a UUID the state is how much was read.
const (
	stateBegin = iota
	stateWord
	stateMark
)

const uidLength = 36

func (l language) accepts(state int) bool {
	switch {
	case l.isLiteral():
		return state == len(l.literal)
	case l.shape == shapeUID:
		return state == uidLength
	}
	return state == stateWord
}

func (l language) step(state int, char byte) int {
	switch {
	case l.isLiteral():
		if state < len(l.literal) && l.literal[state] == char {
			return state + 1
		}
		return dead
	case l.shape == shapeUID:
		return stepUID(state, char)
	case l.shape == shapeAny, isServiceEdge(rune(char)):
		return stateWord
	case state == stateBegin:
		return dead
	case char == '-':
		if l.shape == shapeSubdomain && state == stateDot {
			return dead
		}
		return stateMark
	case char == '.' && l.shape == shapeSubdomain:
		if state != stateWord {
			return dead
		}
		return stateDot
	case (char == '.' || char == '_') && l.shape == shapeValue:
		return stateMark
	}
	return dead
}

// stateDot is after a dot, where another label begins.
const stateDot = stateMark + 1

func stepUID(state int, char byte) int {
	dash := state == 8 || state == 13 || state == 18 || state == 23
	switch {
	case state == uidLength, dash != (char == '-'):
		return dead
	case dash, strings.IndexByte("0123456789abcdef", char) >= 0:
		return state + 1
	}
	return dead
}
