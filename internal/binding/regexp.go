package binding

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
)

// maxRegexpInstructions bounds what the regular expressions of one selector
// compile to, together. Matching costs at most the length of the value times the
// number of instructions, and no value is matched that is longer than
// maxComparedBytes, so this bounds the cost of a login. Values of annotations are longer
// than names and labels and may belong to whom nobody trusts, so what is matched with
// them counts longWeight times.
const (
	maxRegexpInstructions = 2048
	longWeight            = 8
)

// compileRegexp compiles a pattern and takes its instructions, times the weight,
// off the budget.
func compileRegexp(pattern string, weight int, budget *int) (compiled *regexp.Regexp, instructions int, err error) {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		var syntaxError *syntax.Error
		if errors.As(err, &syntaxError) {
			return nil, 0, fmt.Errorf("bad regular expression: %s: `%s`", syntaxError.Code, syntaxError.Expr)
		}
		return nil, 0, fmt.Errorf("bad regular expression: %w", err)
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, 0, fmt.Errorf("bad regular expression: %w", err)
	}
	if *budget -= weight * len(program.Inst); *budget < 0 {
		return nil, 0, fmt.Errorf("the regular expressions are too costly: they compile to more than %d instructions, those for annotations counted %d times", maxRegexpInstructions, longWeight)
	}
	compiled, err = regexp.Compile(pattern)
	return compiled, len(program.Inst), err
}
