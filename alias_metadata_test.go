package main

import (
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"vault-plugin-auth-kubernetes/internal/metadata"
)

func TestAnnotationsThatAreLeftOutAreTold(t *testing.T) {
	m := newDemo(t, fields{"use_annotations_as_alias_metadata": true}, nil)
	m.api.Annotate("apps", "web", map[string]string{metadata.AnnotationPrefix + "team": "+", metadata.AnnotationPrefix + "kept": "x"})
	auth := m.mustLogin(m.token())
	if _, taken := auth.Alias.Metadata["team"]; taken || auth.Alias.Metadata["kept"] != "x" {
		t.Errorf("alias metadata %q", auth.Alias.Metadata)
	}
	logged := m.logs.One(t)
	if logged.Level != hclog.Debug || logged.Fields["namespace"] != "apps" || !strings.Contains(logged.Fields["reason"], "team: the value has +") {
		t.Errorf("logged %s", logged)
	}
	got := m.explained(fields{"role": "demo", "jwt": m.token()})
	wantLines(t, got, "annotations_left_out", "team: the value has + * or /")
	if explained := partsOf(got, "alias_metadata"); explained["team"] != "" || explained["kept"] != "x" {
		t.Errorf("explained alias metadata %q", explained)
	}
	if lines := m.logs.Take(); len(lines) != 0 {
		t.Errorf("explain logged %v", lines)
	}
}
