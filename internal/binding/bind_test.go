package binding

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestBindJoinsAllRulesThatMatch(t *testing.T) {
	rules := []Rule{
		{Name: "z-all", BindType: BindPolicy, BindName: "everyone"},
		{Name: "policy", Selector: `serviceaccount.namespace == "ci"`, BindType: BindPolicy, BindName: "ns-${serviceaccount.namespace}"},
		{Name: "policy-again", Selector: `serviceaccount.name == "web"`, BindType: BindPolicy, BindName: "NS-ci"},
		{Name: "role", Selector: `serviceaccount.namespace == "ci" and serviceaccount.name == "web"`, BindType: BindRole, BindName: "Web"},
		{Name: "role-2", BindType: BindRole, BindName: "web"},
		{Name: "group", Selector: `pod.name matches "^runner-"`, BindType: BindGroup, BindName: "Runners"},
		{Name: "service", Selector: `namespace.labels.team == "ci"`, BindType: BindService, BindName: "${serviceaccount.name}"},
		{Name: "service-2", BindType: BindService, BindName: "api"},
		{Name: "node", BindType: BindNode, BindName: "${node.name}"},
		{Name: "other namespace", Selector: `serviceaccount.namespace == "default"`, BindType: BindPolicy, BindName: "admin"},
		{Name: "other name", Selector: `serviceaccount.namespace == "ci" and serviceaccount.name == "db"`, BindType: BindPolicy, BindName: "admin"},
		{Name: "invalid, not matching", Selector: `pod.name == "x"`, BindType: BindService, BindName: "${serviceaccount.annotations.mixed}"},
	}
	want := Grants{
		Policies: []string{"everyone", "ns-ci"},
		Roles:    []string{"Web", "web"},
		Groups:   []string{"Runners"},
		Services: []string{"api", "web"},
		Nodes:    []string{"node-1"},
		Rules:    []string{"group", "node", "policy", "policy-again", "role", "role-2", "service", "service-2", "z-all"},
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 10 {
		random.Shuffle(len(rules), func(i, j int) { rules[i], rules[j] = rules[j], rules[i] })
		got, err := runner().login(t).bind(rulesOf(t, rules...))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	}
}

func TestBindGrantsNothing(t *testing.T) {
	for name, rules := range map[string]*RuleSet{
		"no rules":         NewRuleSet(),
		"no rule matches":  rulesOf(t, Rule{Name: "x", Selector: `serviceaccount.name == "x"`}),
		"only broken ones": broken("x"),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := runner().login(t).bind(rules)
			if err != nil || !got.Empty() || got.Rules != nil {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func broken(names ...string) *RuleSet {
	set := NewRuleSet()
	for _, name := range names {
		set.PutBroken(name, errors.New("written by a newer version"))
	}
	return set
}

func TestEmptyGrants(t *testing.T) {
	if !(Grants{Rules: []string{"x"}}).Empty() {
		t.Error("the names of rules are no grant")
	}
	for _, g := range []Grants{{Policies: []string{"x"}}, {Roles: []string{"x"}}, {Groups: []string{"x"}}, {Services: []string{"x"}}, {Nodes: []string{"x"}}} {
		if g.Empty() {
			t.Errorf("%+v is empty", g)
		}
	}
}

func TestInvalidNameFailsTheLogin(t *testing.T) {
	good := Rule{Name: "good"}
	for _, row := range []struct {
		name  string
		rules []Rule
		want  InvalidNameError
	}{
		{"upper case", []Rule{good, {Name: "bad", BindType: BindService, BindName: "${serviceaccount.annotations.mixed}"}},
			InvalidNameError{Rule: "bad", BindType: BindService, Reason: "upper-case"}},
		{"absent", []Rule{good, {Name: "bad", BindType: BindPolicy, BindName: "x-${namespace.labels.nothing}"}},
			InvalidNameError{Rule: "bad", BindType: BindPolicy, Reason: "is absent"}},
		{"not a name of that type", []Rule{good, {Name: "bad", BindType: BindService, BindName: "x${serviceaccount.annotations.path}"}},
			InvalidNameError{Rule: "bad", BindType: BindService, Name: "x/srv/x", Reason: "'/' is not allowed"}},
		{"the first by name of two", []Rule{{Name: "b", Selector: `serviceaccount.namespace == "ci" and serviceaccount.name == "web"`, BindType: BindService, BindName: "${serviceaccount.annotations.mixed}"}, {Name: "a", BindType: BindRole, BindName: "${serviceaccount.annotations.mixed}"}, good},
			InvalidNameError{Rule: "a", BindType: BindRole, Reason: "upper-case"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			grants, err := runner().login(t).bind(rulesOf(t, row.rules...))
			var invalid *InvalidNameError
			if !errors.As(err, &invalid) {
				t.Fatalf("the error is %v, want an *InvalidNameError", err)
			}
			if invalid.Rule != row.want.Rule || invalid.BindType != row.want.BindType || invalid.Name != row.want.Name || !strings.Contains(invalid.Reason, row.want.Reason) {
				t.Errorf("got %+v, want %+v", invalid, row.want)
			}
			if message := err.Error(); !strings.Contains(message, row.want.Rule) || !strings.Contains(message, row.want.Reason) {
				t.Errorf("the error %q does not name rule and reason", message)
			}
			if !reflect.DeepEqual(grants, Grants{}) {
				t.Errorf("a failed login was granted %+v", grants)
			}
		})
	}
}

func TestBindFetchesOnlyWhatTheOutcomeDependsOn(t *testing.T) {
	const account, namespace = Sources(ServiceAccount), Sources(Namespace)
	override := func(c *cluster) { c.override = "consul.hashicorp.com/service-name" }
	for _, row := range []struct {
		name    string
		cluster cluster
		rules   []Rule
		want    Sources
		matched []string
	}{
		{"no rule mentions anything", runner(), []Rule{{Name: "a", Selector: `pod.name == "runner-7"`}, {Name: "b"}}, 0, []string{"a", "b"}},
		{"the rule cannot match any more", runner(), []Rule{{Name: "a", Selector: `namespace.labels.team == "ci" and pod.name == "x"`}}, 0, nil},
		{"the rule is of another namespace", runner(), []Rule{{Name: "a", Selector: `namespace.labels.team == "ci" and serviceaccount.namespace == "x"`}}, 0, nil},
		{"the rule matches anyway", runner(), []Rule{{Name: "a", Selector: `namespace.labels.team == "x" or pod.name == "runner-7"`}}, 0, []string{"a"}},
		{"namespace", runner(), []Rule{{Name: "a", Selector: `namespace.labels.team == "ci"`}, {Name: "b", Selector: `"x" in namespace.labels`}}, namespace, []string{"a"}},
		{"service account", runner(), []Rule{{Name: "a", Selector: `serviceaccount.labels.team == "payments"`}}, account, []string{"a"}},
		{"one of two decides", runner(), []Rule{{Name: "a", Selector: `namespace.labels.team == "ci" and serviceaccount.labels.team == "x"`}}, account, nil},
		{"another rule has fetched what decides", runner(), []Rule{
			{Name: "a", Selector: `serviceaccount.labels.team == "payments" and namespace.labels.team == "x"`},
			{Name: "b", Selector: `namespace.labels.team == "ci"`}}, namespace, []string{"b"}},
		{"both", runner(), []Rule{{Name: "a", Selector: `namespace.labels.team == "ci" and serviceaccount.labels.team == "payments"`}}, account | namespace, []string{"a"}},
		{"many that need both", runner(), []Rule{
			{Name: "a", Selector: `namespace.labels.team == "ci" and serviceaccount.labels.team == "payments"`},
			{Name: "b", Selector: `namespace.labels.team == "ci" or serviceaccount.labels.team == "payments"`},
			{Name: "c", Selector: `namespace.labels.team == "x" or serviceaccount.labels.team == "x"`}}, account | namespace, []string{"a", "b"}},
		{"the name of a rule that matched", runner(), []Rule{{Name: "a", BindType: BindGroup, BindName: "${namespace.labels.team}"}}, namespace, []string{"a"}},
		{"the name of a rule that did not match", runner(), []Rule{{Name: "a", Selector: `pod.name == "x"`, BindType: BindGroup, BindName: "${namespace.labels.team}"}}, 0, nil},
		{"both, in a name", runner(), []Rule{{Name: "a", BindType: BindGroup, BindName: "${namespace.labels.team}-${serviceaccount.labels.team}"}}, account | namespace, []string{"a"}},

		{"the override is configured, no rule has the name", runner().with(override), []Rule{{Name: "a", Selector: `serviceaccount.namespace == "ci"`}}, 0, []string{"a"}},
		{"the override is configured, rules of another namespace", runner().with(override), []Rule{{Name: "a", Selector: `serviceaccount.namespace == "x" and serviceaccount.name == "web"`}}, 0, nil},
		{"the override is configured, the rule cannot match", runner().with(override), []Rule{{Name: "a", Selector: `serviceaccount.name == "other" and pod.name == "x"`}}, 0, nil},
		{"the override decides", runner().with(override), []Rule{{Name: "a", Selector: `serviceaccount.name == "other"`}, {Name: "b", Selector: `serviceaccount.name == "web"`}}, account, []string{"a"}},
		{"the override decides in the namespace", runner().with(override), []Rule{
			{Name: "a", Selector: `serviceaccount.namespace == "ci" and serviceaccount.name == "other"`},
			{Name: "b", Selector: `serviceaccount.namespace == "ci" and serviceaccount.name == "web"`}}, account, []string{"a"}},
		{"the override decides, negated", runner().with(override), []Rule{{Name: "a", Selector: `serviceaccount.name != "web"`}}, account, []string{"a"}},
		{"the override in a name", runner().with(override), []Rule{{Name: "a", BindType: BindService, BindName: "${serviceaccount.name}"}}, account, []string{"a"}},
		{"the override or the namespace", runner().with(override), []Rule{{Name: "a", Selector: `serviceaccount.name == "other" and namespace.labels.team == "ci"`}}, account | namespace, []string{"a"}},
		{"the override and the namespace, fetched for another rule", runner().with(override), []Rule{
			{Name: "a", Selector: `serviceaccount.name == "other" and namespace.labels.team == "x"`},
			{Name: "b", Selector: `namespace.labels.team == "ci"`}}, namespace, []string{"b"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.cluster.override != "" {
				row.rules = overriding(row.rules...)
			}
			l := row.cluster.login(t)
			grants, err := l.bind(rulesOf(t, row.rules...))
			if err != nil {
				t.Fatal(err)
			}
			if l.asked() != row.want {
				t.Errorf("fetched %v, want %02b", l.fetched, row.want)
			}
			if !slices.Equal(grants.Rules, row.matched) {
				t.Errorf("matched %q, want %q", grants.Rules, row.matched)
			}
		})
	}
}

func TestFetchErrorIsNeverAMismatch(t *testing.T) {
	forbidden := errors.New("serviceaccounts is forbidden")
	for name, rules := range map[string][]Rule{
		"in a selector":          {{Name: "a", Selector: `serviceaccount.labels.team == "x"`}, {Name: "b"}},
		"in a negated selector":  {{Name: "a", Selector: `serviceaccount.labels.team != "x"`}},
		"in a selector of two":   {{Name: "a", Selector: `serviceaccount.labels.team != "x" and namespace.labels.team == "ci"`}},
		"in a name":              {{Name: "a", BindType: BindService, BindName: "${serviceaccount.labels.team}"}},
		"by the override":        {{Name: "a", Selector: `serviceaccount.name == "web"`}},
		"by the override, later": {{Name: "a", Selector: `serviceaccount.name != "web"`}},
	} {
		t.Run(name, func(t *testing.T) {
			c := runner()
			c.override, c.refuse = "consul.hashicorp.com/service-name", map[Source]error{ServiceAccount: forbidden}
			rules := overriding(rules...)
			grants, err := c.login(t).bind(rulesOf(t, rules...))
			if err != forbidden { //nolint:errorlint // the error is returned as it is
				t.Errorf("the error is %v, want that of the fetch", err)
			}
			if !reflect.DeepEqual(grants, Grants{}) {
				t.Errorf("granted %+v", grants)
			}
			if _, grants, err := c.login(t).explain(rulesOf(t, rules...)); err != forbidden || !reflect.DeepEqual(grants, Grants{}) { //nolint:errorlint // the error is returned as it is
				t.Errorf("explained with %+v, %v", grants, err)
			}
		})
	}
}

func TestOverride(t *testing.T) {
	const annotation = "consul.hashicorp.com/service-name"
	rules := rulesOf(t, overriding(
		Rule{Name: "web", Selector: `serviceaccount.name == "web"`},
		Rule{Name: "ci-web", Selector: `serviceaccount.namespace == "ci" and serviceaccount.name == "web"`},
		Rule{Name: "other", Selector: `serviceaccount.name == "other"`},
		Rule{Name: "pattern", Selector: `serviceaccount.name matches "^o"`},
		Rule{Name: "service", BindType: BindService, BindName: "${serviceaccount.name}"},
	)...)
	for _, row := range []struct {
		name        string
		configured  string
		annotations map[string]string
		matched     []string
		service     string
	}{
		{"not configured", "", map[string]string{annotation: "other"}, []string{"ci-web", "service", "web"}, "web"},
		{"annotated", annotation, map[string]string{annotation: "other"}, []string{"other", "pattern", "service"}, "other"},
		{"not annotated", annotation, nil, []string{"ci-web", "service", "web"}, "web"},
		{"annotated without a value", annotation, map[string]string{annotation: ""}, []string{"ci-web", "service", "web"}, "web"},
		{"annotated with what is no name", annotation, map[string]string{annotation: strings.Repeat("o", maxOverrideBytes+1)}, []string{"ci-web", "service", "web"}, "web"},
		{"another annotation", annotation, map[string]string{"x": "other"}, []string{"ci-web", "service", "web"}, "web"},
		{"annotated with its own name", annotation, map[string]string{annotation: "web"}, []string{"ci-web", "service", "web"}, "web"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := runner()
			c.override, c.annotations = row.configured, row.annotations
			grants, err := c.login(t).bind(rules)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(grants.Rules, row.matched) || !slices.Equal(grants.Services, []string{row.service}) {
				t.Errorf("got %+v, want %q and %q", grants, row.matched, row.service)
			}
		})
	}
}

// A rule that does not ask for the annotation means the account of that name,
// whatever the mount has configured for others.
func TestOverrideIsForRulesThatAskForIt(t *testing.T) {
	const annotation = "consul.hashicorp.com/service-name"
	for _, row := range []struct{ name, claimed string }{{"web", "admin"}, {"admin", "web"}} {
		c := runner()
		c.name, c.override, c.annotations = row.name, annotation, map[string]string{annotation: row.claimed}
		var rules []Rule
		for _, as := range []string{"admin", "web"} {
			rules = append(rules,
				Rule{Name: as, Selector: `serviceaccount.name == "` + as + `"`},
				Rule{Name: as + "-here", Selector: `serviceaccount.namespace == "ci" and serviceaccount.name == "` + as + `"`},
				Rule{Name: as + "-pattern", Selector: `serviceaccount.name matches "^` + as + `$"`},
			)
		}
		rules = append(rules, Rule{Name: "name", BindType: BindService, BindName: "${serviceaccount.name}"})
		flagged := overriding(rules...)
		for i := range flagged {
			flagged[i].Name = "o-" + flagged[i].Name
			if flagged[i].BindName == "" {
				flagged[i].BindType, flagged[i].BindName = BindPolicy, flagged[i].Name
			}
		}
		grants, err := c.login(t).bind(rulesOf(t, append(flagged, rules...)...))
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"name", "o-" + row.claimed, "o-" + row.claimed + "-here", "o-" + row.claimed + "-pattern", "o-name", row.name, row.name + "-here", row.name + "-pattern"}
		if slices.Sort(want); !slices.Equal(grants.Rules, want) {
			t.Errorf("%s that calls itself %s: %q match, want %q", row.name, row.claimed, grants.Rules, want)
		}
		if !slices.Equal(grants.Services, []string{"admin", "web"}) {
			t.Errorf("services %q", grants.Services)
		}
	}
}

func TestOverrideInUpperCaseFailsTheLogin(t *testing.T) {
	c := runner()
	c.override, c.annotations = "name", map[string]string{"name": "Other"}
	_, err := c.login(t).bind(rulesOf(t, overriding(Rule{Name: "service", BindType: BindService, BindName: "${serviceaccount.name}"})...))
	var invalid *InvalidNameError
	if !errors.As(err, &invalid) || !strings.Contains(invalid.Reason, "upper-case") {
		t.Errorf("the error is %v", err)
	}
}

// Rules may be written while logins are decided, and while one of them waits for
// the API server.
func TestBindWhileRulesAreWritten(t *testing.T) {
	set := rulesOf(t, Rule{Name: "always", Selector: `namespace.labels.team == "ci"`})
	stop := make(chan struct{})
	var writers, readers sync.WaitGroup
	for w := range 2 {
		writers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				name := fmt.Sprintf("w%d-%d", w, i%50)
				switch i % 3 {
				case 0:
					put(t, set, Rule{Name: name, Selector: `serviceaccount.name == "web"`})
				case 1:
					set.PutBroken(name, errors.New("broken"))
				default:
					set.Delete(name)
				}
			}
		})
	}
	for range 4 {
		readers.Go(func() {
			for range 200 {
				l := runner().login(t)
				within := func(ctx context.Context, source Source) error {
					set.PutBroken("written during a fetch", errors.New("broken"))
					return l.fetch(ctx, source)
				}
				grants, err := set.Bind(context.Background(), l.attrs.ForRules(""), within)
				if err != nil || !slices.Contains(grants.Policies, "always") {
					t.Errorf("got %+v, %v", grants, err)
				}
			}
		})
	}
	readers.Wait()
	close(stop)
	writers.Wait()
}
