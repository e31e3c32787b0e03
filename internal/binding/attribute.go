package binding

import (
	"fmt"
	"strings"
)

// Source is something that must be asked for before the attributes that come
// from it are known. Attributes without a source come with the identity.
type Source uint8

// The sources of attributes.
const (
	// ServiceAccount is the service account object: its labels, its
	// annotations, and the name that an annotation gives it.
	ServiceAccount Source = 1 << iota
	// Namespace is the namespace object of the service account.
	Namespace
)

func (s Source) String() string {
	switch s {
	case ServiceAccount:
		return "service account"
	case Namespace:
		return "namespace"
	}
	return fmt.Sprintf("source %d", uint8(s))
}

// Sources is a set of sources.
type Sources uint8

// Has tells whether the set contains the source.
func (s Sources) Has(source Source) bool { return s&Sources(source) != 0 }

// single returns the only source of the set.
func (s Sources) single() (Source, bool) {
	return Source(s), s != 0 && s&(s-1) == 0
}

// first returns one source of a set that is not empty.
func (s Sources) first() Source { return Source(s & -s) }

// kind says which operators an attribute has.
type kind uint8

const (
	// kindText is text that every identity has.
	kindText kind = iota
	// kindOptional is text that may be absent, which is told apart from text
	// by being empty.
	kindOptional
	// kindEntry is the value of one key of a map; it may be absent.
	kindEntry
	kindMap
	kindList
)

// attribute is something that a selector can compare, and a name can be computed
// from.
type attribute struct {
	name   string
	kind   kind
	source Sources
	// object is what the attribute is told of together with others of it; empty if it
	// stands alone.
	object string
	// chosenBy says who makes the attribute what it is, within any namespace; empty if
	// it is the cluster, or nobody but its administrators.
	chosenBy string
	// overridable says that an annotation can replace it for binding rules.
	overridable bool
	// long says that values may be as long as an object may be; others are as
	// long as a name or a label.
	long bool
	// One of these is set, by the kind. They may only be called when the
	// attribute's source is known.
	text    func(*view) string
	entries func(*Attributes) map[string]string
	list    func(*Attributes) []string
}

// What one may do, in a namespace of one's own, to choose an attribute.
const (
	mayCreateTokens  = "create tokens"
	mayCreatePods    = "create pods or tokens"
	mayWriteAccounts = "write service accounts"
)

// attributes are all there are, in the order in which errors list them.
var attributes = []*attribute{
	{name: "audiences", kind: kindList, chosenBy: mayCreateTokens, list: func(a *Attributes) []string { return a.id.Audiences() }},
	{name: "cluster.name", kind: kindOptional, text: func(v *view) string { return v.clusterName }},
	{name: "consul.namespace", kind: kindOptional, text: func(v *view) string { return v.consulNamespace }},
	{name: "namespace.labels", kind: kindMap, source: Sources(Namespace), entries: func(a *Attributes) map[string]string { return a.namespaceLabels }},
	{name: "node.name", kind: kindOptional, object: "node", chosenBy: mayCreatePods, text: func(v *view) string { return v.id.Node().Name }},
	{name: "node.uid", kind: kindOptional, object: "node", chosenBy: mayCreatePods, text: func(v *view) string { return v.id.Node().UID }},
	{name: "pod.name", kind: kindOptional, object: "pod", chosenBy: mayCreatePods, text: func(v *view) string { return v.id.Pod().Name }},
	{name: "pod.uid", kind: kindOptional, object: "pod", text: func(v *view) string { return v.id.Pod().UID }},
	{name: "serviceaccount.annotations", kind: kindMap, chosenBy: mayWriteAccounts, long: true, source: Sources(ServiceAccount), entries: func(a *Attributes) map[string]string { return a.annotations }},
	{name: "serviceaccount.labels", kind: kindMap, chosenBy: mayWriteAccounts, source: Sources(ServiceAccount), entries: func(a *Attributes) map[string]string { return a.labels }},
	{name: "serviceaccount.name", kind: kindText, chosenBy: mayWriteAccounts, overridable: true, text: func(v *view) string { return v.serviceAccountName() }},
	{name: "serviceaccount.namespace", kind: kindText, text: func(v *view) string { return v.id.Namespace() }},
	{name: "serviceaccount.uid", kind: kindText, text: func(v *view) string { return v.id.UID() }},
}

var attributesByName = func() map[string]*attribute {
	byName := make(map[string]*attribute, len(attributes))
	for _, a := range attributes {
		byName[a.name] = a
	}
	return byName
}()

func attributeNames() string {
	names := make([]string, len(attributes))
	for i, a := range attributes {
		names[i] = a.name
	}
	return strings.Join(names, ", ")
}

// ref is a mention of an attribute, or of one key of an attribute that is a map.
type ref struct {
	*attribute
	key   string
	keyed bool
}

// kindOf is the kind of what is mentioned.
func (r ref) kindOf() kind {
	if r.keyed {
		return kindEntry
	}
	return r.kind
}

func (r ref) String() string {
	if r.keyed {
		return fmt.Sprintf("%s[%q]", r.name, r.key)
	}
	return r.name
}

// resolve finds what a path mentions. If it is nothing, the reason is for the
// one who wrote it.
func resolve(path []string) (found ref, reason string) {
	a, rest := attributesByName[path[0]], path[1:]
	if a == nil && len(rest) > 0 {
		a, rest = attributesByName[path[0]+"."+path[1]], path[2:]
	}
	switch {
	case a == nil, len(rest) > 0 && a.kind != kindMap:
		return ref{}, fmt.Sprintf("unknown attribute %q; the attributes are %s", strings.Join(path, "."), attributeNames())
	case len(rest) == 0:
		return ref{attribute: a}, ""
	case len(rest) > 1:
		// Joined again, it is most likely a key such as
		// app.kubernetes.io/name that was written without quotes.
		return ref{}, fmt.Sprintf("%s has keys of one level; a key with dots is written %s[%q]", a.name, a.name, strings.Join(rest, "."))
	case rest[0] == "":
		return ref{}, fmt.Sprintf("the key of %s is empty", a.name)
	}
	return ref{attribute: a, key: rest[0], keyed: true}, ""
}
