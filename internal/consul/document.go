package consul

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"vault-plugin-auth-kubernetes/internal/typo"
)

// maxBytes bounds each of the two documents. It is room for tens of thousands of
// rules.
const maxBytes = 16 << 20

// keys are those that an object of Consul's may have, with those of the objects within;
// nil is for any, each once. A key that Consul does not print is a slip of whoever edited
// the document, and to drop it would widen what it was for: a rule without its Selector is
// for everybody.
type keys map[string]keys

// leaf is for a value that is no object, or one that carries nothing over.
var leaf = keys{}

// What Consul 1.14 to 1.22 print, Enterprise included.
var (
	methodKeys = keys{
		"Name": leaf, "Type": leaf, "DisplayName": leaf, "Description": leaf, "MaxTokenTTL": leaf, "TokenLocality": leaf,
		"CreateIndex": leaf, "ModifyIndex": leaf, "NamespaceRules": leaf, "Namespace": leaf, "Partition": leaf,
		"Config": {
			"Host": leaf, "CACert": leaf, "ServiceAccountJWT": leaf,
			"MapNamespaces": leaf, "ConsulNamespacePrefix": leaf, "ConsulNamespaceOverrides": nil,
		},
	}
	ruleKeys = keys{
		"ID": leaf, "Description": leaf, "AuthMethod": leaf, "Selector": leaf, "BindType": leaf, "BindName": leaf, "BindVars": leaf,
		"CreateIndex": leaf, "ModifyIndex": leaf, "Namespace": leaf, "Partition": leaf,
	}
)

// decode reads a document that is well formed, has its types, and passes a check.
func decode(document []byte, into any, check func() error) error {
	if len(document) > maxBytes {
		return fmt.Errorf("longer than %d bytes", maxBytes)
	}
	decoder := json.NewDecoder(bytes.NewReader(document))
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("not the JSON that consul prints: %w", withoutValues(err))
	}
	if rest := document[decoder.InputOffset():]; len(bytes.TrimSpace(rest)) > 0 {
		return errors.New("not the JSON that consul prints: something follows it")
	}
	return check()
}

// withoutValues says where a document is wrong and not what stands there, which may be
// a credential.
func withoutValues(err error) error {
	var wrongType *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &wrongType) && wrongType.Field != "":
		return fmt.Errorf("%s is not of the type that it has there", wrongType.Field)
	case errors.As(err, &wrongType):
		return errors.New("it is not of the type that it has there")
	case errors.As(err, &syntax):
		return fmt.Errorf("no JSON from byte %d on", syntax.Offset)
	}
	return errors.New("it ends too early")
}

// member is a key of an object and its value, as they are written.
type member struct {
	key   string
	value json.RawMessage
}

// membersOf are those of an object, in order, also where a key is there twice; none of
// what is no object.
func membersOf(object json.RawMessage) (members []member, err error) {
	decoder := json.NewDecoder(bytes.NewReader(object))
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return nil, err
	}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		m := member{key: fmt.Sprint(key)}
		if err := decoder.Decode(&m.value); err != nil {
			return nil, err
		}
		members = append(members, m)
	}
	return members, nil
}

// check refuses an object with keys that are not known, or there twice. Go's JSON takes
// a key in any letter case, and so does Consul.
func (k keys) check(object json.RawMessage) error {
	members, err := membersOf(object)
	if err != nil {
		return withoutValues(err)
	}
	seen := map[string]string{}
	for _, m := range members {
		name := m.key
		if k != nil {
			if name = k.name(m.key); name == "" {
				return k.unknown(m.key)
			}
		}
		if before, twice := seen[name]; twice {
			return fmt.Errorf("it has %.64q and %.64q, which are one key", before, m.key)
		}
		seen[name] = m.key
		if within := k[name]; k != nil && (within == nil || len(within) > 0) {
			if err := within.check(m.value); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}

// name is a key as Consul prints it, "" of one that it does not.
func (k keys) name(written string) string {
	for name := range k {
		if strings.EqualFold(name, written) {
			return name
		}
	}
	return ""
}

func (k keys) unknown(written string) error {
	known := slices.Sorted(maps.Keys(k))
	if meant := typo.Nearest(written, known); meant != "" {
		return fmt.Errorf("there is no key %.64q in what Consul prints; did you mean %q?", written, meant)
	}
	return fmt.Errorf("there is no key %.64q in what Consul prints; the keys are %s", written, strings.Join(known, ", "))
}

// checkRules checks each rule, and says which one is wrong.
func checkRules(list []byte) error {
	var rules []json.RawMessage
	if err := json.Unmarshal(list, &rules); err != nil {
		return withoutValues(err)
	}
	for i, rule := range rules {
		if err := ruleKeys.check(rule); err != nil {
			return fmt.Errorf("%s: %w", ruleAt(i, rule), err)
		}
		// Consul always prints it, and without one the rule is for everybody.
		var has struct{ Selector *string }
		if err := json.Unmarshal(rule, &has); err != nil {
			return withoutValues(err)
		}
		if has.Selector == nil {
			return fmt.Errorf(`%s: it has no Selector; Consul prints one of each rule, and "" where it is for everybody`, ruleAt(i, rule))
		}
	}
	return nil
}

// ruleAt names a rule by its ID, or by its place where it has none.
func ruleAt(i int, rule json.RawMessage) string {
	var has struct{ ID string }
	if err := json.Unmarshal(rule, &has); err != nil || has.ID == "" {
		return fmt.Sprintf("rule number %d", i+1)
	}
	return fmt.Sprintf("rule %.64q", has.ID)
}
