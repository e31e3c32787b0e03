package main

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/scrub"
	"vault-plugin-auth-kubernetes/internal/sent"
	"vault-plugin-auth-kubernetes/internal/typo"
)

// What callers of the login path read, who may be anybody: always the same words,
// and nothing about the cluster.
const couldNotAskMessage = "the Kubernetes API server could not be asked about this token; try again later"

// respond turns the error of a login into the host's response; it is the only
// place that does. Errors that are not refusals are the host's own (storage) and
// pass as they were.
func respond(err error) (*logical.Response, error) {
	var r *refusal.Refusal
	if !errors.As(err, &r) {
		return nil, refusal.WithoutStep(err)
	}
	switch r.Kind {
	case refusal.Invalid:
		return logical.ErrorResponse(r.Message), nil
	case refusal.Denied:
		return nil, logical.ErrPermissionDenied
	default:
		return nil, logical.CodedError(http.StatusServiceUnavailable, couldNotAskMessage)
	}
}

// clientSees is the status and the message of the answer to a login that ends with err.
func clientSees(err error) (status int, message string) {
	response, err := respond(err)
	var coded logical.HTTPCodedError
	switch {
	case err == nil:
		return http.StatusBadRequest, response.Error().Error()
	case errors.As(err, &coded):
		return coded.Code(), err.Error()
	case errors.Is(err, logical.ErrPermissionDenied):
		return http.StatusForbidden, err.Error()
	}
	return http.StatusInternalServerError, err.Error()
}

// withoutSecrets takes out of a refusal what the request brought as a secret, and what
// looks like a token in the wrong field. Errors of the framework and of parsers repeat
// what they were given.
func withoutSecrets(req *logical.Request, response *logical.Response, err error) (*logical.Response, error) {
	if err != nil && !errors.Is(err, logical.ErrPermissionDenied) && err.Error() != couldNotAskMessage {
		err = clearedError(err, sent.Secrets(req.Data, req.Path))
	}
	if response == nil || !response.IsError() && len(response.Warnings) == 0 && req.Path != importPath {
		return response, err
	}
	secrets := sent.Secrets(req.Data, req.Path)
	if req.Path == importPath {
		withoutSecretsOfDocuments(response.Data, secrets)
	}
	for i, warning := range response.Warnings {
		response.Warnings[i] = secrets.Text(warning)
	}
	if text, ok := response.Data["error"].(string); ok && response.IsError() {
		response.Data["error"] = secrets.Text(text)
	}
	return response, err
}

// withoutSecretsOfDocuments clears what the answer to an import quotes of the documents.
func withoutSecretsOfDocuments(data map[string]any, secrets *scrub.Scrubber) {
	for key, value := range data {
		if text, ok := value.(string); ok && !strings.HasPrefix(key, "config/") {
			data[key] = secrets.Text(text)
		}
		if lines, ok := value.([]string); ok {
			for i, line := range lines {
				lines[i] = secrets.Text(line)
			}
		}
	}
}

var (
	unread = regexp.MustCompile(`error converting input for field "([a-z_]+)": (.*)`)
	// unreadAs tells by the words of the framework, and of the parsers below it, what a value
	// was to be, with who says it in words for people.
	unreadAs = []struct {
		words string
		tell  func(text string) string
	}{
		{" as bool:", typo.Boolean}, {"time: ", typo.Duration}, {"invalid key pair", typo.KeyValue}, {" as int:", typo.Whole},
	}
)

// ofValue says of a value that the framework could not read, by its error, what would be right;
// empty where the error is about something else.
func ofValue(req *logical.Request, text string) string {
	said := unread.FindStringSubmatch(text)
	if said == nil {
		return ""
	}
	sent, isText := req.Data[said[1]].(string)
	for _, kind := range unreadAs {
		if isText && strings.Contains(said[2], kind.words) {
			return said[1] + ": " + kind.tell(sent)
		}
	}
	return ""
}

// clearedError keeps the status of an error, if it has one.
func clearedError(err error, secrets *scrub.Scrubber) error {
	text := secrets.Text(err.Error())
	var coded logical.HTTPCodedError
	switch {
	case text == err.Error():
		return err
	case errors.As(err, &coded):
		return logical.CodedError(coded.Code(), text)
	}
	return errors.New(text)
}

// answerWrite is the answer to a write that was stored: nil, which Vault makes a 204 of,
// where there is nothing to say. Otherwise it is a response, and only to a response does
// the framework add its own warning about fields that do not exist; so there has to be
// one where a field was mistyped, or a name in the body is not that of the path.
//
// onlyRead are the fields that a read returns and no write takes, as they are stored:
// where what was read is written back, there is nothing to say of them.
func answerWrite(req *logical.Request, data *framework.FieldData, warnings []string, onlyRead map[string]any) *logical.Response {
	if len(warnings) == 0 && len(unknownFields(req, data, onlyRead)) == 0 && !namesAnother(req, data) {
		return nil
	}
	response := &logical.Response{}
	for _, warning := range warnings {
		response.AddWarning(warning)
	}
	return response
}

// unknownFields are the fields of a request that its path does not have. One that is only
// read is no such field where it has the value that is stored.
func unknownFields(req *logical.Request, data *framework.FieldData, onlyRead map[string]any) []string {
	var unknown []string
	for _, field := range slices.Sorted(maps.Keys(req.Data)) {
		stored, isRead := onlyRead[field]
		asRead := isRead && fmt.Sprint(req.Data[field]) == fmt.Sprint(stored)
		if data.Schema[field] == nil && !asRead {
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
// ignored with a warning, as there. onlyRead is as in answerWrite.
func refuseUnknown(req *logical.Request, data *framework.FieldData, onlyRead map[string]any) *logical.Response {
	unknown := unknownFields(req, data, onlyRead)
	if len(unknown) == 0 && namesAnother(req, data) {
		return logical.ErrorResponse("name: it is %q by the path of the request, and cannot be another", data.Get("name"))
	}
	if len(unknown) == 0 {
		return nil
	}
	return logical.ErrorResponse("%s", strings.Join(unknownReasons(data, unknown, onlyRead), "\n"))
}

// unknownReasons say of each field that a path does not have which one was meant.
func unknownReasons(data *framework.FieldData, unknown []string, onlyRead map[string]any) []string {
	known := slices.Sorted(maps.Keys(data.Schema))
	reasons, listed := make([]string, 0, len(unknown)), false
	for _, field := range unknown[:min(len(unknown), maxUnknownTold)] {
		if stored, isRead := onlyRead[field]; isRead {
			reasons = append(reasons, fmt.Sprintf("%s: it is only read, and is %q here; leave it out", field, fmt.Sprint(stored)))
			continue
		}
		reason := fmt.Sprintf("there is no field %.64q", field)
		meant := typo.Nearest(field, slices.Concat(known, slices.Sorted(maps.Keys(onlyRead))))
		if _, isRead := onlyRead[meant]; isRead {
			// Not the field beside it: what a read says of a secret must not become the secret.
			reason += fmt.Sprintf("; %q is only read", meant)
		} else if meant != "" {
			reason += fmt.Sprintf("; did you mean %q?", meant)
		} else if !listed {
			reason += "; the fields are " + strings.Join(known, ", ")
			listed = true
		}
		reasons = append(reasons, reason)
	}
	return reasons
}

// withMeant names the fields that a path of Vault's own method does not have in a refusal
// as well: what is missing may be what was spelled otherwise. Values that say that there is
// none, as they were read somewhere, are named in any answer.
func withMeant(response *logical.Response, err error, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	said := printedNothing(req, data)
	switch {
	case err != nil:
	case response.IsError():
		// What the refusal names is told of already.
		said = slices.DeleteFunc(said, func(line string) bool {
			field, _, _ := strings.Cut(line, ":")
			return strings.Contains(response.Error().Error(), field)
		})
		if unknown := unknownFields(req, data, nil); len(unknown) > 0 {
			said = append(unknownReasons(data, unknown, nil), said...)
		}
		if len(said) > 0 {
			response = logical.ErrorResponse("%s", strings.Join(append([]string{response.Error().Error()}, said...), "\n"))
		}
	case len(said) > 0:
		if response == nil {
			response = &logical.Response{}
		}
		for _, warning := range said {
			response.AddWarning(warning)
		}
	}
	return response, err
}

// printedNothing tells of texts and lists that a request has what programs print where there
// is nothing.
func printedNothing(req *logical.Request, data *framework.FieldData) (said []string) {
	for _, field := range slices.Sorted(maps.Keys(req.Data)) {
		text, isText := req.Data[field].(string)
		schema := data.Schema[field]
		if !isText || schema == nil || schema.Type != framework.TypeString && schema.Type != framework.TypeCommaStringSlice {
			continue
		}
		if reason := typo.Nothing(text, field+`=""`); reason != "" {
			said = append(said, field+": "+reason)
		}
	}
	return said
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
