package posture

import (
	"strings"
	"testing"
	"time"
)

// Each setting, with tokens that it lets in and tokens that it refuses.
func TestJudge(t *testing.T) {
	hour := Token{Told: true, Lifetime: time.Hour}
	inPod := Token{Told: true, Lifetime: time.Hour, PodBound: true}
	secret := Token{Told: true, Endless: true, Legacy: true}
	for name, row := range map[string]struct {
		posture Posture
		token   Token
		reason  string // "" if the token is let in
	}{
		"nothing asked, nothing known":        {Posture{}, Token{}, ""},
		"nothing asked, of a secret":          {Posture{}, secret, ""},
		"as long as allowed":                  {Posture{MaxTokenLifetime: time.Hour}, hour, ""},
		"a second longer":                     {Posture{MaxTokenLifetime: time.Hour}, Token{Told: true, Lifetime: time.Hour + time.Second}, "was issued for 1h0m1s, and max_token_lifetime of the role is 1h0m0s"},
		"endless":                             {Posture{MaxTokenLifetime: time.Hour}, secret, "does not end"},
		"no word of when it was issued":       {Posture{MaxTokenLifetime: time.Hour}, Token{Told: true}, "does not say for how long"},
		"ends before it was issued":           {Posture{MaxTokenLifetime: time.Hour}, Token{Told: true, Lifetime: -time.Hour}, "does not say for how long"},
		"short, of another account":           {Posture{MaxTokenLifetime: time.Hour}, Token{Lifetime: time.Minute}, "does not tell it"},
		"bound to a pod":                      {Posture{RequirePodBoundTokens: true}, inPod, ""},
		"bound to a pod, nothing else known":  {Posture{RequirePodBoundTokens: true}, Token{PodBound: true}, ""},
		"not bound to a pod":                  {Posture{RequirePodBoundTokens: true}, hour, "require_pod_bound_tokens"},
		"no legacy token":                     {Posture{RefuseLegacyTokens: true}, hour, ""},
		"legacy token":                        {Posture{RefuseLegacyTokens: true}, secret, "refuse_legacy_tokens"},
		"perhaps a legacy token":              {Posture{RefuseLegacyTokens: true}, Token{PodBound: true}, "does not tell it"},
		"all asked, all met":                  {Posture{time.Hour, true, true}, inPod, ""},
		"all asked, short but not in a pod":   {Posture{time.Hour, true, true}, hour, "require_pod_bound_tokens"},
		"all asked, in a pod and a year long": {Posture{time.Hour, true, true}, Token{Told: true, PodBound: true, Lifetime: 8760 * time.Hour}, "max_token_lifetime"},
	} {
		got := row.posture.JudgeToken("the role", row.token)
		switch {
		case got == nil && row.reason != "":
			t.Errorf("%s: let in", name)
		case got != nil && (row.reason == "" || !strings.Contains(got.Reason, row.reason) || got.Remedy == ""):
			t.Errorf("%s: %q, %q", name, got.Reason, got.Remedy)
		}
	}
}

func TestValidate(t *testing.T) {
	for lifetime, fits := range map[time.Duration]bool{
		0: true, MinLifetime: true, MaxLifetime: true,
		-time.Second: false, time.Second: false, MinLifetime - time.Second: false, MaxLifetime + time.Second: false,
	} {
		if err := (Posture{MaxTokenLifetime: lifetime}).Validate(); (err == nil) != fits {
			t.Errorf("%s: %v", lifetime, err)
		}
	}
}
