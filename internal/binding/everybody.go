package binding

import (
	"fmt"
	"regexp/syntax"
	"slices"
	"strings"
)

// HoldsForAnybody tells whether the selector holds for service accounts that nobody has
// thought of, whatever they are called and wherever they run, so that it is as good as one
// for everybody: serviceaccount.namespace matches ".", for example. It is tried with names
// that are made up, and with all that the selector itself mentions: one that leaves out
// something, such as serviceaccount.namespace != "kube-system", says whom it means.
func (s *Selector) HoldsForAnybody(mount Setting) bool {
	if s.MatchesAll() {
		return true
	}
	mentioned, ok := mentionedTexts(s.root)
	if !ok {
		return false // it takes more thought than this
	}
	for i, namespace := range madeUp {
		m := somebody{namespace: namespace, name: madeUp[(i+11)%len(madeUp)], uid: madeUpUIDs[i%len(madeUpUIDs)], mount: mount}
		if i%2 == 0 {
			m.other = m.name // in a pod, and with a label
		}
		if !m.fits(s.root) {
			return false
		}
	}
	for _, first := range mentioned {
		for _, second := range slices.Concat(mentioned, madeUp[:1]) {
			for _, m := range []somebody{
				{namespace: first, name: second, uid: first, other: first, mount: mount},
				{namespace: second, name: first, uid: first, other: first, mount: mount},
			} {
				if !m.fits(s.root) {
					return false
				}
			}
		}
	}
	return true
}

// madeUp are names as people could give them, each of another look: no character is in all
// of them, and none begins or ends more than a few.
var madeUp = func() []string {
	names := []string{"k8s-7q", "x-1", "payments-api-2", "web", "j0", "long-name-of-a-small-team"}
	for i := range 26 {
		names = append(names, strings.Map(func(r rune) rune { return 'a' + (r-'a'+rune(i))%26 }, "ahdlq"))
	}
	return names
}()

var madeUpUIDs = []string{
	"00112233-4455-4677-8899-aabbccddeeff", "9f8e7d6c-5b4a-4392-8170-fedcba987654",
	"31415926-5358-4793-a384-626433832795", "deadbeef-cafe-4bad-b00b-facefeedd00d",
}

// maxMentioned bounds the texts of a selector that are tried, each with each.
const maxMentioned = 32

// mentionedTexts are the texts that the expression compares with, and of each regular
// expression one that it matches. ok is false where there are too many, or one of these
// could not be found.
func mentionedTexts(root node) (texts []string, ok bool) {
	ok = true
	each(root, true, func(c *comparison, _ bool) {
		text := c.value
		switch c.test {
		case isEmpty:
			return
		case matches:
			parsed, err := syntax.Parse(c.value, syntax.Perl)
			if err != nil {
				ok = false
				return
			}
			text = sample(parsed.Simplify())
			ok = ok && c.regexp.MatchString(text)
		}
		if text != "" && !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	})
	return texts, ok && len(texts) <= maxMentioned
}

// sample is a text that a regular expression matches, or mostly so: what stands at the
// edges of words is left to chance.
func sample(r *syntax.Regexp) string {
	switch r.Op {
	case syntax.OpLiteral:
		return string(r.Rune)
	case syntax.OpCharClass:
		for _, char := range "ax0-._" {
			if inClass(r.Rune, char) {
				return string(char)
			}
		}
		if len(r.Rune) > 0 {
			return string(r.Rune[0])
		}
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return "a"
	case syntax.OpCapture, syntax.OpPlus, syntax.OpAlternate:
		return sample(r.Sub[0])
	case syntax.OpConcat:
		var text strings.Builder
		for _, sub := range r.Sub {
			text.WriteString(sample(sub))
		}
		return text.String()
	}
	return "" // anchors, and what may be left out
}

// inClass tells whether a character is in a class, which is pairs of bounds.
func inClass(bounds []rune, char rune) bool {
	for i := 0; i+1 < len(bounds); i += 2 {
		if bounds[i] <= char && char <= bounds[i+1] {
			return true
		}
	}
	return false
}

// somebody is a service account that was made up. It is no identity, and gets nothing.
type somebody struct {
	namespace, name, uid string
	// other is each attribute that need not be there; empty where there is none.
	other string
	mount Setting
}

func (m somebody) fits(root node) bool {
	switch n := root.(type) {
	case all:
		return true
	case and:
		return some(n, m.fits, false)
	case or:
		return some(n, m.fits, true)
	case not:
		return !m.fits(n.operand)
	case *comparison:
		return m.passes(n) != n.negate
	}
	panic(fmt.Sprintf("unknown node %T", root))
}

// passes evaluates the test of a comparison, before negation.
func (m somebody) passes(c *comparison) bool {
	switch c.ref.kindOf() {
	case kindMap, kindList:
		is := m.other != "" || c.ref.name == namespaceLabels || c.ref.name == "audiences"
		if c.test == isEmpty {
			return !is
		}
		return c.ref.name == namespaceLabels && c.value == nameOfNamespace || m.other != "" && c.value == m.other
	}
	text := m.text(c.ref)
	return c.passes(text, text != "")
}

func (m somebody) text(r ref) string {
	switch r.name {
	case saNamespace:
		return m.namespace
	case saName:
		return m.name
	case "serviceaccount.uid":
		return m.uid
	case clusterName:
		return m.mount.ClusterName
	case consulNamespace:
		if m.other == "" && m.mount.MapsNamespaces {
			return m.namespace
		}
	case namespaceLabels:
		if r.key == nameOfNamespace {
			return m.namespace
		}
	}
	return m.other
}

// nameOfNamespace is a label that Kubernetes gives to each namespace.
const nameOfNamespace = "kubernetes.io/metadata.name"
