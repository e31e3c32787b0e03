package role

import (
	"regexp"
	"strings"
)

// MaxNameBytes bounds the key that a login can make the host look up.
const MaxNameBytes = 512

// storable is what the host's own paths take as a name: letters, digits and _, with - and
// . within.
var storable = regexp.MustCompile(`^\w(([\w.-]+)?\w)?$`)

// IsName tells whether a role, or a binding rule, could have that name. Whoever takes it
// from the body of a request has to ask before storage is asked.
func IsName(name string) bool {
	return len(name) <= MaxNameBytes && storable.MatchString(name)
}

// Key is the one form of the names that differ only in case.
func Key(name string) string { return strings.ToLower(name) }
