package role

import "encoding/json"

// heldBounds are the bounds of a role that Vault's own method must not go by.
type heldBounds struct {
	ServiceAccountNames             []string `json:"names,omitempty"`
	ServiceAccountNamespaces        []string `json:"namespaces,omitempty"`
	ServiceAccountNamespaceSelector string   `json:"namespace_selector,omitempty"`
}

// Nobody stands as name and as namespace in the entry of a role that Vault's own method
// must not give to anybody: no service account is called so. An empty list would not do,
// for that method panics at one.
const Nobody = "(only this plugin knows who)"

// entry is an Entry without the methods that say how it is stored.
type entry Entry

// storedEntry is an Entry as it is stored.
type storedEntry struct {
	*entry
	// Held are its bounds, where Vault's own method shall not see them; nil elsewhere.
	Held *heldBounds `json:"held_bounds,omitempty"`
}

// MarshalJSON is how a role is stored. Vault's own method knows nothing of binding rules,
// nor of pairs: should the mount be switched back, it would give the policies of a role
// that stands for rules to whoever is within the bounds. So it reads bounds of such roles
// that nobody is in.
func (r Entry) MarshalJSON() ([]byte, error) {
	plain := entry(r)
	stored := storedEntry{entry: &plain}
	if r.UseBindingRules || r.OnlyByBindingRules || r.bindsPairsAlone() {
		stored.Held = &heldBounds{r.ServiceAccountNames, r.ServiceAccountNamespaces, r.ServiceAccountNamespaceSelector}
		plain.ServiceAccountNames, plain.ServiceAccountNamespaces = []string{Nobody}, []string{Nobody}
		plain.ServiceAccountNamespaceSelector = ""
	}
	return json.Marshal(stored)
}

// UnmarshalJSON reads what MarshalJSON wrote, or Vault's own method.
func (r *Entry) UnmarshalJSON(text []byte) error {
	stored := storedEntry{entry: (*entry)(r)}
	if err := json.Unmarshal(text, &stored); err != nil {
		return err
	}
	if held := stored.Held; held != nil {
		r.ServiceAccountNames, r.ServiceAccountNamespaces = held.ServiceAccountNames, held.ServiceAccountNamespaces
		r.ServiceAccountNamespaceSelector = held.ServiceAccountNamespaceSelector
	}
	return nil
}
