package typo

import (
	"strings"
	"testing"
)

func TestListInText(t *testing.T) {
	for text, want := range map[string]string{ // * for no form
		`["vault"]`:             "write vault",
		`["vault","other"]`:     "write vault,other",
		`["vault", "other"]`:    "write vault,other",
		`['vault','other']`:     "write vault,other",
		`[vault]`:               "write vault",
		`"vault"`:               "write vault",
		`'vault'`:               "write vault",
		`{"a":"b"}`:             "write the names with commas",
		`[]`:                    "write the names with commas",
		`["a b"]`:               "write the names with commas",
		`vault`:                 "",
		`vault,other`:           "",
		`https://[fd00::1]`:     "",
		`https://vault.example`: "",
		`team-*`:                "",
		"":                      "",
	} {
		got := ListInText(strings.Split(text, ","))
		if (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	if got := ListInText([]string{`["` + strings.Repeat("x", 5000) + `"]`}); got == "" || len(got) > 300 {
		t.Errorf("%d bytes: %.400s", len(got), got)
	}
}

func TestAudiences(t *testing.T) {
	for text, refused := range map[string]bool{
		"vault": false, "https://kubernetes.default.svc": false, "api://a_b:c/d?e=f": false, "urn:x": false, "https://[fd00::1]:443": false,
		"*": true, "https://*.example.com": true, "$AUDIENCE": true, "<audience>": true, "{{audience}}": true, `["vault"]`: true,
	} {
		if got := Audiences([]string{text}); (got != "") != refused {
			t.Errorf("%s: %q", text, got)
		}
	}
}
