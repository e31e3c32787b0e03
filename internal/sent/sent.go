// Package sent knows what is secret in a request: the fields that hold secrets, and tokens
// that were put somewhere else by mistake.
package sent

import (
	"encoding/json"
	"slices"
	"strings"

	"vault-plugin-auth-kubernetes/internal/config"
	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/scrub"
	"vault-plugin-auth-kubernetes/internal/token"
)

// secretFields are the fields of requests that hold secrets, in lower case, with what is
// secret in each. Those of documents within a field count too.
var secretFields = map[string]func(value string) []string{
	"jwt":                Token,
	"reviewer_jwt":       Token,
	"token_reviewer_jwt": ofReviewer,
	"serviceaccountjwt":  whole, // of Consul's auth method
	"proxy_url":          ofProxy,
	"bearertoken":        Token, // of a login as Consul has it
	"token":              whole, // of Consul's
	"client_key":         whole,

	"kubernetes_client_key":  ofPEM,
	"kubernetes_client_cert": ofPEM, // no secret, unless the key was put there by mistake
}

func whole(value string) []string { return []string{value} }

// ofReviewer takes the name of a file for none: who sent one instead of a token is told
// so, in words that would be hidden otherwise.
func ofReviewer(value string) []string {
	if config.IsFileName(strings.TrimSpace(value)) && !token.LooksLike(value) {
		return nil
	}
	return []string{value}
}

// ofPEM takes the name of a file for none, as ofReviewer does, and the markers of PEM: they
// are in each answer about keys. So is what is no private key.
func ofPEM(value string) []string {
	value = strings.TrimSpace(value)
	if config.IsFileName(value) || strings.Contains(value, "BEGIN CERTIFICATE") && !strings.Contains(value, "PRIVATE KEY") {
		return nil
	}
	return slices.DeleteFunc(strings.FieldsFunc(strings.ReplaceAll(value, `\n`, "\n"), func(r rune) bool { return r == '\n' || r == '\r' }),
		func(line string) bool {
			return strings.HasPrefix(strings.TrimSpace(line), "-----") || len(line) < MinTokenBytes
		})
}

func ofProxy(value string) []string {
	return slices.DeleteFunc(kube.ProxySecrets(value), func(part string) bool { return part == kube.HiddenPart })
}

// MinTokenBytes is how long a token is at least. Shorter texts in its place are words,
// and no secrets.
const MinTokenBytes = 20

// Token is a value that stands where a token belongs; none if it is too short for one.
func Token(value string) []string {
	if len(strings.TrimSpace(value)) < MinTokenBytes {
		return nil
	}
	return []string{value}
}

// secretsIn are the secrets in the data of a request, and tokens in fields that are for
// something else.
func secretsIn(data map[string]any) (secrets []string) {
	for field, value := range data {
		secretIn, secret := secretFields[strings.ToLower(field)]
		switch value := value.(type) {
		case string:
			if secrets = append(secrets, scrub.TokensIn(value)...); secret {
				secrets = append(secrets, secretIn(value)...)
			}
			var document map[string]any
			if strings.HasPrefix(strings.TrimSpace(value), "{") && json.Unmarshal([]byte(value), &document) == nil {
				secrets = append(secrets, secretsIn(document)...)
			}
		case map[string]any:
			secrets = append(secrets, secretsIn(value)...)
		case []any:
			for _, element := range value {
				secrets = append(secrets, secretsIn(map[string]any{"": element})...)
			}
		}
	}
	return secrets
}

// Secrets clears texts of what is secret in the data and the path of a request.
func Secrets(data map[string]any, path string) *scrub.Scrubber {
	return scrub.New(append(secretsIn(data), scrub.TokensIn(path)...)...)
}
