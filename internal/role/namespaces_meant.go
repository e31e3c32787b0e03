package role

import (
	"cmp"
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"vault-plugin-auth-kubernetes/internal/typo"
)

// maxMeantBytes bounds what is guessed at, and shown.
const maxMeantBytes = 1024

// namespaceSelectorMeant is the label selector that was meant by a text that is none: what
// kubectl takes as one, a comparison in the words of the other selectors, or an object that
// is nearly one. "" where that is not plain.
func namespaceSelectorMeant(text string) string {
	if len(text) > maxMeantBytes {
		return ""
	}
	var meant *metav1.LabelSelector
	var object map[string]any
	if yaml.Unmarshal([]byte(text), &object) == nil && len(object) > 0 {
		meant = objectMeant(object)
	} else {
		meant = phraseMeant(text)
	}
	if meant == nil || len(meant.MatchLabels)+len(meant.MatchExpressions) == 0 {
		return "" // it would select every namespace
	}
	form, err := json.Marshal(meant)
	if err != nil {
		return ""
	}
	if _, err := parseNamespaceSelector(string(form)); err != nil {
		return ""
	}
	return string(form)
}

// compared is a comparison as the selectors of roles and rules have it.
var compared = regexp.MustCompile(`namespace\.labels(?:\.|\[["'])([^"'\s=!\]]+)(?:["']\])?`)

// phraseMeant reads what kubectl takes after -l.
func phraseMeant(text string) *metav1.LabelSelector {
	text = compared.ReplaceAllString(strings.TrimPrefix(strings.TrimSpace(text), "matchLabels="), "$1")
	text = strings.NewReplacer(`"`, "", "'", "", " and ", ",", "&&", ",").Replace(text)
	if !strings.ContainsAny(text, "=!(") {
		return nil // a word alone is a label that exists, and hardly what was meant
	}
	selector, err := metav1.ParseToLabelSelector(text)
	if err != nil {
		return nil
	}
	return selector
}

// spelledRight has the fields of a label selector by their names where they are nearly so.
// A text is not one of them, but the value of a label.
func spelledRight(object map[string]any) map[string]any {
	right := make(map[string]any, len(object))
	for key, value := range object {
		if _, isText := value.(string); !isText {
			key = cmp.Or(typo.Nearest(key, []string{"matchLabels", "matchExpressions"}), key)
		}
		right[key] = value
	}
	return right
}

// objectMeant reads labels without matchLabels around them, and operators and lists as they
// are written elsewhere.
func objectMeant(object map[string]any) *metav1.LabelSelector {
	labels, known := map[string]string{}, false
	object = spelledRight(object)
	for key, value := range object {
		switch text, isText := value.(string); {
		case strings.EqualFold(key, "matchLabels") || strings.EqualFold(key, "matchExpressions"):
			known = true
		case isText:
			labels[key] = text
		default:
			return nil
		}
	}
	if !known {
		return &metav1.LabelSelector{MatchLabels: labels}
	}
	if phrase, isText := object["matchLabels"].(string); isText && len(object) == 1 {
		return phraseMeant(phrase)
	}
	if one, isObject := object["matchExpressions"].(map[string]any); isObject {
		object["matchExpressions"] = []any{one}
	}
	text, err := json.Marshal(object)
	if err != nil {
		return nil
	}
	var selector *metav1.LabelSelector
	if yaml.UnmarshalStrict(text, &selector) != nil || selector == nil {
		return nil
	}
	operators := []metav1.LabelSelectorOperator{metav1.LabelSelectorOpIn, metav1.LabelSelectorOpNotIn, metav1.LabelSelectorOpExists, metav1.LabelSelectorOpDoesNotExist}
	for i, expression := range selector.MatchExpressions {
		at := slices.IndexFunc(operators, func(o metav1.LabelSelectorOperator) bool {
			return strings.EqualFold(string(o), string(expression.Operator))
		})
		if at >= 0 {
			selector.MatchExpressions[i].Operator = operators[at]
		}
	}
	return selector
}
