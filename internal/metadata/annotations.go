package metadata

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/scrub"
)

// AnnotationPrefix begins the annotations that become alias metadata.
const AnnotationPrefix = "vault.hashicorp.com/alias-metadata-"

// What the host takes of the metadata of an alias, as in vault/identity_store_structs.go.
// More would fail the login, after the plugin allowed it, with words that repeat the value.
const (
	maxAliasMetadataPairs    = 64
	maxAliasMetadataKeyBytes = 128
	// MaxValueBytes bounds one value.
	MaxValueBytes             = 512
	aliasMetadataHostsOwnKeys = "vault-"
)

var aliasMetadataKey = regexp.MustCompile(`^[a-zA-Z0-9=/+_-]+$`)

// Of that, what annotations may take up: room is left for the keys that the identity
// has, and the host stores it all for each service account that ever logs in, which
// somebody may create and delete in a loop.
const (
	maxAnnotatedPairs = maxAliasMetadataPairs - 16
	maxAnnotatedBytes = 4 << 10
)

// pathWildcards are what a templated policy must not get out of a value: + stands for
// any one segment of a path there and * for any rest, and / begins another segment, so
// that with a policy for teams/{{…metadata.team}}/* whoever annotates would choose what
// it reads.
const pathWildcards = "+*/"

// Annotations is what the annotations of a service account come to.
type Annotations struct {
	Taken map[string]string
	// Left is what was not taken, in the order of the keys.
	Left []LeftOut
}

// LeftOut is an annotation that is no alias metadata: the key, bounded, and the reason.
type LeftOut struct{ Key, Reason string }

// FromAnnotations picks the annotations that become alias metadata. The keys
// that the identity itself has are reserved: whoever may annotate must not become
// someone else. What could not be stored, or would mean something else than itself in
// a policy, is left out, and which it is depends on nothing but the annotations.
func FromAnnotations(annotations map[string]string) (Annotations, error) {
	values := map[string]string{}
	for annotation, value := range annotations {
		if key, ok := strings.CutPrefix(annotation, AnnotationPrefix); ok {
			values[key] = value
		}
	}
	keys := slices.Sorted(maps.Keys(values))
	if reserved := slices.DeleteFunc(slices.Clone(keys), isNotReserved); len(reserved) > 0 {
		message := fmt.Sprintf("entity alias metadata keys for only internal use found"+
			" from the client token's associated service account annotations: keys=%+q", reserved)
		return Annotations{}, refusal.OfRequest(message, message)
	}
	a, room := Annotations{Taken: map[string]string{}}, maxAnnotatedBytes
	for _, key := range keys {
		reason := whyLeftOut(key, values[key])
		switch size := len(key) + len(values[key]); {
		case reason != "":
		case len(a.Taken) == maxAnnotatedPairs:
			reason = fmt.Sprintf("there are more than %d", maxAnnotatedPairs)
		case size > room:
			reason = fmt.Sprintf("keys and values are longer than %d bytes together", maxAnnotatedBytes)
		default:
			a.Taken[key] = values[key]
			room -= size
			continue
		}
		a.Left = append(a.Left, LeftOut{scrub.Bounded(key, maxAliasMetadataKeyBytes), reason})
	}
	return a, nil
}

func isNotReserved(key string) bool { return !slices.Contains(Reserved(), key) }

// whyLeftOut says why an annotation cannot be alias metadata, or "" if it can.
func whyLeftOut(key, value string) string {
	switch {
	case key == "":
		return "the key is empty"
	case !aliasMetadataKey.MatchString(key):
		return "the key may have letters, digits and = / + _ -"
	case len(key) > maxAliasMetadataKeyBytes:
		return fmt.Sprintf("the key is longer than %d bytes", maxAliasMetadataKeyBytes)
	case strings.HasPrefix(key, aliasMetadataHostsOwnKeys):
		return fmt.Sprintf("keys that begin with %s are Vault's own", aliasMetadataHostsOwnKeys)
	case len(value) > MaxValueBytes:
		return fmt.Sprintf("the value is longer than %d bytes", MaxValueBytes)
	case !utf8.ValidString(value):
		return "the value is not valid UTF-8"
	case strings.ContainsAny(value, pathWildcards):
		return "the value has + * or /, which a templated policy would take for a part of its path"
	}
	return ""
}

// maxLoggedKeys bounds how many of the keys that were left out one line names.
const maxLoggedKeys = 10

// WhyLeft says why the first few of what was not taken were left, in one line.
func (a Annotations) WhyLeft() string {
	var lines []string
	for _, left := range a.Left[:min(len(a.Left), maxLoggedKeys)] {
		lines = append(lines, left.Key+": "+left.Reason)
	}
	return strings.Join(lines, "; ")
}
