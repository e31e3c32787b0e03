package binding

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"

	authv1 "k8s.io/api/authentication/v1"

	"vault-plugin-auth-kubernetes/internal/identity"
)

// cluster is what there is to know about one login: what the review confirms and
// what the API server would answer if asked.
type cluster struct {
	namespace, name, uid string
	audiences            []string
	pod, podUID          string
	node, nodeUID        string
	clusterName          string
	consulNamespace      string

	labels, annotations, namespaceLabels map[string]string
	// override is the configured service name annotation.
	override string
	// refuse are the errors with which sources cannot be fetched.
	refuse map[Source]error
}

// runner is a pod-bound identity with a bit of everything.
func runner() cluster {
	return cluster{
		namespace: "ci", name: "web", uid: "uid-1",
		audiences: []string{"vault", "https://vault.example"},
		pod:       "runner-7", podUID: "pod-1", node: "node-1", nodeUID: "node-uid-1",
		clusterName: "east", consulNamespace: "k8s-ci",
		labels:      map[string]string{"team": "payments", "app.kubernetes.io/name": "shop", "blank": ""},
		annotations: map[string]string{"consul.hashicorp.com/service-name": "other", "path": "/srv/x", "mixed": "Web"},
		namespaceLabels: map[string]string{
			"team": "ci", "kubernetes.io/metadata.name": "ci",
		},
	}
}

// bare is an identity of which nothing optional is known.
func bare() cluster {
	return cluster{namespace: "ci", name: "web", uid: "uid-1"}
}

// with returns the cluster, changed.
func (c cluster) with(change func(*cluster)) cluster {
	change(&c)
	return c
}

func (c cluster) identity(t testing.TB) identity.Identity {
	t.Helper()
	extra := map[string]authv1.ExtraValue{}
	for key, value := range map[string]string{
		"authentication.kubernetes.io/pod-name": c.pod, "authentication.kubernetes.io/pod-uid": c.podUID,
		"authentication.kubernetes.io/node-name": c.node, "authentication.kubernetes.io/node-uid": c.nodeUID,
	} {
		if value != "" {
			extra[key] = authv1.ExtraValue{value}
		}
	}
	id, err := identity.FromReview(&authv1.TokenReviewStatus{
		Authenticated: true,
		Audiences:     c.audiences,
		User:          authv1.UserInfo{Username: "system:serviceaccount:" + c.namespace + ":" + c.name, UID: c.uid, Extra: extra},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// attributes are those that are known without a request.
func (c cluster) attributes(t testing.TB) *Attributes {
	t.Helper()
	return NewAttributes(c.identity(t), Context{ClusterName: c.clusterName, ConsulNamespace: c.consulNamespace})
}

// set makes the given sources known.
func (c cluster) set(a *Attributes, sources Sources) *Attributes {
	if sources.Has(ServiceAccount) {
		a.SetServiceAccount(c.labels, c.annotations)
	}
	if sources.Has(Namespace) {
		a.SetNamespace(c.namespaceLabels)
	}
	return a
}

const allSources = Sources(ServiceAccount | Namespace)

// login is one login with what it fetched.
type login struct {
	t       testing.TB
	cluster cluster
	attrs   *Attributes
	fetched []Source
}

func (c cluster) login(t testing.TB) *login {
	t.Helper()
	return &login{t: t, cluster: c, attrs: c.attributes(t)}
}

func (l *login) fetch(_ context.Context, source Source) error {
	for _, before := range l.fetched {
		if before == source {
			l.t.Errorf("the %s is fetched a second time", source)
		}
	}
	l.fetched = append(l.fetched, source)
	if err := l.cluster.refuse[source]; err != nil {
		return err
	}
	l.cluster.set(l.attrs, Sources(source))
	return nil
}

// asked is the set of the sources that were fetched.
func (l *login) asked() Sources {
	var asked Sources
	for _, source := range l.fetched {
		asked |= Sources(source)
	}
	return asked
}

func (l *login) bind(rules *RuleSet) (Grants, error) {
	return rules.Bind(context.Background(), l.attrs.ForRules(l.cluster.override), l.fetch)
}

func (l *login) explain(rules *RuleSet) ([]Explanation, Grants, error) {
	return rules.Explain(context.Background(), l.attrs.ForRules(l.cluster.override), l.fetch)
}

// rulesOf makes a rule set of rules that must compile; a rule without a bind name
// grants the policy of its own name.
func rulesOf(t testing.TB, rules ...Rule) *RuleSet {
	t.Helper()
	set := NewRuleSet()
	for _, rule := range rules {
		put(t, set, rule)
	}
	return set
}

// overriding are the rules, each with the annotation in place of the name.
func overriding(rules ...Rule) []Rule {
	flagged := slices.Clone(rules)
	for i := range flagged {
		flagged[i].UseServiceNameAnnotation = true
	}
	return flagged
}

func put(t testing.TB, set *RuleSet, rule Rule) {
	t.Helper()
	if rule.BindName == "" {
		rule.BindType, rule.BindName = BindPolicy, rule.Name
	}
	compiled, err := Compile(rule)
	if err != nil {
		t.Fatalf("%s: %v", rule.Name, err)
	}
	set.Put(compiled)
}

// inputError fails unless err is an *InputError of the field.
func inputError(t *testing.T, err error, field string) *InputError {
	t.Helper()
	var input *InputError
	if !errors.As(err, &input) {
		t.Fatalf("the error is %v, want an *InputError", err)
	}
	if input.Field != field {
		t.Fatalf("the error %q is about the field %s, want %s", input, input.Field, field)
	}
	return input
}

// seenBy is the cluster as a rule sees it.
func (c cluster) seenBy(rule Rule) cluster {
	if !rule.UseServiceNameAnnotation {
		c.override = ""
	}
	return c
}

// tree is the attributes as nested data, for go-bexpr's own evaluator.
func (c cluster) tree() map[string]any {
	optional := func(pairs ...string) map[string]string {
		present := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i+1] != "" {
				present[pairs[i]] = pairs[i+1]
			}
		}
		return present
	}
	filled := func(m map[string]string) map[string]string {
		if m == nil {
			return map[string]string{}
		}
		return maps.Clone(m)
	}
	return map[string]any{
		"serviceaccount": map[string]any{
			"namespace": c.namespace, "name": c.ruleName(), "uid": c.uid,
			"labels": filled(c.labels), "annotations": filled(c.annotations),
		},
		"namespace": map[string]any{"labels": filled(c.namespaceLabels)},
		"pod":       optional("name", c.pod, "uid", c.podUID),
		"node":      optional("name", c.node, "uid", c.nodeUID),
		"cluster":   optional("name", c.clusterName),
		"consul":    optional("namespace", c.consulNamespace),
		"audiences": append([]string{}, c.audiences...),
	}
}

// ruleName is serviceaccount.name as rules see it.
func (c cluster) ruleName() string {
	if override := c.annotations[c.override]; c.override != "" && override != "" {
		return override
	}
	return c.name
}
