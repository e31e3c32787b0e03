package binding

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// InputError refuses a selector, a bind name or a rule that was written, and says
// where it is wrong.
type InputError struct {
	// Field is the field of the rule: name, selector, bind_type or bind_name.
	Field string
	// Line and Column are 1-based and count characters. Both are 0 where the
	// field as a whole is meant.
	Line, Column int
	// Reason says what is wrong, and what would be right where that is short.
	Reason string
	// Write is the whole field as it has to be, where it is plain what was meant; it
	// compiles.
	Write string
}

func (e *InputError) Error() string {
	reason := e.Reason
	if e.Write != "" {
		reason += "; write: " + e.Write
	}
	switch {
	case e.Column == 0:
		return fmt.Sprintf("%s: %s", e.Field, reason)
	case e.Line > 1:
		return fmt.Sprintf("%s: line %d, column %d: %s", e.Field, e.Line, e.Column, reason)
	}
	return fmt.Sprintf("%s: column %d: %s", e.Field, e.Column, reason)
}

// errorAt makes the error for the byte at offset in text, the value of field.
func errorAt(field, text string, offset int, reason string) *InputError {
	before := text[:min(offset, len(text))]
	lineStart := strings.LastIndexByte(before, '\n') + 1
	return &InputError{
		Field:  field,
		Line:   strings.Count(before, "\n") + 1,
		Column: utf8.RuneCountInString(before[lineStart:]) + 1,
		Reason: reason,
	}
}

// InvalidNameError fails a login: a rule that matched computes a name that its
// bind type cannot have. The rule is not skipped, as in Consul, since the other
// rules' grants alone may not be what the operator meant to hand out.
type InvalidNameError struct {
	Rule     string
	BindType BindType
	// Name is what was computed; empty where a value to compute it from was
	// absent or not usable.
	Name   string
	Reason string
}

func (e *InvalidNameError) Error() string {
	if e.Name == "" {
		return fmt.Sprintf("binding rule %q computes no valid %s name: %s", e.Rule, e.BindType, e.Reason)
	}
	return fmt.Sprintf("binding rule %q computes the %s name %q, which is not valid: %s", e.Rule, e.BindType, e.Name, e.Reason)
}
