package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"vault-plugin-auth-kubernetes/test/testbed"
)

const (
	staticServiceAccount = "system:serviceaccount:static:reviewed"
	staticUID            = "uid-of-the-reviewed"
)

// staticTokens are tokens that look like a service account's and that the second
// cluster takes for somebody's, by that user's name.
var staticTokens = map[string]string{
	"alice":                            "",
	"system:serviceaccount:static":     "",
	"system:serviceaccount:static:a:b": "",
	"system:node:static":               "",
	staticServiceAccount:               "",
}

// withStaticTokens makes the tokens and tells a cluster that is to be started
// about them.
func withStaticTokens(dir string) (testbed.ClusterOptions, error) {
	key, _, err := testbed.NewSigningKey()
	var lines strings.Builder
	for user := range staticTokens {
		token, signErr := testbed.SignToken(key, fields{
			"aud": []string{testbed.DefaultIssuer},
			"iss": testbed.DefaultIssuer,
			"sub": "system:serviceaccount:static:claimed",
			"jti": user, // no two tokens may be equal
			"kubernetes.io": fields{
				"namespace":      "static",
				"serviceaccount": fields{"name": "claimed", "uid": staticUID},
			},
		})
		err = errors.Join(err, signErr)
		staticTokens[user] = token
		lines.WriteString(token + "," + user + "," + staticUID + "\n")
	}
	path := filepath.Join(dir, "static-tokens.csv")
	err = errors.Join(err, os.WriteFile(path, []byte(lines.String()), 0o600))
	return testbed.ClusterOptions{APIServerFlags: map[string]string{"token-auth-file": path}}, err
}
