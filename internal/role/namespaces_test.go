package role

import (
	"strings"
	"testing"
)

// notCI selects whatever has no label team=ci.
const notCI = `{"matchExpressions":[{"key":"team","operator":"NotIn","values":["ci"]}]}`

// The error says what is wrong and where, in the names of the text.
func TestSelectorErrorsSayWhatIsWrong(t *testing.T) {
	for name, row := range map[string]struct{ text, want string }{
		"mistyped field":      {`{"matchLabel":{"team":"ci"}}`, "matchLabel"},
		"mistyped, in YAML":   {"matchlabelz:\n  team: ci", "matchlabelz"},
		"operator":            {`{"matchExpressions":[{"key":"team","operator":"Like"}]}`, "Like"},
		"key":                 {`{"matchLabels":{"not a key":"x"}}`, "not a key"},
		"value":               {`{"matchLabels":{"team":"not a value"}}`, "not a value"},
		"YAML line":           {"matchLabels:\n  team: [", "line"},
		"empty":               {"# nothing\n", "{}"},
		"too long":            {strings.Repeat(" ", MaxNamespaceSelectorBytes+1), "65536"},
		"the list of another": {`{"matchExpressions":{"key":"team"}}`, "matchExpressions"},
	} {
		t.Run(name, func(t *testing.T) {
			selector, err := parseNamespaceSelector(row.text)
			if selector != nil || err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("selector: %t, error %v; want one that names %q", selector != nil, err, row.want)
			}
		})
	}
}

func TestSelectorMatches(t *testing.T) {
	for name, row := range map[string]struct {
		text   string
		labels map[string]string
		want   bool
	}{
		"equal":                           {`{"matchLabels":{"team":"ci"}}`, map[string]string{"team": "ci", "x": "y"}, true},
		"not equal":                       {`{"matchLabels":{"team":"ci"}}`, map[string]string{"team": "cd"}, false},
		"not there":                       {`{"matchLabels":{"team":"ci"}}`, nil, false},
		"empty value and not there":       {`{"matchLabels":{"team":""}}`, nil, false},
		"empty value":                     {`{"matchLabels":{"team":""}}`, map[string]string{"team": ""}, true},
		"all":                             {`{}`, nil, true},
		"no labels asked for":             {`{"matchLabels":{}}`, map[string]string{"team": "ci"}, true},
		"both have to match":              {`{"matchLabels":{"team":"ci"},"matchExpressions":[{"key":"tier","operator":"Exists"}]}`, map[string]string{"team": "ci"}, false},
		"NotIn matches what is not there": {notCI, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			selector, err := parseNamespaceSelector(row.text)
			if err != nil {
				t.Fatal(err)
			}
			if got := selector.Matches(row.labels); got != row.want {
				t.Errorf("got %t", got)
			}
		})
	}
}

func FuzzParseNamespaceSelector(f *testing.F) {
	for _, seed := range []string{
		`{"matchLabels":{"team":"ci"}}`, "{}", "null", "", "matchLabels:\n  team: ci", notCI, "&a [*a]", "{{", "a: &a [x]\nb: [*a,*a]",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		selector, err := parseNamespaceSelector(text)
		if (selector == nil) != (err != nil) {
			t.Fatalf("%q: selector: %t, error %v", text, selector != nil, err)
		}
		if err != nil {
			return
		}
		selector.Matches(map[string]string{"team": "ci"}) // may not panic
		if _, err := parseStoredNamespaceSelector(text); err != nil {
			t.Errorf("%q may be written, and not be read again: %v", text, err)
		}
	})
}
