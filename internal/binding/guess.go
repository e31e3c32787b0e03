package binding

import (
	"slices"
	"strings"

	"vault-plugin-auth-kubernetes/internal/typo"
)

// otherNames are what people call attributes that have another name here: in Vault's
// alias metadata, in Kubernetes, or for short. They are bare: see bareName.
var otherNames = map[string]string{
	"namespace": saNamespace, "namespacename": saNamespace, "ns": saNamespace,
	"sanamespace": saNamespace, "k8snamespace": saNamespace, "kubernetesnamespace": saNamespace,
	"name": saName, "serviceaccount": saName, "sa": saName, "saname": saName,
	"uid": "serviceaccount.uid", "sauid": "serviceaccount.uid",
	"pod": "pod.name", "node": "node.name", "cluster": clusterName, "k8scluster": clusterName,
	"aud": "audiences", "audience": "audiences",
}

// wrappers are first parts of paths in the templates of other programs.
var wrappers = []string{"", "metadata", "k8s", "kubernetes", "var", "vars", "values", "env", "identity", "token", "local"}

// bareName is a name without what people write in different ways.
func bareName(name string) string {
	return strings.NewReplacer(".", "", "_", "", "-", "", " ", "").Replace(strings.ToLower(name))
}

// named finds the attribute that a path names in other letters, or by another name
// that it is known by. Found that way, it was certainly meant.
func named(path []string) (ref, bool) {
	if len(path) == 0 {
		return ref{}, false
	}
	if found, reason := resolve(path); reason == "" {
		return found, true
	}
	if found, ok := namedEntry(path); ok {
		return found, true
	}
	if found, ok := byBareName(strings.Join(path, "")); ok {
		return found, true
	}
	last := path[len(path)-1]
	if len(path) > 2 && path[0] == "identity" || len(path) > 1 && strings.HasPrefix(bareName(last), "serviceaccount") {
		return byBareName(last) // a template of Vault's, or of another program's
	}
	if len(path) > 1 && slices.Contains(wrappers, strings.ToLower(path[0])) {
		return named(path[1:])
	}
	return ref{}, false
}

func byBareName(name string) (ref, bool) {
	bare := bareName(name)
	for _, a := range attributes {
		if bare == bareName(a.name) {
			return ref{attribute: a}, true
		}
	}
	a, ok := attributesByName[otherNames[bare]]
	return ref{attribute: a}, ok
}

// namedEntry finds a key of a map, which may be written with dots and without quotes.
func namedEntry(path []string) (ref, bool) {
	for parts := 1; parts <= 2 && parts < len(path); parts++ {
		prefix := bareName(strings.Join(path[:parts], ""))
		for _, a := range attributes {
			bare := bareName(a.name)
			key := strings.Join(path[parts:], ".")
			if a.kind == kindMap && key != "" && (prefix == bare || prefix+"s" == bare) {
				return ref{attribute: a, key: key, keyed: true}, true
			}
		}
	}
	return ref{}, false
}

// guessed finds the attribute that a path most likely means: one that it names, or one
// that is spelled almost so.
func guessed(path []string) (ref, bool) {
	if found, ok := named(path); ok {
		return found, true
	}
	if len(path) > 2 || len(path) == 0 {
		if len(path) > 2 {
			if a, ok := nearestAttribute(path[0]+"."+path[1], kindMap); ok {
				return ref{attribute: a, key: strings.Join(path[2:], "."), keyed: true}, true
			}
		}
		return ref{}, false
	}
	a, ok := nearestAttribute(strings.Join(path, "."))
	return ref{attribute: a}, ok
}

func nearestAttribute(typed string, kinds ...kind) (*attribute, bool) {
	var names []string
	for _, a := range attributes {
		if len(kinds) == 0 || slices.Contains(kinds, a.kind) {
			names = append(names, a.name)
		}
	}
	a, ok := attributesByName[typo.Nearest(typed, names)]
	return a, ok
}

// splitPath makes parts of a path as it is written: a.b, a.b["key"], a.b['key'].
func splitPath(written string) []string {
	name, index, indexed := strings.Cut(strings.TrimSpace(written), "[")
	path := strings.Split(strings.TrimSpace(name), ".")
	if indexed {
		path = append(path, strings.Trim(index, " \"'`]“”‘’"))
	}
	return path
}
