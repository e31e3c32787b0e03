package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/metadata"
)

// entities are as Vault 1.21 keeps them: one for each name of an alias. A login
// overwrites the metadata of the alias if it brings another, and sets custom metadata
// only as it creates the alias. A login and a renewal put the entity into the groups
// that they name and that exist, and out of all others of the mount; the lease keeps
// those that existed.
type entities struct {
	byAlias map[string]*entity
	exists  map[string]bool // groups
	writes  int
}

type entity struct {
	metadata, custom map[string]string
	groups           []string
}

// issued is a token: what its own login was granted, and the entity that it has.
type issued struct {
	auth *logical.Auth
	// ofRole tells that the alias is that of roles' logins: under one, or by rules
	// that go through one.
	ofRole   bool
	team     string // custom metadata that its roles give
	entity   *entity
	metadata map[string]string // of the alias, as its login brought it
	granted  []string          // groups
	existed  []string          // of them, at login
}

func (e *entities) login(auth *logical.Auth, ofRole bool, team string) *issued {
	i := &issued{auth: auth, ofRole: ofRole, team: team, metadata: auth.Alias.Metadata}
	for _, group := range auth.GroupAliases {
		i.granted = append(i.granted, group.Name)
	}
	name := strings.ToLower(auth.Alias.Name)
	if e.byAlias[name] == nil {
		e.byAlias[name] = &entity{metadata: auth.Alias.Metadata, custom: auth.Alias.CustomMetadata}
		e.writes++
	}
	i.entity = e.byAlias[name]
	if !maps.Equal(i.entity.metadata, auth.Alias.Metadata) {
		i.entity.metadata = auth.Alias.Metadata
		e.writes++
	}
	e.refresh(i)
	i.existed = i.entity.groups
	return i
}

// refresh is also what a renewal does, with the groups of its answer.
func (e *entities) refresh(i *issued) {
	var groups []string
	i.auth.GroupAliases = slices.DeleteFunc(slices.Clone(i.auth.GroupAliases), func(a *logical.Alias) bool { return !e.exists[a.Name] })
	for _, group := range i.auth.GroupAliases {
		groups = append(groups, group.Name)
	}
	if !slices.Equal(groups, i.entity.groups) {
		e.writes++
	}
	i.entity.groups = groups
}

// fault says what the token has that its own login was not granted, or lacks that it
// was; "" if nothing.
func (i *issued) fault() string {
	for _, group := range i.entity.groups {
		if !slices.Contains(i.granted, group) {
			return "it is in the group " + group
		}
	}
	for _, group := range i.existed {
		if !slices.Contains(i.entity.groups, group) {
			return "it is out of the group " + group
		}
	}
	// Between two roles the secret's name is as in Vault's own method.
	for _, key := range []string{metadata.ConsulService, metadata.ConsulNode, metadata.SecretName} {
		if key == metadata.SecretName && i.ofRole {
			continue
		}
		if i.entity.metadata[key] != i.metadata[key] {
			return fmt.Sprintf("%s is %q and was %q", key, i.entity.metadata[key], i.metadata[key])
		}
	}
	if i.entity.custom["team"] != i.team {
		return fmt.Sprintf("custom metadata is %v", i.entity.custom)
	}
	return ""
}

// world is a mount whose accounts, pods, rules and groups come and go.
type world struct {
	*mount
	*rand.Rand
	gate     bool // whether logins by rules go through a role
	entities *entities
	tokens   []*issued
	log      []string
}

var (
	worldAccounts  = []string{"web", "db", "ci"}
	worldPods      = []string{"", "front-1", "front-2", "runner-1", "secret"}
	worldSelectors = []string{"", `pod.name matches "^runner-"`, `pod.name matches "^front-"`, `serviceaccount.name == "web"`, `pod.name is empty`}
	worldNames     = map[string][]string{
		"policy": {"p1", "p-${serviceaccount.name}"}, "role": {"lent"}, "group": {"g1", "g2"},
		"service": {"s1", "${serviceaccount.name}"}, "node": {"n1", "n2"},
	}
)

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

func newWorld(t *testing.T, seed uint64, gate bool) *world {
	w := &world{
		gate:  gate,
		mount: newRules(t, fields{"binding_rule_audiences": nil}), Rand: rand.New(rand.NewPCG(seed, 1)),
		entities: &entities{byAlias: map[string]*entity{}, exists: map[string]bool{"g1": true}},
	}
	for _, account := range worldAccounts {
		w.api.AddServiceAccount("apps", account)
	}
	for _, pod := range worldPods[1:] {
		w.api.AddPod("apps", pod, "node-"+pod)
	}
	everybody := fields{"bound_service_account_names": "*", "bound_service_account_namespaces": "*"}
	w.write("role/lent", merge(maps.Clone(everybody), fields{"token_policies": "lent"}))
	// Both have the same: which of two roles' custom metadata an alias gets is Vault's way.
	for _, name := range []string{"a", "b"} {
		w.write("role/"+name, merge(maps.Clone(everybody), fields{"token_policies": name, "alias_metadata": map[string]any{"team": "ops"}}))
	}
	// Two under which rules decide; one of them gives aliases custom metadata.
	w.write("role/plain", fields{"use_binding_rules": true, "token_policies": "plain"})
	w.write("role/ornate", fields{"use_binding_rules": true, "alias_metadata": map[string]any{"team": "ornate"}})
	if gate {
		w.do(logical.PatchOperation, "config", fields{"binding_rule_role": "b"})
	}
	w.rule("base", "", "policy", "base")
	return w
}

func (w *world) jwt(account, pod string) string {
	switch pod {
	case "":
		return w.api.Token("apps", account)
	case "secret":
		return w.api.LegacyToken("apps", account, account+"-token")
	}
	return w.api.Token("apps", account, w.api.BoundToPod(pod))
}

func (w *world) logIn(by, account, pod string) {
	data := fields{"jwt": w.jwt(account, pod)}
	if by != "rules" {
		data["role"] = by
	}
	o := w.do(logical.UpdateOperation, "login", data)
	if o.auth == nil {
		w.t.Fatalf("%s: %d %s; logged: %v", w.log, o.status, o.message, w.logs.Take())
	}
	w.log = append(w.log, fmt.Sprintf("#%d is %s/%s by %s", len(w.tokens), account, pod, by))
	byRules := by == "rules" || by == "plain" || by == "ornate"
	team := ""
	switch {
	case w.gate || !byRules:
		team = "ops"
	case by == "ornate":
		team = "ornate"
	}
	w.tokens = append(w.tokens, w.entities.login(o.auth, !byRules || w.gate && by != "ornate", team))
}

func (w *world) renewOne() {
	at := w.IntN(len(w.tokens))
	i := w.tokens[at]
	o := w.renew(i.auth)
	w.log = append(w.log, fmt.Sprintf("renew #%d: %t", at, o.auth != nil))
	if o.auth != nil {
		i.auth = o.auth
		w.entities.refresh(i)
	}
}

func (w *world) act() {
	switch w.IntN(10) {
	case 0, 1, 2:
		w.logIn(pick(w.Rand, []string{"rules", "plain", "ornate"}), pick(w.Rand, worldAccounts), pick(w.Rand, worldPods))
	case 3, 4:
		w.logIn(pick(w.Rand, []string{"a", "b"}), pick(w.Rand, worldAccounts), pick(w.Rand, worldPods))
	case 5, 6:
		if len(w.tokens) > 0 {
			w.renewOne()
		}
	case 7, 8:
		bindType := pick(w.Rand, slices.Sorted(maps.Keys(worldNames)))
		name, selector, bindName := fmt.Sprint("r", w.IntN(6)), pick(w.Rand, worldSelectors), pick(w.Rand, worldNames[bindType])
		w.rule(name, selector, bindType, bindName)
		w.log = append(w.log, fmt.Sprintf("rule %s: %s %s if %s", name, bindType, bindName, selector))
	default:
		name := fmt.Sprint("r", w.IntN(6))
		w.do(logical.DeleteOperation, "binding-rule/"+name, nil)
		w.log = append(w.log, "delete "+name)
		if w.IntN(4) == 0 {
			w.entities.exists["g2"] = true
			w.log = append(w.log, "group g2 is created")
		}
	}
}

// Whatever logins, renewals and changes of rules come before or after it, a token has
// what its own login was granted, and nothing else.
func TestEachTokenHasWhatItsLoginWasGranted(t *testing.T) {
	for seed := range uint64(40) {
		w := newWorld(t, seed, seed%4 == 3)
		for range 80 {
			w.act()
			for at, i := range w.tokens {
				if fault := i.fault(); fault != "" {
					t.Fatalf("seed %d, token #%d: %s\n%s", seed, at, fault, strings.Join(w.log, "\n"))
				}
			}
		}
	}
}

// Logins that were there before write nothing to Vault's storage.
func TestLoginsInTurnWriteNoEntity(t *testing.T) {
	w := newWorld(t, 1, false)
	w.rule("runner", `pod.name matches "^runner-"`, "group", "g1")
	w.rule("front", `pod.name matches "^front-"`, "service", "front")
	round := func() {
		for _, pod := range []string{"", "front-1", "front-2", "runner-1"} {
			w.logIn("rules", "web", pod)
			w.logIn("plain", "web", pod)
			w.logIn("ornate", "web", pod)
			w.logIn("a", "web", pod)
		}
	}
	round()
	before := w.entities.writes
	round()
	if got := w.entities.writes - before; got != 0 {
		t.Errorf("%d writes of entities", got)
	}
}
