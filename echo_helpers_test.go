package main

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/kubetest"
	"vault-plugin-auth-kubernetes/internal/telemetry"
)

// echoed are the secrets that nothing may repeat, by what they are. A feature that
// brings a secret adds it here, in newEchoMount or in the run that needs it.
type echoed map[string]string

// leakedPart is how much of a secret in a row is a leak.
const leakedPart = 12

// leakedBytes is how much of the bytes of a signature is.
const leakedBytes = 8

// echoEncodings are how a front may write what it repeats.
var echoEncodings = []struct {
	name   string
	encode func(string) string
}{
	{"as it is", func(s string) string { return s }},
	{"base64", func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }},
	{"base64url", func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }},
	{"lines of base64", func(s string) string { return inLines(base64.StdEncoding.EncodeToString([]byte(s)), 76) }},
	{"lines of 64", func(s string) string { return inLines(s, 64) }},
	{"hex", func(s string) string { return hex.EncodeToString([]byte(s)) }},
	{"upper hex", func(s string) string { return strings.ToUpper(hex.EncodeToString([]byte(s))) }},
	{"percent", func(s string) string { return percentEncoded(s) }},
	{"query", url.QueryEscape},
	{"quoted", func(s string) string { return fmt.Sprintf("%q", s) }},
	{"upper case", strings.ToUpper},
	{"lower case", strings.ToLower},
	{"signature in hex", func(s string) string {
		return ofSignature(s, func(b []byte) string { return hex.EncodeToString(b) })
	}},
	{"signature in hex with colons", func(s string) string {
		return ofSignature(s, func(b []byte) string { return strings.ReplaceAll(fmt.Sprintf("% X", b), " ", ":") })
	}},
	{"signature in bytes", func(s string) string { return ofSignature(s, func(b []byte) string { return fmt.Sprintf("%d", b) }) }},
	{"signature escaped", func(s string) string {
		return ofSignature(s, func(b []byte) string { return strings.ReplaceAll(fmt.Sprintf(" % x", b), " ", `\x`) })
	}},
	{"cut", func(s string) string { return s[:len(s)*2/3] }},
}

var wholeToken = regexp.MustCompile(`eyJ[\w-]+\.[\w-]+\.[\w-]+`)

// ofSignature has the signature of each token in a text, and what is no token in place of
// the rest of it, as somebody does who takes claims for no secret.
func ofSignature(text string, write func(signature []byte) string) string {
	return wholeToken.ReplaceAllStringFunc(text, func(token string) string { return write(signatureOf(token)) })
}

// signatureOf are the bytes of a token's signature, none of what is no token.
func signatureOf(token string) []byte {
	if !wholeToken.MatchString(token) {
		return nil
	}
	signature, err := base64.RawURLEncoding.DecodeString(token[strings.LastIndexByte(token, '.')+1:])
	if err != nil {
		return nil
	}
	return signature
}

func percentEncoded(s string) string {
	var out strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&out, "%%%02X", s[i])
	}
	return out.String()
}

func inLines(s string, width int) string {
	var out strings.Builder
	for ; len(s) > width; s = s[width:] {
		out.WriteString(s[:width] + "\r\n")
	}
	return out.String() + s
}

var unpercent = regexp.MustCompile(`%(25)*([0-9a-f]{2})`)

// unwrapped is a text without white space and without line feeds and tabs in escapes, with
// any number of backslashes. Like find, it only reads what nothing else writes.
//
//go:norace
func unwrapped(text string) string {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case ' ', '\t', '\n', '\f', '\r':
			continue
		case '\\':
			end := i
			for end < len(text) && text[end] == '\\' {
				end++
			}
			if end < len(text) && (text[end] == 'r' || text[end] == 'n' || text[end] == 't') {
				i = end
				continue
			}
		}
		out = append(out, text[i])
	}
	return string(out)
}

// secretForms are all parts of secrets in all encodings, in lower case, by their length,
// with the names of the secrets.
type secretForms struct {
	byLength map[int]map[string]string
	// begins has the first four bytes of each form, as the hash that beginning makes of
	// them. Few places of a text have one, so the forms themselves are rarely looked up:
	// the race detector makes each look-up dear, and there are millions.
	begins [1 << beginBits]bool
}

const beginBits = 20

// beginning is a hash of the first four bytes of a text.
func beginning(b0, b1, b2, b3 byte) uint32 {
	word := uint32(b0) | uint32(b1)<<8 | uint32(b2)<<16 | uint32(b3)<<24
	return word * 2654435761 >> (32 - beginBits)
}

func (f *secretForms) add(form, name string) {
	form = strings.ToLower(form)
	if f.byLength[len(form)] == nil {
		f.byLength[len(form)] = map[string]string{}
	}
	f.byLength[len(form)][form] = name
	f.begins[beginning(form[0], form[1], form[2], form[3])] = true
}

// find returns the first part of a secret in a text in lower case, and whose it is. It
// only reads, and what nothing else writes by then, so that the race detector need not
// look at each byte.
//
//go:norace
func (f *secretForms) find(text string) (part, name string) {
	for i := 0; i+4 <= len(text); i++ {
		if !f.begins[beginning(text[i], text[i+1], text[i+2], text[i+3])] {
			continue
		}
		for length, forms := range f.byLength {
			if i+length > len(text) {
				continue
			}
			if name, ok := forms[text[i:i+length]]; ok {
				return text[i : i+length], name
			}
		}
	}
	return "", ""
}

// wantNoPartOf fails the test if a text has a part of a secret in it, in one of the
// encodings. It finds them in another way than internal/scrub does.
func wantNoPartOf(t *testing.T, secrets *secretForms, where, text string) {
	t.Helper()
	text = strings.ToLower(text)
	variants := []string{text, unwrapped(text)}
	if strings.Contains(text, "%") {
		variants = append(variants, unpercent.ReplaceAllStringFunc(text, func(escape string) string {
			if plain, err := url.PathUnescape("%" + escape[len(escape)-2:]); err == nil {
				return strings.ToLower(plain)
			}
			return escape
		}))
	}
	for _, text := range variants {
		if part, name := secrets.find(text); name != "" {
			t.Errorf("%s holds %q of the %s: %.300s", where, part, name, text)
			return
		}
	}
}

// forms are all parts of the secrets in all encodings.
func (e echoed) forms() *secretForms {
	forms := &secretForms{byLength: map[int]map[string]string{}}
	for name, secret := range e {
		for i := 0; i == 0 || i+leakedPart <= len(secret); i++ {
			for _, form := range formsOf(secret[i:min(len(secret), i+leakedPart)]) {
				forms.add(form, name)
			}
		}
		signature := signatureOf(secret)
		for i := 0; i+leakedBytes <= len(signature); i++ {
			part := signature[i : i+leakedBytes]
			for _, form := range []string{"%x", "% x", "%d"} {
				forms.add(strings.Trim(fmt.Sprintf(form, part), "[]"), name+"'s signature")
			}
			forms.add(strings.ReplaceAll(fmt.Sprintf("% x", part), " ", ":"), name+"'s signature")
			forms.add(strings.ReplaceAll(fmt.Sprintf(" % x", part), " ", `\x`), name+"'s signature")
		}
	}
	return forms
}

func formsOf(part string) []string {
	forms := []string{part, hex.EncodeToString([]byte(part))}
	for before := range 3 {
		code := base64.RawStdEncoding.EncodeToString(append(make([]byte, before), part...))
		code = code[[]int{0, 2, 3}[before] : len(code)-1]
		forms = append(forms, code, strings.NewReplacer("+", "-", "/", "_").Replace(code))
	}
	return forms
}

// echoMount is a mount that logs whatever it can, and what was read of it.
type echoMount struct {
	*mount
	test    *testing.T
	secrets echoed
	forms   *secretForms // of secrets
	jwt     string
	second  string          // what asks about jwt in some logins
	two     bool            // there are such logins
	leased  []*logical.Auth // of logins before there was a front
}

func newEchoMount(t *testing.T, config fields) *echoMount {
	t.Helper()
	m := newDemo(t, merge(fields{
		"use_annotations_as_alias_metadata": true, "verification": "keys_then_review", "request_timeout": 2,
		"prefer_login_reviewer_jwt": true,
	}, config), fields{"bound_service_account_namespace_selector": `{"matchLabels":{"team":"x"}}`})
	m.freshLog()
	m.api.AddNamespace("apps", map[string]string{"team": "x"})
	m.api.Grant("apps", "web", kubetest.TokenReviews, kubetest.Namespaces, kubetest.ServiceAccounts)
	m.rule("all", `serviceaccount.name == "web"`, "policy", "p1")
	e := &echoMount{mount: m, test: t, jwt: m.token(), second: m.token(kubetest.Audience(m.api.Issuer))}
	e.secrets = echoed{"reviewer's token": m.api.Reviewer, "login's token": e.jwt}
	return e
}

// lease logs in, for renewals to come.
func (e *echoMount) lease() {
	e.leased = []*logical.Auth{e.mustLogin(e.jwt), e.mustLoginByRules(e.jwt)}
}

// want looks for secrets in an answer and in what was logged since the last one.
func (e *echoMount) want(where string, o outcome) {
	t := e.test
	t.Helper()
	if e.forms == nil {
		e.forms = e.secrets.forms()
	}
	for _, key := range []string{"kubernetes_ca_cert", "config/kubernetes_ca_cert"} {
		delete(o.data, key) // its base64 has the word kubernetes in it, as tokens do
	}
	text := fmt.Sprint(o.message, o.warnings, o.data)
	if o.auth != nil {
		text += fmt.Sprintf("%+v %+v", o.auth, o.auth.Alias)
	}
	if raw, ok := o.data[logical.HTTPRawBody].([]byte); ok {
		text += string(raw)
	}
	wantNoPartOf(t, e.forms, where+" (answer)", text)
	wantNoPartOf(t, e.forms, where+" (log)", fmt.Sprint(e.logs.Take()))
}

// freshLog makes each warning the first of its kind, and logs all logins.
func (m *mount) freshLog() {
	m.log = telemetry.NewLog()
	m.log.Logins = true
}
