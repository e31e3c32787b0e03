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
	symmetric := map[string]any{"kty": "oct", "k": "c2VjcmV0", "kid": "shared"}
	for name, row := range map[string]struct {
		document any
		ok       bool
	}{
		"both types":           {map[string]any{"keys": []any{entry(ecdsa), entry(rsa)}}, true},
		"one beside a secret":  {map[string]any{"keys": []any{entry(ecdsa), symmetric}}, true},
		"nothing but a secret": {map[string]any{"keys": []any{symmetric}}, false},
		"no key":               {map[string]any{"keys": []any{}}, false},
		"another document":     {map[string]any{"kind": "Status"}, false},
		"a list":               {[]any{}, false},
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
