package role

import (
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

// MaxNamespaceSelectorBytes bounds the text of a namespace selector. It is many
// times what a person writes.
const MaxNamespaceSelectorBytes = 64 << 10

// NamespaceSelector is a label selector as Kubernetes defines it, matchLabels and
// matchExpressions, parsed.
type NamespaceSelector struct {
	selector labels.Selector
}

// Matches tells whether the labels of a namespace are selected.
func (n *NamespaceSelector) Matches(namespaceLabels map[string]string) bool {
	return n.selector.Matches(labels.Set(namespaceLabels))
}

// parseNamespaceSelector reads a selector that is about to be stored: a JSON or
// YAML object. The error says what is wrong and where; a field that does not exist
// is wrong, since a mistyped matchLabels would select every namespace.
func parseNamespaceSelector(text string) (*NamespaceSelector, error) {
	if len(text) > MaxNamespaceSelectorBytes {
		return nil, fmt.Errorf("longer than %d bytes", MaxNamespaceSelectorBytes)
	}
	return compileNamespaceSelector(text, yaml.UnmarshalStrict)
}

// parseStoredNamespaceSelector reads a selector that may have been stored by
// Vault's own method, which ignores fields that do not exist.
func parseStoredNamespaceSelector(text string) (*NamespaceSelector, error) {
	return compileNamespaceSelector(text, yaml.Unmarshal)
}

func compileNamespaceSelector(text string, unmarshal func([]byte, any, ...yaml.JSONOpt) error) (*NamespaceSelector, error) {
	// A pointer tells the text "null" and an empty document from {}, which
	// selects everything and has to be said.
	var parsed *metav1.LabelSelector
	if err := unmarshal([]byte(text), &parsed); err != nil {
		return nil, err
	}
	if parsed == nil {
		return nil, errors.New("it is empty; a selector of all namespaces is {}")
	}
	selector, err := metav1.LabelSelectorAsSelector(parsed)
	if err != nil {
		return nil, err
	}
	return &NamespaceSelector{selector: selector}, nil
}
