package binding

import (
	"context"
	"errors"
	"strings"
	"testing"
)

func TestNamespaceRules(t *testing.T) {
	rules, err := CompileNamespaceRules([]NamespaceRule{
		{Selector: `serviceaccount.namespace == "prod"`, BindNamespace: "production"},
		{Selector: `namespace.labels.team is not empty`, BindNamespace: "team-${namespace.labels.team}"},
		{Selector: `serviceaccount.name == "bad"`, BindNamespace: "x-${serviceaccount.annotations.path}"},
		{BindNamespace: "rest"},
	})
	if err != nil {
		t.Fatal(err)
	}
	bind := func(c cluster) (string, error) {
		l := c.login(t)
		return rules.Bind(context.Background(), l.attrs.ForRules(""), l.fetch)
	}
	for want, c := range map[string]cluster{
		"production": runner().with(func(c *cluster) { c.namespace = "prod" }),
		"team-ci":    runner(),
		"rest":       bare(),
	} {
		if got, err := bind(c); got != want || err != nil {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	}
	bad := bare().with(func(c *cluster) { c.name, c.annotations = "bad", map[string]string{"path": "/x"} })
	var invalid *InvalidNameError
	if got, err := bind(bad); !errors.As(err, &invalid) || got != "" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestCompileNamespaceRulesRefuses(t *testing.T) {
	for name, rule := range map[string]NamespaceRule{
		"number 1: selector":       {Selector: "serviceaccount.name =", BindNamespace: "x"},
		"number 1: bind_namespace": {BindNamespace: "a/b"},
	} {
		if _, err := CompileNamespaceRules([]NamespaceRule{rule}); err == nil || !strings.HasPrefix(err.Error(), name) {
			t.Errorf("%v, want %s", err, name)
		}
	}
	if _, err := CompileNamespaceRules(make([]NamespaceRule, 257)); err == nil {
		t.Error("any number is taken")
	}
}
