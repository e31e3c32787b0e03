package token

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Tied is what a token says that its life depends on, beside its own end. Nobody verified
// it: it is for telling the owner of a token what may be wrong with it.
type Tied struct {
	Namespace, Account string
	// To are the objects that it is bound to, each as kind and name. It is void once one
	// of them is gone.
	To []string
	// From is when it begins to be good; zero if it does not say.
	From time.Time
}

// UnverifiedTied reads the claims that only tell why a token may not be good.
func (t *Unverified) UnverifiedTied() Tied {
	var claims struct {
		Own struct {
			Namespace string `json:"namespace"`
			Account   named  `json:"serviceaccount"`
			Pod       named  `json:"pod"`
			Secret    named  `json:"secret"`
			Node      named  `json:"node"`
		} `json:"kubernetes.io"`
	}
	tied := Tied{Namespace: t.claims.LegacyNamespace, Account: t.claims.LegacyName}
	if t.claims.NotBefore != nil {
		tied.From = t.claims.NotBefore.Time()
	}
	_, rest, _ := strings.Cut(t.raw, ".")
	payload, _, _ := strings.Cut(rest, ".")
	text, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil || json.Unmarshal(text, &claims) != nil {
		return tied // it has no such claims, or of another shape
	}
	if own := claims.Own; own.Namespace != "" {
		tied.Namespace, tied.Account = own.Namespace, own.Account.Name
	}
	tied.bind("secret", t.claims.LegacySecretName)
	tied.bind("secret", claims.Own.Secret.Name)
	if claims.Own.Pod.Name != "" {
		tied.bind("pod", claims.Own.Pod.Name) // its node is told, and not bound to
	} else {
		tied.bind("node", claims.Own.Node.Name)
	}
	return tied
}

type named struct {
	Name string `json:"name"`
}

func (t *Tied) bind(kind, name string) {
	if name != "" {
		t.To = append(t.To, fmt.Sprintf("%s %q", kind, name))
	}
}
