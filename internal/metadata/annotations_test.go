package metadata

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

func annotated(pairs map[string]string) map[string]string {
	annotations := map[string]string{"example.com/other": "+"}
	for key, value := range pairs {
		annotations[AnnotationPrefix+key] = value
	}
	return annotations
}

// What Vault would refuse after the plugin allowed the login, and what would stand for
// another's path in a templated policy, is left out, and the rest counts.
func TestAnnotationsThatAreLeftOut(t *testing.T) {
	for name, row := range map[string]struct{ key, value, reason string }{
		"one segment":       {"team", "+", "+ * or /"},
		"any rest":          {"team", "*", "+ * or /"},
		"another segment":   {"team", "a/../b", "+ * or /"},
		"within":            {"team", "a+", "+ * or /"},
		"empty key":         {"", "a", "the key is empty"},
		"key with dots":     {"a.b", "a", "the key may have"},
		"key of the host":   {"vault-x", "a", "Vault's own"},
		"key too long":      {strings.Repeat("k", 129), "a", "longer than 128"},
		"value too long":    {"team", strings.Repeat("v", 513), "longer than 512"},
		"not valid UTF-8":   {"team", "\xff", "not valid UTF-8"},
		"longest value":     {"team", strings.Repeat("v", 512), ""},
		"longest key":       {strings.Repeat("k", 128), "v", ""},
		"every allowed key": {"aZ09=/+_-", "v", ""},
		"empty value":       {"team", "", ""},
		"harmless value":    {"team", "a b.c,d=é\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := FromAnnotations(annotated(map[string]string{row.key: row.value, "kept": "x"}))
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]string{"kept": "x"}
			if row.reason == "" {
				want[row.key] = row.value
			}
			if !maps.Equal(got.Taken, want) {
				t.Errorf("taken %q, want %q", got.Taken, want)
			}
			if left := got.WhyLeft(); (left == "") != (row.reason == "") || !strings.Contains(left, row.reason) {
				t.Errorf("left out %q, want the reason %q", left, row.reason)
			}
		})
	}
}

// Whatever is annotated, what is taken is what the host takes, it is little, and it is
// the same each time.
func TestAnnotationsAreBounded(t *testing.T) {
	pairs := map[string]string{}
	for i := range 500 {
		pairs[fmt.Sprintf("k%03d", i)] = "v"
	}
	many, err := FromAnnotations(annotated(pairs))
	if err != nil || len(many.Taken) != maxAnnotatedPairs || len(many.Left) != 500-maxAnnotatedPairs || many.Taken["k000"] != "v" {
		t.Errorf("of 500, %d are taken and %d left out (%v)", len(many.Taken), len(many.Left), err)
	}
	if maxAnnotatedPairs+len(Reserved()) > maxAliasMetadataPairs {
		t.Errorf("%d annotations and %d keys of the identity are more than the host takes", maxAnnotatedPairs, len(Reserved()))
	}
	pairs = map[string]string{"z": "short"}
	for i := range 58 {
		pairs[fmt.Sprintf("k%03d", i)] = strings.Repeat("v", 500)
	}
	first, err := FromAnnotations(annotated(pairs))
	if err != nil {
		t.Fatal(err)
	}
	size := 0
	for key, value := range first.Taken {
		size += len(key) + len(value)
	}
	if size > maxAnnotatedBytes || first.Taken["k000"] == "" || first.Taken["z"] != "short" || len(first.Taken)+len(first.Left) != 59 {
		t.Errorf("%d bytes of %d pairs are taken, %d left out", size, len(first.Taken), len(first.Left))
	}
	for range 20 {
		again, err := FromAnnotations(annotated(pairs))
		if err != nil || !maps.Equal(again.Taken, first.Taken) || !slices.Equal(again.Left, first.Left) {
			t.Fatal("the same annotations come to something else")
		}
	}
}
