package binding

import (
	"maps"
	"testing"
)

func TestKnown(t *testing.T) {
	c := runner()
	attributes := c.attributes(t)
	atOnce := map[string]string{
		"audiences": "vault,https://vault.example", "cluster.name": "east", "consul.namespace": "k8s-ci",
		"node.name": "node-1", "node.uid": "node-uid-1", "pod.name": "runner-7", "pod.uid": "pod-1",
		"serviceaccount.name": "web", "serviceaccount.namespace": "ci", "serviceaccount.uid": "uid-1",
	}
	if got := attributes.Known(); !maps.Equal(got, atOnce) {
		t.Errorf("before anything was asked for: %q", got)
	}
	const annotation = "consul.hashicorp.com/service-name"
	if got, ok := attributes.ForRules(annotation).Known()["serviceaccount.name"]; ok {
		t.Errorf("the name for rules is %q, before the annotation is known", got)
	}

	attributes.SetNamespace(c.namespaceLabels)
	attributes.SetServiceAccount(c.labels, c.annotations)
	want := maps.Clone(atOnce)
	maps.Copy(want, map[string]string{
		`namespace.labels["team"]`: "ci", `namespace.labels["kubernetes.io/metadata.name"]`: "ci",
		`serviceaccount.labels["team"]`: "payments", `serviceaccount.labels["app.kubernetes.io/name"]`: "shop", `serviceaccount.labels["blank"]`: "",
		`serviceaccount.annotations["` + annotation + `"]`: "other", `serviceaccount.annotations["path"]`: "/srv/x", `serviceaccount.annotations["mixed"]`: "Web",
	})
	if got := attributes.Known(); !maps.Equal(got, want) {
		t.Errorf("with both objects: %q, want %q", got, want)
	}
	want["serviceaccount.name"] = "other"
	if got := attributes.ForRules(annotation).Known(); !maps.Equal(got, want) {
		t.Errorf("for rules: %q, want %q", got, want)
	}

	if got, want := bare().attributes(t).Known(), (map[string]string{
		"serviceaccount.name": "web", "serviceaccount.namespace": "ci", "serviceaccount.uid": "uid-1",
	}); !maps.Equal(got, want) {
		t.Errorf("of a bare identity: %q, want %q", got, want)
	}
}
