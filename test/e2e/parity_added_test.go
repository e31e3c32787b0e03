package e2e

import (
	"maps"
	"reflect"
	"testing"
)

// Reads have what Vault's own method reads and the added fields, also where nobody set
// them: who compares what was written with what is read has to see what is gone.
func TestAddedFieldsAreAlwaysRead(t *testing.T) {
	t.Parallel()
	m := newMounts(t)
	for path, row := range map[string]struct {
		body  map[string]any
		added map[string]any
	}{
		"config": {config(nil), addedConfigFields},
		"role/r": {role(nil), addedRoleFields},
	} {
		var data [2]map[string]any
		for i, m := range []mount{m.builtin, m.ours} {
			m.must(t, "POST", path, row.body)
			data[i] = m.send(t, "GET", path, nil).data()
		}
		want := maps.Clone(data[0])
		maps.Copy(want, row.added)
		if got := asJSON(t, data[1]); !reflect.DeepEqual(got, asJSON(t, want)) {
			t.Errorf("%s reads %v\nand should %v", path, got, want)
		}
	}
}
