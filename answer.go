package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
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
		if meant := nearestField(field, known); meant != "" {
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

// nearestField is the field that was meant by one that does not exist, or "" if none
// is near. Letter case, _ and - do not count, so BindName and dryrun are found.
func nearestField(typed string, known []string) string {
	bare := strings.NewReplacer("_", "", "-", "", " ", "", ".", "")
	typed = bare.Replace(strings.ToLower(typed))
	if len(typed) > maxTypedField {
		return ""
	}
	nearest, least := "", 2+len(typed)/3
	for _, field := range known {
		if d := editDistance(typed, bare.Replace(field)); d < least {
			nearest, least = field, d
		}
	}
	return nearest
}

// maxTypedField bounds what is compared; no field is as long.
const maxTypedField = 64

// editDistance is the least number of letters to insert, delete, replace or swap with
// their neighbour that makes b of a.
func editDistance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			replace := rows[i-1][j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			rows[i][j] = min(replace, rows[i-1][j]+1, rows[i][j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
