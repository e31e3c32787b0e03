package identity

import (
	"encoding/json"
	"errors"
	"fmt"
)

// lease is an Identity as it is kept with the lease of a token.
type lease struct {
	Namespace string   `json:"namespace"`
	Name      string   `json:"name"`
	UID       string   `json:"uid"`
	Audiences []string `json:"audiences,omitempty"`
	Pod       Object   `json:"pod"`
	Node      Object   `json:"node"`
}

// ForLease returns the identity as text, to be kept where nobody but the host can
// write: with the lease of the token that was issued to it.
func (i Identity) ForLease() string {
	text, err := json.Marshal(lease{i.namespace, i.name, i.uid, i.audiences, i.pod, i.node})
	if err != nil {
		panic(err) // strings always marshal
	}
	return string(text)
}

// FromLease returns the identity that ForLease was called on. It must be given
// nothing else: what it returns counts as verified.
func FromLease(text string) (Identity, error) {
	var l lease
	if err := json.Unmarshal([]byte(text), &l); err != nil {
		return Identity{}, fmt.Errorf("the identity in the lease cannot be read: %w", err)
	}
	if l.Namespace == "" || l.Name == "" || l.UID == "" {
		return Identity{}, errIncomplete
	}
	pod := objectOf(l.Pod.Name, l.Pod.UID)
	return Identity{
		namespace: l.Namespace, name: l.Name, uid: l.UID, audiences: l.Audiences,
		pod: pod, node: nodeOf(pod, objectOf(l.Node.Name, l.Node.UID)),
	}, nil
}

// FromLeaseMetadata returns the identity of a token that was issued with these in its
// metadata. Of one that Vault's own method issued no pod is known, nor of one whose login
// was of no pod. They must come from the lease, as with FromLease.
func FromLeaseMetadata(namespace, name, uid string, pod Object) (Identity, error) {
	if namespace == "" || name == "" || uid == "" {
		return Identity{}, errIncomplete
	}
	return Identity{namespace: namespace, name: name, uid: uid, pod: objectOf(pod.Name, pod.UID)}, nil
}

var errIncomplete = errors.New("the identity in the lease is not whole")
