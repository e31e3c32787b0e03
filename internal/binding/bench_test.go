package binding

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// benchRules makes n rules of which the first matches an identity ci/web.
func benchRules(b *testing.B, n int, selector func(i int) string) *RuleSet {
	b.Helper()
	set := NewRuleSet()
	for i := range n {
		put(b, set, Rule{Name: fmt.Sprintf("rule-%06d", i), Selector: selector(i), BindType: BindPolicy, BindName: "${serviceaccount.namespace}-read"})
	}
	return set
}

func benchBind(b *testing.B, selector func(i int) string) {
	for _, n := range []int{10, 1_000, 100_000} {
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			set := benchRules(b, n, selector)
			attrs := runner().attributes(b).ForRules("")
			fetch := func(context.Context, Source) error { b.Error("nothing needs to be fetched"); return nil }
			b.ReportAllocs()
			for b.Loop() {
				grants, err := set.Bind(context.Background(), attrs, fetch)
				if err != nil || len(grants.Policies) != 1 {
					b.Fatalf("got %+v, %v", grants, err)
				}
			}
		})
	}
}

// One rule for each service account, by both attributes: the common case.
func BenchmarkBindByEquality(b *testing.B) {
	benchBind(b, func(i int) string {
		if i == 0 {
			return `serviceaccount.namespace == "ci" and serviceaccount.name == "web"`
		}
		return fmt.Sprintf(`serviceaccount.namespace == "team-%d" and serviceaccount.name == "web"`, i)
	})
}

// Rules that the index cannot tell apart: all of them are evaluated.
func BenchmarkBindNotIndexed(b *testing.B) {
	benchBind(b, func(i int) string {
		if i == 0 {
			return `pod.name == "runner-7"`
		}
		return fmt.Sprintf(`pod.name == "runner-7-%d"`, i)
	})
}

// The same with regular expressions.
func BenchmarkBindNotIndexedRegexp(b *testing.B) {
	benchBind(b, func(i int) string {
		if i == 0 {
			return `serviceaccount.namespace matches "^(ci|cd)$"`
		}
		return fmt.Sprintf(`serviceaccount.namespace matches "^team-%d-(dev|prod)$"`, i)
	})
}

// What loading 10,000 rules after a restart costs, without reading them.
func BenchmarkLoad(b *testing.B) {
	const n = 10_000
	rules := make([]Rule, n)
	for i := range rules {
		rules[i] = Rule{
			Name:     fmt.Sprintf("rule-%06d", i),
			Selector: fmt.Sprintf(`serviceaccount.namespace == "team-%d" and (serviceaccount.name matches "^web-[a-z]+$" or namespace.labels.tier == "gold")`, i),
			BindType: BindPolicy, BindName: "team-${serviceaccount.namespace}",
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		set := NewRuleSet()
		for _, rule := range rules {
			put(b, set, rule)
		}
	}
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(time.Millisecond), "ms/10000rules")
}

// One write to a set of 100,000 rules.
func BenchmarkPut(b *testing.B) {
	set := benchRules(b, 100_000, func(i int) string { return fmt.Sprintf(`serviceaccount.namespace == "team-%d"`, i) })
	compiled, err := Compile(Rule{Name: "rule-050000", Selector: `serviceaccount.namespace == "x"`, BindType: BindPolicy, BindName: "x"})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		set.Put(compiled)
	}
}

// The costliest regular expression on the longest annotation that the API server
// accepts.
func BenchmarkWorstRegexp(b *testing.B) {
	for name, pattern := range map[string]string{
		"literal":   "needle",
		"backtrack": `(x+x+)+y`,
		"large":     `(.*x.*){0,20}[a-z]{0,30}y`,
	} {
		b.Run(name, func(b *testing.B) {
			selector, err := CompileSelector("serviceaccount.annotations.long matches `" + pattern + "`")
			if err != nil {
				b.Fatal(err)
			}
			attrs := runner().attributes(b)
			attrs.SetServiceAccount(nil, map[string]string{"long": strings.Repeat("x", 256<<10)})
			for b.Loop() {
				if selector.Evaluate(attrs).Matched {
					b.Fatal("matched")
				}
			}
		})
	}
}
