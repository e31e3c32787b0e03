package e2e

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"vault-plugin-auth-kubernetes/test/testbed"
)

// operationAdditions are the operations that this plugin has beyond those of Vault's
// own method on the same paths, with their ids.
var operationAdditions = map[string]string{
	"PATCH config":  "kubernetes-patch-auth-configuration",
	"DELETE config": "kubernetes-delete-auth-configuration",
}

// operations are parts of an OpenAPI document, by method and path below the mount.
type operations map[string]map[string]any

// TestOpenAPIParity guards what is generated from Vault's description of itself:
// Terraform's provider, client libraries, documentation. It runs beside no other
// test, since Vault asks every mount, and fails if one is just being taken away.
func TestOpenAPIParity(t *testing.T) {
	m := newMounts(t)
	for _, query := range []string{"", "?generic_mount_paths=true"} {
		t.Run("specs/openapi"+query, func(t *testing.T) {
			document := must(t, http.MethodGet, "sys/internal/specs/openapi"+query, nil).Body
			builtin := operationsOf(withoutSchemas(document), m.builtin)
			ours := operationsOf(withoutSchemas(document), m.ours)
			compareOperations(t, builtin, ours, m)
		})
	}
	t.Run("the mounts' own documents", func(t *testing.T) {
		builtin, ours := mountOperations(t, m.builtin), mountOperations(t, m.ours)
		takeAddedFields(ours)
		compareOperations(t, builtin, ours, m)
	})
}

// mountOperations are the operations that a mount's own help describes.
func mountOperations(t *testing.T, m mount) operations {
	t.Helper()
	return operationsOf(must(t, http.MethodGet, "auth/"+m.path+"/?help=1", nil).object("openapi"), mount{})
}

// withoutSchemas drops the schemas of requests and responses. Where Vault puts the
// documents of all mounts together it loses the references of every external plugin
// to them, and mixes those of mounts of the same kind.
func withoutSchemas(document map[string]any) map[string]any {
	kept := maps.Clone(document)
	delete(kept, "components")
	return kept
}

// takeAddedFields removes the fields that Vault's own method does not have from the
// bodies of requests.
func takeAddedFields(part any) {
	switch part := part.(type) {
	case operations:
		for _, operation := range part {
			takeAddedFields(operation)
		}
	case map[string]any:
		for key, value := range part {
			if properties, ok := value.(map[string]any); ok && key == "properties" {
				maps.DeleteFunc(properties, func(field string, _ any) bool { return isAdded(field) })
			}
			takeAddedFields(value)
		}
	}
}

func compareOperations(t *testing.T, builtin, ours operations, m mounts) {
	t.Helper()
	if len(builtin) != 7 {
		t.Errorf("the built-in has the operations %q, want 7", slices.Sorted(maps.Keys(builtin)))
	}
	for operation, id := range operationAdditions {
		if got := ours[operation]["operationId"]; got != id {
			t.Errorf("%s: the operation id is %v, want %s", operation, got, id)
		}
		delete(ours, operation)
	}
	takeAddedPaths(t, builtin, ours)
	all := maps.Clone(builtin)
	maps.Copy(all, ours)
	for _, operation := range slices.Sorted(maps.Keys(all)) {
		// Some names in generic documents are made of the mount's.
		a := strings.ReplaceAll(compact(builtin[operation]), m.builtin.path, "<mount>")
		b := strings.ReplaceAll(compact(ours[operation]), m.ours.path, "<mount>")
		if a != b {
			t.Errorf("%s\nthe built-in describes %s\nthis plugin describes %s", operation, a, b)
		}
	}
}

// takeAddedPaths removes the paths that Vault's own method does not have. Their
// operations have ids of the same kind.
func takeAddedPaths(t *testing.T, builtin, ours operations) {
	t.Helper()
	known := map[string]bool{}
	for operation := range builtin {
		known[pathOf(operation)] = true
	}
	for operation, description := range ours {
		if known[pathOf(operation)] {
			continue
		}
		if id, _ := description["operationId"].(string); !strings.HasPrefix(id, "kubernetes-") {
			t.Errorf("%s: the operation id is %q", operation, id)
		}
		delete(ours, operation)
	}
}

// pathOf is the path of an operation, which is a method and a path.
func pathOf(operation string) string {
	_, path, _ := strings.Cut(operation, " ")
	return path
}

// operationsOf takes the operations of a mount out of a document, without the
// prose. The zero mount stands for a document that is about one mount alone.
func operationsOf(document map[string]any, m mount) operations {
	components, _ := document["components"].(map[string]any)
	schemas, _ := components["schemas"].(map[string]any)
	paths, _ := document["paths"].(map[string]any)
	found := operations{}
	for path, item := range paths {
		below, ok := belowMount(path, m)
		if !ok {
			continue
		}
		// What the path item itself holds goes for each of its operations.
		shared := withoutProse(item, schemas).(map[string]any)
		for _, method := range []string{"get", "post", "put", "patch", "delete"} {
			if operation, ok := shared[method].(map[string]any); ok {
				operation["path item"] = shared
				found[strings.ToUpper(method)+" "+below] = operation
				delete(shared, method)
			}
		}
	}
	return found
}

// belowMount takes the mount off a path of Vault's document, in which it stands
// under its name, or generic.
func belowMount(path string, m mount) (string, bool) {
	if m == (mount{}) {
		return strings.TrimPrefix(path, "/"), true
	}
	for _, prefix := range []string{"/auth/" + m.path + "/", "/auth/{" + m.path + "_mount_path}/"} {
		if below, ok := strings.CutPrefix(path, prefix); ok {
			return below, true
		}
	}
	return "", false
}

// withoutProse copies a part of a document without texts for people. References
// are replaced by what they refer to, under its name.
func withoutProse(part any, schemas map[string]any) any {
	switch part := part.(type) {
	case map[string]any:
		if reference, ok := part["$ref"].(string); ok {
			name := reference[strings.LastIndex(reference, "/")+1:]
			if schemas == nil {
				return map[string]any{}
			}
			return map[string]any{name: withoutProse(schemas[name], schemas)}
		}
		kept := map[string]any{}
		for key, value := range part {
			if _, isText := value.(string); isText && (key == "description" || key == "summary") {
				continue
			}
			kept[key] = withoutProse(value, schemas)
		}
		return kept
	case []any:
		kept := make([]any, len(part))
		for i, value := range part {
			kept[i] = withoutProse(value, schemas)
		}
		return kept
	}
	return part
}

// TestPathHelp reads what `vault path-help` prints.
func TestPathHelp(t *testing.T) {
	t.Parallel()
	m := newMount(t, testbed.PluginName, bed.PluginVersion)
	for _, path := range []string{"", "config", "login", "role", "role/any", "binding-rule", "check", "explain", "metrics"} {
		help := must(t, http.MethodGet, "auth/"+m.path+"/"+path+"?help=1", nil)
		if text, _ := help.Body["help"].(string); strings.TrimSpace(text) == "" {
			t.Errorf("no help for %q: %v", path, help)
		}
	}
}
