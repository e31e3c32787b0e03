package typo

import (
	"strings"
	"testing"
)

func TestValues(t *testing.T) {
	for _, row := range []struct {
		tell       func(string) string
		text, want string // what the reason ends with
	}{
		{Boolean, "yes", "; write true"},
		{Boolean, " 'On' ", "; write true"},
		{Boolean, "OFF", "; write false"},
		{Boolean, "maybe", "; write true or false"},
		{Duration, "1 h", "; write 1h"},
		{Duration, "1day", "; write 24h"},
		{Duration, "2 weeks", "; write 336h"},
		{Duration, "90 minutes", "; write 90m"},
		{Duration, `"30s"`, "; write 30s"},
		{Duration, "5 fortnights", "such as 30m"},
		{Duration, "ten", "such as 30m"},
		{Duration, "99999999999999999999 h", "such as 30m"},
		{KeyValue, "a:b", "; write a=b"},
		{KeyValue, "a => b", "; write a=b"},
		{KeyValue, `{"a": "b", "c": "d"}`, "; write a=b,c=d"},
		{KeyValue, `{"a": "b,c"}`, "; write them as key=value, once for each"},
		{KeyValue, "a", "; write them as key=value, once for each"},
		{KeyValue, "a:b,c:d", "; write them as key=value, once for each"},
		{Whole, "x", `"x" is no whole number, such as 5 is`},
	} {
		if got := row.tell(row.text); !strings.HasSuffix(got, row.want) {
			t.Errorf("%q: %s, want it to end with %q", row.text, got, row.want)
		}
	}
	for text, want := range map[string]string{
		`"https://a"`: "https://a", `["https://a"]`: "https://a", "https://a/.well-known/openid-configuration": "https://a",
		"https://a": "", " https://a ": "", "https://a, https://b": "", "kubernetes/serviceaccount": "", "": "", `""`: "",
	} {
		if got := Issuer(text); want == "" && got != "" || want != "" && !strings.HasSuffix(got, "; write "+want) {
			t.Errorf("%s: %s", text, got)
		}
	}
	if got := Boolean(strings.Repeat("x", 1<<20)); len(got) > 200 {
		t.Errorf("%d bytes of an answer", len(got))
	}
}
