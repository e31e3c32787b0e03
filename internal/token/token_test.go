package token

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/internal/kubetest"
)

// now is the time of all tests here.
var now = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// draft is a projected token, ready to be changed.
func draft(key kubetest.Key) *kubetest.Draft {
	return &kubetest.Draft{Key: key, Claims: map[string]any{
		"iss": kubetest.DefaultIssuer,
		"sub": "system:serviceaccount:apps:web",
		"aud": []string{"vault"},
		"exp": now.Add(time.Hour).Unix(),
		"nbf": now.Unix(),
		"kubernetes.io": map[string]any{
			"namespace":      "apps",
			"serviceaccount": map[string]any{"name": "web", "uid": "uid-1"},
		},
	}}
}

func legacyDraft(key kubetest.Key) *kubetest.Draft {
	return &kubetest.Draft{Key: key, Claims: map[string]any{
		"iss":                                    "kubernetes/serviceaccount",
		"kubernetes.io/serviceaccount/namespace": "apps",
		"kubernetes.io/serviceaccount/secret.name":          "web-token",
		"kubernetes.io/serviceaccount/service-account.name": "web",
		"kubernetes.io/serviceaccount/service-account.uid":  "uid-1",
	}}
}

func b64(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

func TestParseRefuses(t *testing.T) {
	key := kubetest.NewECDSAKey()
	good := draft(key).Sign()
	segments := strings.Split(good, ".")
	withHeader := func(header string) string { return b64(header) + "." + segments[1] + "." + segments[2] }
	withPayload := func(payload string) string { return segments[0] + "." + b64(payload) + "." + segments[2] }

	for name, raw := range map[string]string{
		"empty":                          "",
		"only space":                     " \n\t",
		"garbage":                        "garbage",
		"only dots":                      "..",
		"two segments":                   segments[0] + "." + segments[1],
		"four segments":                  good + ".x",
		"five segments, as if encrypted": good + "." + segments[0] + "." + segments[1],
		"no payload":                     segments[0] + ".." + segments[2],
		"no header":                      "." + segments[1] + "." + segments[2],
		"no signature":                   segments[0] + "." + segments[1] + ".",
		"JSON serialization":             `{"payload":"` + segments[1] + `","protected":"` + segments[0] + `","signature":"` + segments[2] + `"}`,
		"one byte too long":              good + strings.Repeat("A", MaxBytes+1-len(good)),
		"a MiB":                          strings.Repeat("A", 1<<20),
		"a MiB of dots":                  strings.Repeat(".", 1<<20),
		"header too long":                withHeader(`{"alg":"ES256","x":"` + strings.Repeat("x", maxHeaderBytes) + `"}`),
		"unsigned":                       kubetest.Forge(map[string]any{"alg": "none"}, map[string]any{}, nil),
		"unsigned, in another case":      withHeader(`{"alg":"NoNe"}`),
		"shared secret":                  draft(kubetest.SharedSecret(strings.Repeat("secret", 8))).Sign(),
		"public key as a shared secret":  draft(kubetest.SharedSecret(key.PublicPEM())).Sign(),
		"HS512 in the header":            withHeader(`{"alg":"HS512"}`),
		"EdDSA in the header":            withHeader(`{"alg":"EdDSA"}`),
		"algorithm in another case":      withHeader(`{"alg":"es256"}`),
		"algorithm with space":           withHeader(`{"alg":"ES256 "}`),
		"no algorithm":                   withHeader(`{}`),
		"algorithm is a number":          withHeader(`{"alg":256}`),
		"algorithm is a list":            withHeader(`{"alg":["ES256"]}`),
		"two algorithms":                 withHeader(`{"alg":"none","alg":"ES256"}`),
		"header is not JSON":             withHeader("alg=ES256"),
		"header is a list":               withHeader(`[]`),
		"header is not closed":           withHeader(`{"alg":"ES256"`),
		"deep JSON in the header":        withHeader(`{"alg":"ES256","x":` + strings.Repeat("[", 600)),
		"payload is not base64":          segments[0] + ".A." + segments[2],
		"payload is not JSON":            withPayload("aud=vault"),
		"payload is a list":              withPayload(`[]`),
		"payload is a string":            withPayload(`"x"`),
		"payload is two objects":         withPayload(`{}{}`),
		"deep JSON in the payload":       withPayload(`{"x":` + strings.Repeat("[", 11000) + strings.Repeat("]", 1000) + "}"),
		"claim given twice":              withPayload(`{"iss":"a","iss":"b"}`),
		"audience is null":               withPayload(`{"aud":null}`),
		"audience is a number":           withPayload(`{"aud":1}`),
		"audience is an object":          withPayload(`{"aud":{"vault":true}}`),
		"audience list with a number":    withPayload(`{"aud":["vault",1]}`),
		"audience list in a list":        withPayload(`{"aud":[["vault"]]}`),
		"issuer is a number":             withPayload(`{"iss":1}`),
		"expiry is a word":               withPayload(`{"exp":"never"}`),
		"legacy name is a list":          withPayload(`{"kubernetes.io/serviceaccount/service-account.name":["web"]}`),
		"character not in base64url":     good + "+",
		"padding":                        good + "=",
		"not ASCII":                      good[:len(good)-1] + "é",
		"zero byte":                      good + "\x00",
		"newline within":                 segments[0] + ".\n" + segments[1] + "." + segments[2],
		"space within":                   segments[0] + ". " + segments[1] + "." + segments[2],
		"bearer in front":                "Bearer " + good,
		"not UTF-8":                      good + "\xff\xfe",
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Parse(raw)
			if got != nil || !errors.Is(err, ErrMalformed) {
				t.Fatalf("got a token: %t, error %v; want ErrMalformed", got != nil, err)
			}
			for segment := range strings.SplitSeq(raw, ".") {
				if len(segment) > 8 && strings.Contains(err.Error(), segment) {
					t.Errorf("the error holds a part of the token: %v", err)
				}
			}
		})
	}
}

func TestParseAccepts(t *testing.T) {
	key := kubetest.NewECDSAKey()
	long := draft(key).Sign(kubetest.Claim("x", strings.Repeat("x", 11000)))
	for name, row := range map[string]struct {
		raw       string
		audiences []string
	}{
		"projected":                 {draft(key).Sign(), []string{"vault"}},
		"from a secret":             {legacyDraft(key).Sign(), nil},
		"space around":              {"\n " + draft(key).Sign() + "\n", []string{"vault"}},
		"audience is a string":      {draft(key).Sign(kubetest.Claim("aud", "vault")), []string{"vault"}},
		"audience is an empty list": {draft(key).Sign(kubetest.Claim("aud", []string{})), nil},
		"several audiences":         {draft(key).Sign(kubetest.Audience("a", "b")), []string{"a", "b"}},
		"many audiences": {
			draft(key).Sign(kubetest.Audience(make([]string, 1000)...)), make([]string, 1000),
		},
		"audience with other letters": {draft(key).Sign(kubetest.Audience("https://ü.example/ü?x")), []string{"https://ü.example/ü?x"}},
		"no claims at all":            {(&kubetest.Draft{Key: key, Claims: map[string]any{}}).Sign(), nil},
		"unknown claims":              {draft(key).Sign(kubetest.Claim("x", map[string]any{"y": []int{1}})), []string{"vault"}},
		"long":                        {long, []string{"vault"}},
		"RSA":                         {draft(kubetest.NewRSAKey()).Sign(), []string{"vault"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Parse(row.raw)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got.UnverifiedAudiences(), row.audiences) {
				t.Errorf("audiences %q, want %q", got.UnverifiedAudiences(), row.audiences)
			}
			if got.Raw() != strings.TrimSpace(row.raw) {
				t.Error("the token was changed")
			}
		})
	}
}

func parsed(t *testing.T, raw string) *Unverified {
	t.Helper()
	u, err := Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestCheckTime(t *testing.T) {
	key := kubetest.NewECDSAKey()
	for name, row := range map[string]struct {
		change  kubetest.Change
		refused bool
	}{
		"valid":                       {change: kubetest.Expiry(now.Add(time.Second))},
		"no expiry":                   {change: kubetest.WithoutClaim("exp")},
		"no beginning":                {change: kubetest.WithoutClaim("nbf")},
		"expired within the leeway":   {change: kubetest.Expiry(now.Add(-Leeway))},
		"expired beyond the leeway":   {change: kubetest.Expiry(now.Add(-Leeway - time.Second)), refused: true},
		"expired at the epoch":        {change: kubetest.Claim("exp", 0), refused: true},
		"expired before the epoch":    {change: kubetest.Claim("exp", -1), refused: true},
		"expiry is a fraction":        {change: kubetest.Claim("exp", float64(now.Unix())+0.5)},
		"begins within the leeway":    {change: kubetest.Claim("nbf", now.Add(Leeway).Unix())},
		"begins beyond the leeway":    {change: kubetest.Claim("nbf", now.Add(Leeway+time.Second).Unix()), refused: true},
		"begins in a thousand years":  {change: kubetest.Claim("nbf", now.AddDate(1000, 0, 0).Unix()), refused: true},
		"expires in a thousand years": {change: kubetest.Claim("exp", now.AddDate(1000, 0, 0).Unix())},
	} {
		t.Run(name, func(t *testing.T) {
			err := parsed(t, draft(key).Sign(row.change)).CheckTime(now)
			if (err != nil) != row.refused {
				t.Errorf("error %v, want one: %t", err, row.refused)
			}
		})
	}
}

func TestCheckIssuer(t *testing.T) {
	key := kubetest.NewECDSAKey()
	for name, row := range map[string]struct {
		change  kubetest.Change
		refused bool
	}{
		"the same":            {change: kubetest.Claim("iss", "https://issuer")},
		"another":             {change: kubetest.Claim("iss", "https://other"), refused: true},
		"trailing slash":      {change: kubetest.Claim("iss", "https://issuer/"), refused: true},
		"longer":              {change: kubetest.Claim("iss", "https://issuer.example.com"), refused: true},
		"another case":        {change: kubetest.Claim("iss", "https://Issuer"), refused: true},
		"none":                {change: kubetest.WithoutClaim("iss"), refused: true},
		"claim in upper case": {change: func(d *kubetest.Draft) { delete(d.Claims, "iss"); d.Claims["ISS"] = "https://issuer" }, refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			err := parsed(t, draft(key).Sign(row.change)).CheckIssuer("https://issuer")
			if (err != nil) != row.refused {
				t.Errorf("error %v, want one: %t", err, row.refused)
			}
		})
	}
}

func TestCheckAudience(t *testing.T) {
	key := kubetest.NewECDSAKey()
	for name, row := range map[string]struct {
		change  kubetest.Change
		refused bool
	}{
		"the only one":     {change: kubetest.Audience("vault")},
		"a string":         {change: kubetest.Claim("aud", "vault")},
		"one of several":   {change: kubetest.Audience("a", "vault")},
		"another":          {change: kubetest.Audience("other"), refused: true},
		"none":             {change: kubetest.WithoutClaim("aud"), refused: true},
		"empty list":       {change: kubetest.Claim("aud", []string{}), refused: true},
		"another case":     {change: kubetest.Audience("Vault"), refused: true},
		"joined by commas": {change: kubetest.Audience("a,vault"), refused: true},
		"a wildcard":       {change: kubetest.Audience("*"), refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			err := parsed(t, draft(key).Sign(row.change)).CheckAudience("vault")
			if (err != nil) != row.refused {
				t.Errorf("error %v, want one: %t", err, row.refused)
			}
		})
	}
}

func TestLegacySecretName(t *testing.T) {
	key := kubetest.NewECDSAKey()
	const prefix = "kubernetes.io/serviceaccount/"
	for name, row := range map[string]struct {
		raw, want string
	}{
		"from a secret":              {legacyDraft(key).Sign(), "web-token"},
		"projected":                  {draft(key).Sign(), ""},
		"projected, claims a secret": {draft(key).Sign(kubetest.Claim(prefix+"secret.name", "stolen")), ""},
		"projected, claims all": {
			legacyDraft(key).Sign(kubetest.Claim("iss", kubetest.DefaultIssuer)), "",
		},
		"another's name":      {legacyDraft(key).Sign(kubetest.Claim(prefix+"service-account.name", "other")), ""},
		"another's namespace": {legacyDraft(key).Sign(kubetest.Claim(prefix+"namespace", "other")), ""},
		"another's uid":       {legacyDraft(key).Sign(kubetest.Claim(prefix+"service-account.uid", "other")), ""},
		"no secret":           {legacyDraft(key).Sign(kubetest.WithoutClaim(prefix + "secret.name")), ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := parsed(t, row.raw).LegacySecretName("apps", "web", "uid-1"); got != row.want {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	key := kubetest.NewECDSAKey()
	stranger, err := ParseKeys([]string{kubetest.NewECDSAKey().PublicPEM(), kubetest.NewRSAKey().PublicPEM()})
	if err != nil {
		f.Fatal(err)
	}
	good := draft(key).Sign()
	segments := strings.Split(good, ".")
	for _, seed := range []string{
		good,
		legacyDraft(key).Sign(),
		draft(kubetest.SharedSecret(strings.Repeat("secret", 8))).Sign(),
		kubetest.Forge(map[string]any{"alg": "none"}, map[string]any{"aud": "x"}, nil),
		kubetest.Forge(map[string]any{"alg": "RS256"}, map[string]any{"aud": []any{"x", 1}}, []byte("x")),
		kubetest.Forge(map[string]any{"alg": "ES512", "crit": []string{"b64"}, "b64": false}, map[string]any{"exp": 1e300, "nbf": -1e300}, bytes.Repeat([]byte{0}, 132)),
		segments[0] + "." + b64(`{"aud":`+strings.Repeat("[", 5000)) + "." + segments[2],
		segments[0] + "." + b64("null") + "." + segments[2],
		"..", "a.b.c", " \xff.\x00.é",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := Parse(raw)
		sameAgain(t, raw, u, err)
		if err != nil {
			if !errors.Is(err, ErrMalformed) || u != nil {
				t.Errorf("a token: %t, error %v", u != nil, err)
			}
			return
		}
		if err := acceptable(u); err != nil {
			t.Error(err)
		}
		if stranger.Verify(u) == nil {
			t.Error("a key verified a token that it did not sign")
		}
		// None of these may panic, whatever the claims are.
		_ = u.CheckTime(now)
		_ = u.CheckIssuer("x")
		_ = u.CheckAudience("x")
		_ = u.LegacySecretName("", "", "")
	})
}

// acceptable checks what every token that was parsed must have.
func acceptable(u *Unverified) error {
	switch raw := u.Raw(); {
	case len(raw) > MaxBytes || strings.Count(raw, ".") != 2:
		return errors.New("it is too long, or not three segments")
	case strings.Trim(raw, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") != "":
		return errors.New("it holds characters that cannot stand in a header")
	case len(u.signed.Signatures) != 1:
		return fmt.Errorf("it has %d signatures", len(u.signed.Signatures))
	}
	if algorithm := u.signed.Signatures[0].Header.Algorithm; !slices.Contains([]string{
		"RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512",
	}, algorithm) {
		return fmt.Errorf("it has the algorithm %q", algorithm)
	}
	return nil
}

// sameAgain wants a parser that knows the header of a token to say of the token what
// one says that does not.
func sameAgain(t *testing.T, raw string, want *Unverified, wantErr error) {
	t.Helper()
	var p Parser
	header, _, _ := strings.Cut(strings.TrimSpace(raw), ".")
	_, _ = p.Parse(header + "." + b64("{}") + "." + b64("x")) // so that it knows the header
	got, err := p.Parse(raw)
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("knowing the header: %v, without: %v", err, wantErr)
	}
	if err == nil && (got.keyID != want.keyID || !reflect.DeepEqual(got.claims, want.claims) || got.raw != want.raw) {
		t.Errorf("knowing the header: %+v, without: %+v", got, want)
	}
}

// A known header makes nothing else of a token acceptable.
func TestParserThatKnowsTheHeader(t *testing.T) {
	key := kubetest.NewECDSAKey()
	segments := strings.Split(draft(key).Sign(), ".")
	var p Parser
	if _, err := p.Parse(strings.Join(segments, ".")); err != nil || p.last.Load() == nil {
		t.Fatalf("%v, knows a header: %t", err, p.last.Load() != nil)
	}
	for name, raw := range map[string]string{
		"signature that is no base64": segments[0] + "." + segments[1] + ".A",
		"payload that is no base64":   segments[0] + ".A." + segments[2],
		"payload that is no JSON":     segments[0] + "." + b64("x") + "." + segments[2],
		"other header":                b64(`{"alg":"none"}`) + "." + segments[1] + "." + segments[2],
		"no signature":                segments[0] + "." + segments[1] + ".",
	} {
		if _, err := p.Parse(raw); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	keys, err := ParseKeys([]string{key.PublicPEM()})
	if err != nil {
		t.Fatal(err)
	}
	good, err := p.Parse(strings.Join(segments, "."))
	if err != nil || keys.Verify(good) != nil {
		t.Errorf("the good token: %v", err)
	}
	forged, err := p.Parse(segments[0] + "." + b64(`{"sub":"x"}`) + "." + segments[2])
	if err != nil || !errors.Is(keys.Verify(forged), ErrSignature) {
		t.Errorf("another payload under the same signature: %v", err)
	}
}

func BenchmarkParse(b *testing.B) {
	raw := draft(kubetest.NewECDSAKey()).Sign()
	var known Parser
	for name, parse := range map[string]func(string) (*Unverified, error){"first": Parse, "next": known.Parse} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := parse(raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
