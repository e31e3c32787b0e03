package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/typo"
)

// answerWrite is the answer to a write that was stored: nil, which Vault makes a 204 of,
// where there is nothing to say. Otherwise it is a response, and only to a response does
// the framework add its own warning about fields that do not exist; so there has to be
// one where a field was mistyped, or a name in the body is not that of the path.
func answerWrite(req *logical.Request, data *framework.FieldData, warnings []string) *logical.Response {
	if len(warnings) == 0 && len(unknownFields(req, data)) == 0 && !namesAnother(req, data) {
		return nil
	}
	response := &logical.Response{}
	for _, warning := range warnings {
		response.AddWarning(warning)
	}
	return response
}

// unknownFields are the fields of a request that its path does not have.
func unknownFields(req *logical.Request, data *framework.FieldData) []string {
	var unknown []string
	for _, field := range slices.Sorted(maps.Keys(req.Data)) {
		if data.Schema[field] == nil {
			unknown = append(unknown, field)
		}
	}
	return unknown
}

// namesAnother tells whether the body of a request has a name, and it is not the one
// in the path, which counts.
func namesAnother(req *logical.Request, data *framework.FieldData) bool {
	name, ok := req.Data["name"]
	return ok && name != nil && data.Schema["name"] != nil &&
		!strings.EqualFold(fmt.Sprint(name), data.Get("name").(string))
}

// refuseUnknown refuses a request with fields that its path does not have. It is for
// the paths that Vault's own method does not have; on the others such fields are
// ignored with a warning, as there.
func refuseUnknown(req *logical.Request, data *framework.FieldData) *logical.Response {
	unknown := unknownFields(req, data)
	if len(unknown) == 0 && namesAnother(req, data) {
		return logical.ErrorResponse("name: it is %q by the path of the request, and cannot be another", data.Get("name"))
	}
	if len(unknown) == 0 {
		return nil
	}
	known := slices.Sorted(maps.Keys(data.Schema))
	reasons := make([]string, 0, len(unknown))
	for _, field := range unknown[:min(len(unknown), maxUnknownTold)] {
		reason := fmt.Sprintf("there is no field %.64q", field)
		if meant := typo.Nearest(field, known); meant != "" {
			reason += fmt.Sprintf("; did you mean %q?", meant)
		} else {
			reason += "; the fields are " + strings.Join(known, ", ")
		}
		reasons = append(reasons, reason)
	}
	return logical.ErrorResponse("%s", strings.Join(reasons, "\n"))
}

// maxUnknownTold bounds the answer to a request with many wrong fields.
const maxUnknownTold = 5

// refuseEmpty refuses fields of a request that are named and say nothing, which is what
// is left of a variable that was not set: a yes or no would pass for no, and dry_run for
// an order. help says what to write in place of one that is no yes or no, by field.
func refuseEmpty(req *logical.Request, data *framework.FieldData, help map[string]string) *logical.Response {
	var reasons []string
	for _, field := range slices.Sorted(maps.Keys(req.Data)) {
		schema := data.Schema[field]
		if text, isText := req.Data[field].(string); schema == nil || req.Data[field] != nil && (!isText || strings.TrimSpace(text) != "") {
			continue
		}
		if what, ok := help[field]; ok {
			reasons = append(reasons, fmt.Sprintf("%s: it is named and empty; %s", field, what))
		} else if schema.Type == framework.TypeBool {
			reasons = append(reasons, fmt.Sprintf("%[1]s: it is named and empty; write %[1]s=true or %[1]s=false, or leave it out for false", field))
		}
	}
	if len(reasons) == 0 {
		return nil
	}
	return logical.ErrorResponse("%s", strings.Join(reasons, "\n"))
}
