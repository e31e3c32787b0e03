package token_test

import (
	"encoding/json"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"vault-plugin-auth-kubernetes/internal/kubetest"
	"vault-plugin-auth-kubernetes/internal/token"
)

func TestParseKeySet(t *testing.T) {
	ecdsa, rsa := kubetest.NewECDSAKey(), kubetest.NewRSAKey()
	entry := func(key kubetest.Key) map[string]any {
		public := jose.JSONWebKey{Key: key.Private, KeyID: key.ID}
		text, err := json.Marshal(public.Public())
		if err != nil {
			t.Fatal(err)
		}
		fields := map[string]any{}
		if err := json.Unmarshal(text, &fields); err != nil {
			t.Fatal(err)
		}
		return fields
	}
	unknown := map[string]any{"kty": "ML-DSA", "pub": "AAAA", "kid": "tomorrow"}
	curve := map[string]any{"kty": "EC", "crv": "P-999", "x": "AA", "y": "AA", "kid": "curve"}
	broken := map[string]any{"kty": "RSA", "kid": "broken"}
	encrypting := entry(kubetest.NewECDSAKey())
	encrypting["use"] = "enc"
	symmetric := map[string]any{"kty": "oct", "k": "c2VjcmV0", "kid": "shared"}
	for name, row := range map[string]struct {
		document any
		ok       bool
	}{
		"both types":                     {map[string]any{"keys": []any{entry(ecdsa), entry(rsa)}}, true},
		"one beside a secret":            {map[string]any{"keys": []any{entry(ecdsa), symmetric}}, true},
		"one beside a type to come":      {map[string]any{"keys": []any{unknown, entry(ecdsa)}}, true},
		"one beside an unknown curve":    {map[string]any{"keys": []any{curve, entry(ecdsa)}}, true},
		"one beside a broken one":        {map[string]any{"keys": []any{broken, entry(ecdsa), nil, "x", 1}}, true},
		"nothing but what is not for it": {map[string]any{"keys": []any{encrypting}}, false},
		"nothing but what is not usable": {map[string]any{"keys": []any{unknown, curve, broken}}, false},
		"nothing but a secret":           {map[string]any{"keys": []any{symmetric}}, false},
		"no key":                         {map[string]any{"keys": []any{}}, false},
		"another document":               {map[string]any{"kind": "Status"}, false},
		"a list":                         {[]any{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			document, err := json.Marshal(row.document)
			if err != nil {
				t.Fatal(err)
			}
			keys, err := token.ParseKeySet(document)
			if (err == nil) != row.ok || keys.Empty() == row.ok {
				t.Errorf("error %v, empty: %t", err, keys.Empty())
			}
		})
	}
	if _, err := token.ParseKeySet([]byte("<html>")); err == nil {
		t.Error("no error for a page")
	}
}

// Several keys may have one name; each of them counts.
func TestKeysOfOneName(t *testing.T) {
	first, second := kubetest.NewECDSAKey(), kubetest.NewECDSAKey()
	second.ID = first.ID
	set := jose.JSONWebKeySet{}
	for _, key := range []kubetest.Key{first, second} {
		public := jose.JSONWebKey{Key: key.Private, KeyID: key.ID}
		set.Keys = append(set.Keys, public.Public())
	}
	document, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := token.ParseKeySet(document)
	if err != nil {
		t.Fatal(err)
	}
	api := kubetest.Start(t)
	for name, key := range map[string]kubetest.Key{"first": first, "second": second} {
		parsed, err := token.Parse(api.Token("apps", "web", kubetest.SignedWith(key)))
		if err != nil {
			t.Fatal(err)
		}
		if err := keys.Verify(parsed); err != nil {
			t.Errorf("what the %s one signed: %v", name, err)
		}
	}
}
