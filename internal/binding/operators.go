package binding

import "strings"

// spelling is an operator as a selector that was refused has it.
type spelling struct {
	operator string
	negate   bool
}

// The operators that other languages have and go-bexpr does not.
const (
	opEquals   = "=="
	opIn       = "in"
	opContains = "contains"
	opMatches  = "matches"
	opEmpty    = "is empty"
	opLike     = "like"
	opPrefix   = "prefix"
	opSuffix   = "suffix"
)

var symbolOperators = map[string]spelling{
	"=": {opEquals, false}, "==": {opEquals, false}, "===": {opEquals, false}, ":": {opEquals, false}, ":=": {opEquals, false},
	"!=": {opEquals, true}, "!==": {opEquals, true}, "<>": {opEquals, true}, "≠": {opEquals, true}, "=!": {opEquals, true},
	"=~": {opMatches, false}, "~": {opMatches, false}, "~=": {opMatches, false}, "~~": {opMatches, false}, "==~": {opMatches, false},
	"!~": {opMatches, true}, "!=~": {opMatches, true}, "!~=": {opMatches, true},
}

// wordOperators are by their word in lower case without _ and -.
var wordOperators = map[string]spelling{
	"eq": {opEquals, false}, "equals": {opEquals, false}, "equal": {opEquals, false}, "ne": {opEquals, true}, "neq": {opEquals, true},
	"in": {opIn, false}, "notin": {opIn, true},
	"contains": {opContains, false}, "contain": {opContains, false}, "has": {opContains, false}, "includes": {opContains, false},
	"matches": {opMatches, false}, "match": {opMatches, false}, "regex": {opMatches, false}, "regexp": {opMatches, false}, "rlike": {opMatches, false},
	"like": {opLike, false}, "glob": {opLike, false},
	"startswith": {opPrefix, false}, "beginswith": {opPrefix, false}, "hasprefix": {opPrefix, false},
	"endswith": {opSuffix, false}, "hassuffix": {opSuffix, false},
	"exists": {opEmpty, true},
}

// connectives join comparisons. A comma does so in label selectors of Kubernetes.
var connectives = map[string]string{
	"and": "and", "&&": "and", "&": "and", ",": "and", ";": "and",
	"or": "or", "||": "or", "|": "or",
}

// lowered is a piece as the tables have it.
func (p piece) lowered() string {
	switch p.kind {
	case pieceSymbol:
		return p.text
	case pieceWord:
		return strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(p.text))
	}
	return ""
}

// operator reads an operator at the pieces' beginning, and returns how many it takes; 0
// if there is none.
func readOperator(pieces []piece) (spelling, int) {
	at := func(i int) string {
		if i < len(pieces) {
			return pieces[i].lowered()
		}
		return ""
	}
	negate, n := false, 0
	if at(0) == "is" {
		n = 1
		if at(n) == "not" {
			negate, n = true, n+1
		}
		switch at(n) {
		case "empty", "nil", "null", "none", "absent", "blank":
			return spelling{opEmpty, negate}, n + 1
		}
		return spelling{opEquals, negate}, n
	}
	if at(0) == "not" || at(0) == "!" {
		negate, n = true, 1
	}
	found, ok := symbolOperators[at(n)]
	if !ok {
		found, ok = wordOperators[at(n)]
	}
	if !ok {
		return spelling{}, 0
	}
	return spelling{found.operator, found.negate != negate}, n + 1
}
