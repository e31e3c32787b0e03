package token

import (
	"errors"
	"slices"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/internal/kubetest"
)

// terms are met by podDraft.
func terms() Terms {
	return Terms{
		Issuer: kubetest.DefaultIssuer, Audiences: []string{"vault", "other"},
		MaxLifetime: time.Hour, Now: now.Add(30 * time.Minute), Left: time.Minute,
	}
}

func podDraft(key kubetest.Key) *kubetest.Draft {
	d := draft(key)
	d.Claims["iat"] = now.Unix()
	d.Claims["kubernetes.io"].(map[string]any)["pod"] = map[string]any{"name": "web-1", "uid": "uid-2"}
	return d
}

func own(key string, value any) kubetest.Change {
	return func(d *kubetest.Draft) {
		if d.Claims["kubernetes.io"].(map[string]any)[key] = value; value == nil {
			delete(d.Claims["kubernetes.io"].(map[string]any), key)
		}
	}
}

func keySet(t *testing.T, server *kubetest.Server) Keys {
	t.Helper()
	keys, err := ParseKeySet(server.KeySet())
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestVouch(t *testing.T) {
	server := kubetest.Unserved()
	key, stranger := server.ECDSAKey(), kubetest.NewECDSAKey()
	pretender := stranger
	pretender.ID = key.ID
	nameless := stranger
	nameless.ID = ""
	at := func(d time.Duration) int64 { return terms().Now.Add(d).Unix() }
	for name, row := range map[string]struct {
		change kubetest.Change
		terms  func(*Terms)
		doubt  Doubt // "" is none
		err    error
	}{
		"good":                            {},
		"with a node":                     {change: own("node", map[string]any{"name": "n", "uid": "u"})},
		"with an end of the transition":   {change: own("warnafter", 1772600000)},
		"stranger's":                      {change: kubetest.SignedWith(stranger), doubt: DoubtKey},
		"stranger's, by a known name":     {change: kubetest.SignedWith(pretender), err: ErrSignature},
		"stranger's, without a name":      {change: kubetest.SignedWith(nameless), err: ErrSignature},
		"another issuer":                  {change: kubetest.Claim("iss", kubetest.DefaultIssuer+"/"), doubt: DoubtIssuer},
		"no issuer asked for":             {terms: func(t *Terms) { t.Issuer = "" }, doubt: DoubtIssuer},
		"no issuer at all":                {change: kubetest.WithoutClaim("iss"), terms: func(t *Terms) { t.Issuer = "" }, doubt: DoubtIssuer},
		"any issuer accepted":             {change: kubetest.Claim("iss", "https://other"), terms: func(t *Terms) { t.AnyIssuer = true }},
		"legacy issuer, any accepted":     {change: kubetest.Claim("iss", legacyIssuer), terms: func(t *Terms) { t.AnyIssuer = true }, doubt: DoubtLegacy},
		"claims of a legacy token":        {change: kubetest.Claim("kubernetes.io/serviceaccount/secret.name", "s"), doubt: DoubtLegacy},
		"another audience":                {change: kubetest.Audience("api"), doubt: DoubtAudience},
		"no audience":                     {change: kubetest.WithoutClaim("aud"), doubt: DoubtAudience},
		"no audience asked for":           {terms: func(t *Terms) { t.Audiences = nil }, doubt: DoubtAudience},
		"expired":                         {change: kubetest.Claim("exp", at(-time.Second)), doubt: DoubtTime},
		"expires within the margin":       {change: kubetest.Claim("exp", at(time.Minute)), doubt: DoubtTime},
		"expires after the margin":        {change: kubetest.Claim("exp", at(time.Minute+time.Second))},
		"valid since now":                 {change: kubetest.Claim("nbf", at(0))},
		"not valid yet":                   {change: kubetest.Claim("nbf", at(time.Second)), doubt: DoubtTime},
		"issued now":                      {change: kubetest.Claim("iat", at(0))},
		"not issued yet":                  {change: kubetest.Claim("iat", at(time.Second)), doubt: DoubtTime},
		"issued long ago":                 {change: kubetest.Claim("iat", at(-time.Hour)), doubt: DoubtLifetime},
		"issued long ago, any lifetime":   {change: kubetest.Claim("iat", at(-time.Hour)), terms: func(t *Terms) { t.MaxLifetime = 0 }},
		"never issued":                    {change: kubetest.WithoutClaim("iat"), doubt: DoubtLifetime},
		"never expires":                   {change: kubetest.WithoutClaim("exp"), terms: func(t *Terms) { t.MaxLifetime = 0 }, doubt: DoubtLifetime},
		"leeway before":                   {change: kubetest.Claim("nbf", at(59*time.Second)), terms: func(t *Terms) { t.Left, t.Early = -time.Minute, time.Minute }},
		"leeway after":                    {change: kubetest.Claim("exp", at(-59*time.Second)), terms: func(t *Terms) { t.Left, t.Early = -time.Minute, time.Minute }},
		"past the leeway":                 {change: kubetest.Claim("exp", at(-time.Minute)), terms: func(t *Terms) { t.Left, t.Early = -time.Minute, time.Minute }, doubt: DoubtTime},
		"bound to nothing":                {change: own("pod", nil), doubt: DoubtBound},
		"bound to nothing, accepted":      {change: own("pod", nil), terms: func(t *Terms) { t.Unbound = true }},
		"bound to a node":                 {change: replaced("pod", "node"), doubt: DoubtBound},
		"bound to a node, unbound taken":  {change: replaced("pod", "node"), terms: func(t *Terms) { t.Unbound = true }, doubt: DoubtBound},
		"bound to a secret":               {change: replaced("pod", "secret"), doubt: DoubtSecret},
		"a secret, unbound taken":         {change: replaced("pod", "secret"), terms: func(t *Terms) { t.Unbound = true }, doubt: DoubtSecret},
		"a pod and a secret":              {change: own("secret", map[string]any{"name": "n", "uid": "u"}), doubt: DoubtSecret},
		"bound to something new":          {change: own("podgroup", map[string]any{"name": "n"}), doubt: DoubtClaims},
		"something new, accepted":         {change: own("podgroup", map[string]any{"name": "n"}), terms: func(t *Terms) { t.UnknownClaims = true }},
		"a pod without a uid":             {change: own("pod", map[string]any{"name": "web-1"}), doubt: DoubtClaims},
		"a pod that is a text":            {change: own("pod", "web-1"), doubt: DoubtClaims},
		"an account without a uid":        {change: own("serviceaccount", map[string]any{"name": "web"}), doubt: DoubtClaims},
		"no claims of Kubernetes":         {change: kubetest.WithoutClaim("kubernetes.io"), doubt: DoubtClaims},
		"a subject that is somebody else": {change: kubetest.Claim("sub", "system:serviceaccount:apps:admin"), doubt: DoubtClaims},
	} {
		t.Run(name, func(t *testing.T) {
			under := terms()
			if row.terms != nil {
				row.terms(&under)
			}
			var changes []kubetest.Change
			if row.change != nil {
				changes = append(changes, row.change)
			}
			v, err := keySet(t, server).Vouch(parsed(t, podDraft(key).Sign(changes...)), under)
			var doubted *DoubtError
			switch {
			case row.doubt != "" && (!errors.As(err, &doubted) || doubted.Doubt != row.doubt):
				t.Errorf("error %v, want the doubt %q", err, row.doubt)
			case row.err != nil && !errors.Is(err, row.err):
				t.Errorf("error %v, want %v", err, row.err)
			case row.doubt == "" && row.err == nil && err != nil:
				t.Error(err)
			}
			if err == nil && (v.Namespace() != "apps" || v.ServiceAccount() != Object{"web", "uid-1"} || !slices.Equal(v.Audiences(), []string{"vault"})) {
				t.Errorf("verified %+v", v)
			}
			if err != nil && v.Namespace() != "" {
				t.Errorf("an error, and the claims of %+v", v)
			}
		})
	}
}

func replaced(key, by string) kubetest.Change {
	return func(d *kubetest.Draft) {
		claims := d.Claims["kubernetes.io"].(map[string]any)
		claims[by] = claims[key]
		delete(claims, key)
	}
}

// Keys without names, as pem_keys are, are all tried, and what none signed is no doubt.
func TestVouchByKeysWithoutNames(t *testing.T) {
	key := kubetest.NewECDSAKey()
	keys := keysOf(t, kubetest.NewECDSAKey().PublicPEM(), key.PublicPEM())
	if _, err := keys.Vouch(parsed(t, podDraft(key).Sign()), terms()); err != nil {
		t.Error(err)
	}
	if _, err := keys.Vouch(parsed(t, podDraft(kubetest.NewECDSAKey()).Sign()), terms()); !errors.Is(err, ErrSignature) {
		t.Errorf("error %v", err)
	}
	if _, err := (Keys{}).Vouch(parsed(t, podDraft(key).Sign()), terms()); !errors.Is(err, ErrSignature) {
		t.Errorf("without keys: %v", err)
	}
}
