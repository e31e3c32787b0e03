package explain

import (
	"maps"
	"slices"
	"strings"
)

// pathParts are what a templated policy takes for a part of its path.
const pathParts = "+*/"

// NoteOfPolicies tells which values of an alias no templated policy should be built on: newer
// versions of Vault refuse them there, and older ones take them for a part of the path.
func (a *Answer) NoteOfPolicies(data map[string]any, alias string, metadata map[string]string) {
	var named []string
	if strings.ContainsAny(alias, pathParts) {
		named = append(named, "the name of the alias")
	}
	for _, key := range slices.Sorted(maps.Keys(metadata)) {
		if strings.ContainsAny(metadata[key], pathParts) {
			named = append(named, key)
		}
	}
	if len(named) == 0 {
		return
	}
	note := strings.Join(named, ", ") + " has + * or /, which is a part of the path where a templated policy is built on it; newer versions of Vault refuse such values there"
	if before, ok := data["note"].(string); ok {
		note = before + "; " + note
	}
	data["note"] = a.Text(note, MaxReason)
}
