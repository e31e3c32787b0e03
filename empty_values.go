package main

import (
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
)

// saysNothing tells whether a value that was sent is empty: blank text, null, or a list or
// an object without anything in it. It is what is left of a variable that was not set, or of
// a file that a failed command wrote; false and 0 are something that somebody said.
func saysNothing(sent any) bool {
	switch sent := sent.(type) {
	case nil:
		return true
	case string:
		return strings.TrimSpace(sent) == ""
	case []string:
		return !slices.ContainsFunc(sent, func(text string) bool { return !saysNothing(text) })
	case []any:
		return !slices.ContainsFunc(sent, func(value any) bool { return !saysNothing(value) })
	case map[string]any:
		return len(sent) == 0
	}
	return false
}

// namedIn tells whether a request names the field, with whatever value.
func namedIn(req *logical.Request, field string) bool {
	_, named := req.Data[field]
	return named
}

// emptied tells which fields a request names with an empty value.
func emptied(req *logical.Request) func(field string) bool {
	return func(field string) bool {
		sent, named := req.Data[field]
		return named && saysNothing(sent)
	}
}

// emptyBooleans are the boolean fields that a request names with an empty text, sorted. The
// framework reads that as false.
func emptyBooleans(req *logical.Request, data *framework.FieldData) []string {
	var empty []string
	for _, field := range slices.Sorted(maps.Keys(req.Data)) {
		text, isText := req.Data[field].(string)
		if schema := data.Schema[field]; isText && text == "" && schema != nil && schema.Type == framework.TypeBool {
			empty = append(empty, field)
		}
	}
	return empty
}
