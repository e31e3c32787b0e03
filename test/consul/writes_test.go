package consul

import (
	"fmt"
	"slices"
	"testing"
)

func TestWrites(t *testing.T) {
	f := servers(t)
	consul, plugin := f.newSides(t, nil)
	for _, row := range slices.Concat(selectorWrites, nameWrites) {
		t.Run(row.rule.String(), func(t *testing.T) {
			for _, side := range []struct {
				method
				accepts bool
			}{{consul, row.consul}, {plugin, row.plugin}} {
				if side.method == consul && f.byDocumentation(row.rule) {
					continue
				}
				refusal := side.write(t, row.rule)
				if side.accepts && refusal != "" {
					t.Errorf("%T refuses it: %s", side.method, refusal)
				}
				if !side.accepts && refusal == "" {
					t.Errorf("%T accepts it", side.method)
				}
			}
		})
	}
}

// String is short enough for the name of a test.
func (r rule) String() string {
	text := fmt.Sprintf("%s %s if %s", r.bindType, r.bindName, r.selector)
	return text[:min(len(text), 120)]
}
