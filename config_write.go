package main

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
)

// overwritten tells which fields a write sets: all that Vault's own method has, and of
// the others those that it names. One of these that is null is taken out of data, so that
// reading it yields its default.
func overwritten(data *framework.FieldData) func(field string) bool {
	named := map[string]bool{}
	for _, field := range addedConfigFields {
		value, ok := data.Raw[field]
		named[field] = ok
		if ok && value == nil {
			delete(data.Raw, field)
		}
	}
	return func(field string) bool {
		isNamed, added := named[field]
		return isNamed || !added
	}
}

// emptyPairsAsNone lets an empty text reset consul_namespace_overrides, as it does any
// other field: the framework takes it for a pair that is malformed, and the command line
// has no other way to say it.
func emptyPairsAsNone(req *logical.Request) {
	const field = "consul_namespace_overrides"
	if text, ok := req.Data[field].(string); ok && text == "" && req.Path == configPath {
		req.Data[field] = map[string]any{}
	}
}

// settleReviewer notes that a write took the reviewer's token away without saying so,
// as Vault's own semantics have it: a write that does not name token_reviewer_jwt
// replaces it with nothing, and each login then reviews itself, which it mostly may
// not. The note stands until a write names token_reviewer_jwt, empty or not.
func (c *configEntry) settleReviewer(before *configEntry, named bool) {
	had := before != nil && (before.hasReviewer() || before.ReviewerDropped)
	c.ReviewerDropped = had && !named && !c.hasReviewer()
}

// lostFrom are the fields of Vault's own method that a write took back to their defaults
// without naming them; token_reviewer_jwt has a warning of its own.
func (c *configEntry) lostFrom(before *configEntry, raw map[string]any) []string {
	if before == nil {
		return nil
	}
	var lost []string
	after, was := c.fields(), before.fields()
	for field := range after {
		_, named := raw[field]
		if named || field == "token_reviewer_jwt" || slices.Contains(addedConfigFields, field) {
			continue
		}
		if is, had := fmt.Sprint(reflect.ValueOf(after[field]).Elem()), fmt.Sprint(reflect.ValueOf(was[field]).Elem()); is != had {
			lost = append(lost, field)
		}
	}
	slices.Sort(lost)
	return lost
}

func (c *configEntry) hasReviewer() bool { return strings.TrimSpace(c.TokenReviewerJWT) != "" }

const reviewerDropped = "token_reviewer_jwt was not named, and a write replaces it: the reviewer's token that was stored is gone. " +
	"Each login now reviews itself with its own token, and is refused where its service account may not. " +
	"Name token_reviewer_jwt again, or, if it is to be so, confirm it with token_reviewer_jwt=\"\"; vault patch changes single fields."
