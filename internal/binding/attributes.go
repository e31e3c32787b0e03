package binding

import (
	"context"
	"fmt"

	"vault-plugin-auth-kubernetes/internal/identity"
)

// Context is what the mount's configuration adds to an identity. Empty means
// absent.
type Context struct {
	// ClusterName is the attribute cluster.name.
	ClusterName string
	// ConsulNamespace is the attribute consul.namespace.
	ConsulNamespace string
	// Turn is waited for where a decision takes long; nil is for who has all the time.
	Turn Turn
}

// Attributes are the trusted attributes of one login: those that came with the
// verified identity, and those of the objects that were asked for since. They
// belong to one login and are not safe for concurrent use.
type Attributes struct {
	id              identity.Account
	clusterName     string
	consulNamespace string

	// known are the sources that were set.
	known           Sources
	labels          map[string]string
	annotations     map[string]string
	namespaceLabels map[string]string

	effort effort
}

// NewAttributes returns the attributes that are known without a further request.
func NewAttributes(id identity.Account, mount Context) *Attributes {
	return &Attributes{id: id, clusterName: mount.ClusterName, consulNamespace: mount.ConsulNamespace, effort: effort{turn: mount.Turn}}
}

// SetServiceAccount makes the labels and annotations of the service account
// object known; there may be none. The maps are kept and must not change. The
// caller has made sure that the object is the identity's: that its uid is the
// one that was verified.
func (a *Attributes) SetServiceAccount(labels, annotations map[string]string) {
	a.labels, a.annotations = labels, annotations
	a.known |= Sources(ServiceAccount)
}

// SetNamespace makes the labels of the namespace object known; there may be none.
// The map is kept and must not change.
func (a *Attributes) SetNamespace(labels map[string]string) {
	a.namespaceLabels = labels
	a.known |= Sources(Namespace)
}

// Fetch asks for one source and sets it on the attributes of this login. It is
// called at most once for each source, and only if a decision depends on it. Its
// error ends the decision and is returned as it is.
type Fetch func(ctx context.Context, source Source) error

// fetch calls f and makes sure that it did what it is for; without that, a
// decision would ask for the same source for ever.
func (a *Attributes) fetch(ctx context.Context, f Fetch, source Source) error {
	a.effort.giveBack()
	if err := f(ctx, source); err != nil {
		return err
	}
	if !a.known.Has(source) {
		return fmt.Errorf("the %s was fetched, and is still not known", source)
	}
	return nil
}

// ForRules returns the attributes as binding rules see them. If an annotation is
// named, and the service account has it with a value of at most 1 KiB, the value
// stands in for serviceaccount.name in the rules that ask for it; Consul calls this the
// service name override. Other rules see the name that was verified, and so do
// selectors of roles, which are evaluated on the Attributes themselves: whoever may
// annotate a service account must not become another one.
//
// What is set on the Attributes later is seen by the returned value too.
func (a *Attributes) ForRules(serviceNameAnnotation string) *RuleAttributes {
	return &RuleAttributes{
		plain:      view{Attributes: a},
		overriding: view{Attributes: a, nameAnnotation: serviceNameAnnotation},
	}
}

// RuleAttributes are the attributes of a login as binding rules see them.
type RuleAttributes struct{ plain, overriding view }

// view is what expressions are evaluated on.
type view struct {
	*Attributes
	// nameAnnotation is the annotation that replaces serviceaccount.name; empty
	// where there is none.
	nameAnnotation string
}

// maxComparedBytes bounds the values that are searched: no label and no name is longer
// than a quarter of it, and an annotation can be 256 KiB. What is longer neither contains
// nor matches anything, and neither does it not: a rule that has to know grants nothing.
const maxComparedBytes = 1 << 10

// maxOverrideBytes bounds the annotation that stands in for a name. Consul compares with
// one of any length, and refuses a name made of it from 257 bytes on.
const maxOverrideBytes = maxComparedBytes

// serviceAccountName must only be called when missing says that nothing is.
func (v *view) serviceAccountName() string {
	if v.nameAnnotation != "" {
		if override := v.annotations[v.nameAnnotation]; override != "" && len(override) <= maxOverrideBytes {
			return override
		}
	}
	return v.id.Name()
}

// nameUnknown tells whether serviceaccount.name depends on an object that was
// not asked for yet.
func (v *view) nameUnknown() bool {
	return v.nameAnnotation != "" && !v.known.Has(ServiceAccount)
}

// missing returns the source that must be set before the attribute is known.
func (v *view) missing(a *attribute) Sources {
	if a.overridable && v.nameUnknown() {
		return Sources(ServiceAccount)
	}
	return a.source &^ v.known
}

// textOf returns the text of an attribute or map entry that is known, and
// whether it is present.
func (v *view) textOf(r ref) (text string, present bool) {
	if r.keyed {
		text, present = r.entries(v.Attributes)[r.key]
		return text, present
	}
	text = r.text(v)
	return text, text != ""
}
