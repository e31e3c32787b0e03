package binding

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// The decision is compared with trying: over few characters, all values of a few
// lengths, and whether any two sets of them are one text.
func TestCollideAgainstTrying(t *testing.T) {
	const seed, rounds = 7, 300
	random := rand.New(rand.NewPCG(seed, seed))
	alphabet := []byte("a-_.")
	values := map[shape][]string{}
	for _, s := range []shape{shapeAny, shapeLabel, shapeSubdomain, shapeValue} {
		values[s] = textsOf(language{shape: s}, alphabet, 4)
	}
	yes := 0
	for range rounds {
		parts := randomParts(random)
		found := collide(parts, alphabet)
		tried := tryToCollide(parts, values)
		if found == nil {
			if tried != "" {
				t.Fatalf("seed %d, %+v: no collision was found, and %q is one", seed, parts, tried)
			}
			continue
		}
		yes++
		// What was found may be longer than what was tried, and proves itself.
		if join(parts, found.first) != found.name || join(parts, found.second) != found.name ||
			!gives(parts, found.first) || !gives(parts, found.second) || slices.Equal(found.first, found.second) {
			t.Fatalf("%+v: %+v is no collision", parts, found)
		}
	}
	if yes < rounds/10 || yes > rounds*9/10 {
		t.Errorf("%d of %d collide, which tells little", yes, rounds)
	}
}

func randomParts(random *rand.Rand) []language {
	shapes := []shape{shapeAny, shapeLabel, shapeSubdomain, shapeValue}
	literals := []string{"-", "_", ".", "a", "-a-", "_a", "-_", "..", "a-"}
	var parts []language
	for range 2 {
		if random.IntN(2) == 0 {
			parts = append(parts, literalPart(literals[random.IntN(len(literals))]))
		}
		parts = append(parts, language{shape: shapes[random.IntN(len(shapes))]})
		if random.IntN(3) > 0 {
			parts = append(parts, literalPart(literals[random.IntN(len(literals))]))
		}
	}
	return parts
}

// textsOf are the texts of a language up to a length.
func textsOf(l language, alphabet []byte, longest int) []string {
	type text struct {
		text  string
		state int
	}
	var found []string
	for queue := []text{{}}; len(queue) > 0; queue = queue[1:] {
		now := queue[0]
		if l.accepts(now.state) {
			found = append(found, now.text)
		}
		if len(now.text) == longest {
			continue
		}
		for _, char := range alphabet {
			if state := l.step(now.state, char); state != dead {
				queue = append(queue, text{now.text + string(char), state})
			}
		}
	}
	return found
}

// tryToCollide returns a text that two sets of values give, or "".
func tryToCollide(parts []language, values map[shape][]string) string {
	var variable []int
	for i, part := range parts {
		if !part.isLiteral() {
			variable = append(variable, i)
		}
	}
	seen := map[string]bool{}
	for _, a := range values[parts[variable[0]].shape] {
		for _, b := range values[parts[variable[1]].shape] {
			name := join(parts, []string{a, b})
			if seen[name] {
				return name
			}
			seen[name] = true
		}
	}
	return ""
}

// gives tells whether the values are ones of the parts.
func gives(parts []language, values []string) bool {
	for _, part := range parts {
		if part.isLiteral() {
			continue
		}
		state := 0
		for _, char := range []byte(values[0]) {
			if state = part.step(state, char); state == dead {
				return false
			}
		}
		if !part.accepts(state) {
			return false
		}
		values = values[1:]
	}
	return len(values) == 0
}

func join(parts []language, values []string) string {
	var name strings.Builder
	for _, part := range parts {
		if part.isLiteral() {
			name.WriteString(part.literal)
			continue
		}
		name.WriteString(values[0])
		values = values[1:]
	}
	return name.String()
}

// The pairs that people write.
func TestCollisionOfPairs(t *testing.T) {
	for bindName, want := range map[string]bool{
		"${serviceaccount.namespace}-${serviceaccount.name}":                             true,
		"${serviceaccount.namespace}${serviceaccount.name}":                              true,
		"${serviceaccount.namespace}.${serviceaccount.name}":                             false, // a namespace has no dot
		"${serviceaccount.name}.${serviceaccount.namespace}":                             false,
		"${serviceaccount.name}-${serviceaccount.namespace}":                             true,
		"${pod.name}.${serviceaccount.name}":                                             true,
		"${serviceaccount.namespace}_${serviceaccount.name}":                             false,
		"${serviceaccount.namespace}/${serviceaccount.name}":                             false,
		"${serviceaccount.uid}-${serviceaccount.name}":                                   false, // a uid has one length
		"${serviceaccount.name}-${serviceaccount.uid}":                                   false,
		"${serviceaccount.namespace}-x-${serviceaccount.name}":                           true,
		"${serviceaccount.namespace}--${serviceaccount.name}":                            true, // labels may have two in a row
		"${serviceaccount.namespace}-${serviceaccount.namespace}":                        false,
		"${cluster.name}-${serviceaccount.name}":                                         false,
		"${serviceaccount.annotations.a}_${serviceaccount.annotations.b}":                true,
		"${namespace.labels.a}_${serviceaccount.namespace}":                              false,
		"${namespace.labels.a}_${namespace.labels.b}":                                    true,
		"${namespace.labels.a}/${namespace.labels.b}":                                    false,
		"${serviceaccount.namespace}_${serviceaccount.name}-${pod.name}":                 true,
		"${serviceaccount.namespace}_${serviceaccount.name}_${pod.name}":                 false,
		"é-${serviceaccount.namespace}é${serviceaccount.name}":                           false,
		"${serviceaccount.namespace}-${serviceaccount.name}-${serviceaccount.namespace}": true,
	} {
		rule, err := Compile(Rule{Name: "r", BindType: BindGroup, BindName: bindName})
		if err != nil {
			t.Fatal(err)
		}
		if got := rule.collision(rule.template, Setting{}); (got != nil) != want {
			t.Errorf("%s: %+v, want %t", bindName, got, want)
		}
	}
}
