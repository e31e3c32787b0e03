package binding

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hil"
	"github.com/hashicorp/hil/ast"
	hilparser "github.com/hashicorp/hil/parser"
)

// hilReader makes parts of HIL's syntax tree, so that a login need not evaluate
// HIL.
type hilReader struct {
	text  string
	parts []part
}

func parseHIL(text string) ([]part, error) {
	r := &hilReader{text: text}
	root, err := hil.Parse(text)
	if err != nil {
		var parseError *hilparser.ParseError
		if errors.As(err, &parseError) {
			return nil, r.errorf(parseError.Pos, "%s", parseError.Message)
		}
		return nil, &InputError{Field: "bind_name", Reason: err.Error()}
	}
	nodes := []ast.Node{root}
	if output, ok := root.(*ast.Output); ok {
		nodes = output.Exprs
	}
	for _, n := range nodes {
		if err := r.node(n); err != nil {
			return nil, err
		}
	}
	return r.parts, nil
}

func (r *hilReader) errorf(pos ast.Pos, format string, args ...any) error {
	return errorAt("bind_name", r.text, offsetOf(r.text, pos), fmt.Sprintf(format, args...))
}

// offsetOf finds a position of HIL's, which counts lines and characters, in bytes.
func offsetOf(text string, pos ast.Pos) int {
	offset := 0
	for line := 1; line < pos.Line; line++ {
		offset += strings.IndexByte(text[offset:], '\n') + 1
	}
	for column := 1; column < pos.Column && offset < len(text); column++ {
		_, size := utf8.DecodeRuneInString(text[offset:])
		offset += size
	}
	return offset
}

func (r *hilReader) node(n ast.Node) error {
	switch n := n.(type) {
	case *ast.LiteralNode:
		if literal, ok := n.Value.(string); ok {
			r.parts = append(r.parts, part{literal: literal, offset: offsetOf(r.text, n.Posx)})
			return nil
		}
		return r.errorf(n.Posx, "only attributes can be interpolated")
	case *ast.VariableAccess:
		return r.attribute(n.Posx, strings.Split(n.Name, "."))
	case *ast.Index:
		return r.index(n)
	case *ast.Call:
		return r.errorf(n.Posx, "functions are not supported, only attributes can be interpolated")
	}
	return r.errorf(n.Pos(), "only attributes can be interpolated, nothing can be computed")
}

// index reads attribute["key"].
func (r *hilReader) index(n *ast.Index) error {
	target, isVariable := n.Target.(*ast.VariableAccess)
	literal, isLiteral := n.Key.(*ast.LiteralNode)
	if !isVariable || !isLiteral {
		return r.errorf(n.Posx, "expected a key in quotes")
	}
	key, isText := literal.Value.(string)
	if !isText {
		return r.errorf(literal.Posx, "expected a key in quotes")
	}
	return r.attribute(target.Posx, append(strings.Split(target.Name, "."), key))
}

func (r *hilReader) attribute(pos ast.Pos, path []string) error {
	found, reason := resolve(path)
	if reason != "" {
		return r.errorf(pos, "%s", reason)
	}
	switch found.kindOf() {
	case kindMap:
		return r.errorf(pos, `%s is a map; one value of it is %s["key"]`, found, found)
	case kindList:
		return r.errorf(pos, "%s is a list and cannot stand in a name", found)
	}
	r.parts = append(r.parts, part{ref: &found, offset: offsetOf(r.text, pos)})
	return nil
}
