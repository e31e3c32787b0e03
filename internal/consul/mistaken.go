package consul

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

var (
	fileName   = regexp.MustCompile(`^@?[\w./-]{1,64}\.(json|txt|yaml|yml)$`)
	methodName = regexp.MustCompile(`^[\w-]{1,64}$`)
)

// What prints the two documents. NAME is that of the auth method.
const (
	printsMethod = "consul acl auth-method read -name=NAME -format=json"
	printsRules  = "consul acl binding-rule list -method=NAME -format=json"
)

// meantBy is the end of a reason that shows the right form of a document that is none: the name
// of a file, a name, what consul prints for people, or one object in the place of a list. It
// repeats no more of the document than the name of a file or of an auth method.
func meantBy(field string, document []byte, prints, name string) string {
	text := strings.TrimSpace(string(document))
	if fileName.MatchString(text) {
		return fmt.Sprintf("; it is the name of a file: with the vault command, %s=@%s sends what is in it", field, strings.TrimPrefix(text, "@"))
	}
	if name == "" && methodName.MatchString(text) {
		name = text
	}
	if isOfItsKind(document, prints == printsRules) {
		return ""
	}
	if name != "" {
		prints = strings.ReplaceAll(prints, "NAME", name)
	}
	return "; write what this prints: " + prints
}

// isOfItsKind tells whether a document is a list, or an object, as it has to be. What is wrong
// with it is then within.
func isOfItsKind(document []byte, list bool) bool {
	if !json.Valid(document) {
		return false
	}
	return bytes.HasPrefix(bytes.TrimSpace(document), []byte("[")) == list
}
