package binding

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// costly are rules that look at as much of an annotation as any may, with an expression
// that is as costly as any may be.
func costly(t *testing.T, count int) *RuleSet {
	t.Helper()
	set := NewRuleSet()
	for i := range count {
		put(t, set, Rule{Name: fmt.Sprintf("r%03d", i), Selector: `serviceaccount.annotations.long matches "([a-z]+,){30}admin"`})
	}
	return set
}

func withLong(bytes int) cluster {
	return runner().with(func(c *cluster) {
		c.annotations = map[string]string{"long": strings.Repeat("team,", bytes/5+1)[:bytes]}
	})
}

// A decision ends soon after its context does, however few rules it takes.
func TestCostlyDecisionsEndWithTheContext(t *testing.T) {
	set := costly(t, 100)
	for name, decide := range map[string]func(context.Context, *login) error{
		"rules": func(ctx context.Context, l *login) error {
			_, err := set.Bind(ctx, l.attrs.ForRules(""), l.fetch)
			return err
		},
		"explained": func(ctx context.Context, l *login) error {
			_, _, err := set.Explain(ctx, l.attrs.ForRules(""), l.fetch)
			return err
		},
		"selector": func(ctx context.Context, l *login) error {
			l.attrs.effort.steps = lightSteps // of another selector of the same login
			selector, err := CompileSelector(`serviceaccount.annotations.long matches "([a-z]+,){30}admin"`)
			if err != nil {
				t.Fatal(err)
			}
			_, err = selector.Match(ctx, l.attrs, l.fetch)
			return err
		},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		l := withLong(maxComparedBytes).login(t)
		if err := decide(ctx, l); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
		l = withLong(maxComparedBytes).login(t)
		if err := decide(ctx, l); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: the error is %v, want that of the context", name, err)
		}
		if made := l.attrs.effort.steps; made > lightSteps+2*sliceSteps {
			t.Errorf("%s: %d steps were made after the end", name, made)
		}
	}
}

// turns counts turns, and fails where one is taken twice.
type turns struct {
	t           *testing.T
	taken, held int
}

func (c *turns) take(context.Context) (func(), error) {
	if c.held != 0 {
		c.t.Error("a turn was taken by one who has one")
	}
	c.taken++
	c.held++
	return func() { c.held-- }, nil
}

func TestWhatTakesLongIsDoneInTurns(t *testing.T) {
	for name, row := range map[string]struct {
		rules, bytes int
		want         bool
	}{
		"a thin account": {100, 10, false}, "few rules": {2, maxComparedBytes, false},
		"many rules on much text":      {100, maxComparedBytes, true},
		"many on what is not searched": {100, 256 << 10, false},
	} {
		t.Run(name, func(t *testing.T) {
			count := &turns{t: t}
			l := withLong(row.bytes).login(t)
			l.attrs.effort.turn = count.take
			fetch := func(ctx context.Context, source Source) error {
				if count.held != 0 {
					t.Error("somebody else waits while the API server is asked")
				}
				return l.fetch(ctx, source)
			}
			set := costly(t, row.rules)
			put(t, set, Rule{Name: "zz", Selector: `namespace.labels.team == "ci"`})
			if _, err := set.Bind(t.Context(), l.attrs.ForRules(""), fetch); err != nil {
				t.Fatal(err)
			}
			if count.held != 0 {
				t.Error("the turn was not given back")
			}
			if (count.taken > 0) != row.want || row.want && count.taken < 5 {
				t.Errorf("%d turns for %d steps", count.taken, l.attrs.effort.steps)
			}
		})
	}
	l := withLong(maxComparedBytes).login(t)
	busy := errors.New("busy")
	l.attrs.effort.turn = func(context.Context) (func(), error) { return nil, busy }
	if _, err := costly(t, 100).Bind(t.Context(), l.attrs.ForRules(""), l.fetch); !errors.Is(err, busy) {
		t.Errorf("without a turn the error is %v", err)
	}
}

// What is too long to be searched helps nobody: neither who wants it to match nor who
// wants it not to.
func TestValuesThatAreTooLongDecideNothing(t *testing.T) {
	const needle = `serviceaccount.annotations.long matches "team"`
	for selector, want := range map[string]bool{
		needle: false,
		`serviceaccount.annotations.long not matches "team"`:    false,
		`serviceaccount.annotations.long not matches "absent"`:  false,
		`serviceaccount.annotations.long contains "team"`:       false,
		`serviceaccount.annotations.long not contains "absent"`: false,
		`not ` + needle:                                         false,
		`not (not ` + needle + `)`:                              false,
		needle + ` or serviceaccount.name == "web"`:             true,
		needle + ` or serviceaccount.name == "x"`:               false,
		`not (` + needle + ` or serviceaccount.name == "x")`:    false,
		`not (` + needle + ` and serviceaccount.name == "x")`:   true,
		`not (` + needle + ` and serviceaccount.name == "web")`: false,
		`not (` + needle + ` and namespace.labels.team == "x")`: true,
		`not (` + needle + ` or namespace.labels.team == "x")`:  false,
		`serviceaccount.annotations.long is not empty`:          true,
		`serviceaccount.annotations.long != "team"`:             true,
		`"long" in serviceaccount.annotations`:                  true,
	} {
		s, err := CompileSelector(selector)
		if err != nil {
			t.Errorf("%s: %v", selector, err)
			continue
		}
		l := withLong(maxComparedBytes + 1).login(t)
		got, err := s.Match(t.Context(), l.attrs, l.fetch)
		if err != nil || got != want {
			t.Errorf("%s: %t, %v, want %t", selector, got, err, want)
		}
		if reason := s.Mismatch(l.attrs); (reason == "") != want || strings.Contains(selector, "matches") && !want && !strings.Contains(reason, "searched") {
			t.Errorf("%s: the reason is %q", selector, reason)
		}
	}
	s, _ := CompileSelector(needle)
	l := withLong(maxComparedBytes).login(t)
	if matched, err := s.Match(t.Context(), l.attrs, l.fetch); !matched || err != nil {
		t.Errorf("a value of just the length: %t, %v", matched, err)
	}
}
