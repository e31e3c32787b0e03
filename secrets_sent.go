package main

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/config"
	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/scrub"
	"vault-plugin-auth-kubernetes/internal/token"
)

// secretFields are the fields of requests that hold secrets, in lower case, with what is
// secret in each. Those of documents within a field count too.
var secretFields = map[string]func(value string) []string{
	"jwt":                asToken,
	"token_reviewer_jwt": ofReviewer,
	"serviceaccountjwt":  whole, // of Consul's auth method
	"proxy_url":          ofProxy,
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

func ofProxy(value string) []string {
	return slices.DeleteFunc(kube.ProxySecrets(value), func(part string) bool { return part == kube.HiddenPart })
}

// minTokenBytes is how long a token is at least. Shorter texts in its place are words,
// and no secrets.
const minTokenBytes = 20

func asToken(value string) []string {
	if len(strings.TrimSpace(value)) < minTokenBytes {
		return nil
	}
	return []string{value}
}

// sentSecrets are the secrets in the data of a request, and tokens in fields that are for
// something else.
func sentSecrets(data map[string]any) (secrets []string) {
	for field, value := range data {
		secretIn, secret := secretFields[strings.ToLower(field)]
		switch value := value.(type) {
		case string:
			if secrets = append(secrets, scrub.TokensIn(value)...); secret {
				secrets = append(secrets, secretIn(value)...)
			}
			var document map[string]any
			if strings.HasPrefix(strings.TrimSpace(value), "{") && json.Unmarshal([]byte(value), &document) == nil {
				secrets = append(secrets, sentSecrets(document)...)
			}
		case map[string]any:
			secrets = append(secrets, sentSecrets(value)...)
		case []any:
			for _, element := range value {
				secrets = append(secrets, sentSecrets(map[string]any{"": element})...)
			}
		}
	}
	return secrets
}

func secretsOf(req *logical.Request) *scrub.Scrubber {
	return scrub.New(append(sentSecrets(req.Data), scrub.TokensIn(req.Path)...)...)
}

// withoutSecrets takes out of a refusal what the request brought as a secret, and what
// looks like a token in the wrong field. Errors of the framework and of parsers repeat
// what they were given.
func withoutSecrets(req *logical.Request, response *logical.Response, err error) (*logical.Response, error) {
	if err != nil && !errors.Is(err, logical.ErrPermissionDenied) && err.Error() != couldNotAskMessage {
		err = clearedError(err, secretsOf(req))
	}
	if response == nil || !response.IsError() && len(response.Warnings) == 0 && req.Path != importPath {
		return response, err
	}
	secrets := secretsOf(req)
	for _, value := range response.Data {
		if lines, ok := value.([]string); ok && req.Path == importPath { // they quote the documents
			for i, line := range lines {
				lines[i] = secrets.Text(line)
			}
		}
	}
	for i, warning := range response.Warnings {
		response.Warnings[i] = secrets.Text(warning)
	}
	if text, ok := response.Data["error"].(string); ok && response.IsError() {
		response.Data["error"] = secrets.Text(text)
	}
	return response, err
}

// clearedError keeps the status of an error, if it has one.
func clearedError(err error, secrets *scrub.Scrubber) error {
	text := secrets.Text(err.Error())
	var coded logical.HTTPCodedError
	switch {
	case text == err.Error():
		return err
	case errors.As(err, &coded):
		return logical.CodedError(coded.Code(), text)
	}
	return errors.New(text)
}
