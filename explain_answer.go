package main

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-sockaddr"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/role"
	"vault-plugin-auth-kubernetes/internal/scrub"
	"vault-plugin-auth-kubernetes/internal/token"
)

// Bounds of an answer.
const (
	maxExplainedReason  = 1 << 10 // bytes
	maxExplainedKey     = 512     // bytes of the name of an attribute; that of a label is shorter
	maxExplainedValue   = 256     // bytes of an attribute or of metadata
	maxExplainedEntries = 200     // attributes, or metadata
	maxExplainedRules   = 200     // in each of the two lists
)

// explainAnswer makes the response of explain. What it takes from the login is
// scrubbed of the token, and bounded.
type explainAnswer struct {
	mount   string // with a slash at the end
	role    string
	login   *login // nil if the request was refused before there was one
	account *explanation
	err     error    // that ended the login; nil if it is allowed
	empty   []string // fields that the request named and left empty
	sent    []string // the secrets of the request
	scrub   *scrub.Scrubber
	now     time.Time
}

func (a *explainAnswer) data() map[string]any {
	a.scrub = a.secrets()
	data := map[string]any{"verdict": "allowed", "client_sees": "200 and a Vault token"}
	if a.err != nil {
		a.addRefusal(data)
	}
	a.addSteps(data)
	a.addAttributes(data)
	if a.account.rules != nil {
		a.addRules(data)
	}
	if a.err == nil {
		a.addToken(data)
	}
	if note := a.note(); note != "" {
		data["note"] = note
	}
	return data
}

// text is how everything that a login says gets into the answer.
func (a *explainAnswer) text(text string, maxBytes int) string {
	return scrub.Bounded(a.scrub.Text(text), maxBytes)
}

func (a *explainAnswer) addRefusal(data map[string]any) {
	data["verdict"] = refusal.KindOf(a.err).String()
	data["failed_step"] = string(refusal.StepOf(a.err))
	data["reason"] = a.reason(a.err)
	delete(data, "client_sees")
	if seen := a.clientSees(); seen != "" {
		data["client_sees"] = seen
	}
	if remedy := a.remedy(); remedy != "" {
		data["remedy"] = a.text(remedy, maxExplainedReason)
	}
}

// reason is why a step ended the login, without the name of the step.
func (a *explainAnswer) reason(err error) string {
	var at *refusal.StepError
	if errors.As(err, &at) {
		err = at.Err
	}
	return a.text(err.Error(), maxExplainedReason)
}

// clientSees is the status and the message of the login's response, or "" if the
// login says nothing of its own, since more has to be known.
func (a *explainAnswer) clientSees() string {
	response, err := respond(a.err)
	status, message := http.StatusInternalServerError, ""
	var coded logical.HTTPCodedError
	switch {
	case err == nil:
		status, message = http.StatusBadRequest, response.Error().Error()
	case errors.As(err, &coded):
		status, message = coded.Code(), err.Error()
	case errors.Is(err, logical.ErrPermissionDenied):
		status, message = http.StatusForbidden, err.Error()
	default:
		message = err.Error()
	}
	if message == "" {
		return ""
	}
	return fmt.Sprint(status, " ", a.text(message, maxExplainedReason))
}

// addSteps adds one key a step, in the order of the login.
func (a *explainAnswer) addSteps(data map[string]any) {
	for i, s := range a.stepsOfLogin() {
		key := fmt.Sprintf("step_%02d_%s", i+1, strings.ReplaceAll(string(s.name), " ", "_"))
		data[key] = a.verdict(s.name)
	}
}

func (a *explainAnswer) stepsOfLogin() []loginStep {
	if a.role != "" {
		return slices.Concat(beginSteps, roleSteps)
	}
	steps := slices.Concat(ruleBeginSteps, ruleSteps)
	if a.login != nil && a.login.role != nil {
		return steps
	}
	return slices.DeleteFunc(steps, func(s loginStep) bool { return s.name == refusal.StepRuleRole })
}

func (a *explainAnswer) verdict(name refusal.Step) string {
	at := slices.IndexFunc(a.account.steps, func(v stepVerdict) bool { return v.step == name })
	if at < 0 {
		return "not reached"
	}
	switch v := a.account.steps[at]; {
	case v.err != nil:
		return refusal.KindOf(v.err).String() + ": " + a.reason(v.err)
	case v.open:
		return "not judged: " + openAddress(a.account.open)
	}
	return "allowed"
}

// openAddress says what was not judged for want of an address.
func openAddress(roles []*role.Role) string {
	return fmt.Sprintf("the role allows logins from %s only; give remote_addr", addresses(roles[0].TokenBoundCIDRs))
}

func addresses(blocks []*sockaddr.SockAddrMarshaler) string {
	texts := make([]string, len(blocks))
	for i, block := range blocks {
		texts[i] = block.String()
	}
	return strings.Join(texts, ", ")
}

// note is what else the reader has to know about the verdict.
func (a *explainAnswer) note() string {
	var notes []string
	if slices.Contains(a.empty, "role") {
		notes = append(notes, "role was named and is empty, so this explains a login by rules, as login takes it; name the role if one was meant")
	}
	if slices.Contains(a.empty, "remote_addr") {
		notes = append(notes, "remote_addr was named and is empty, so no source address was judged")
	}
	if a.account.isLeftOpen() {
		notes = append(notes, "source addresses were not judged; a login may still be refused for its own, give remote_addr")
	}
	if a.login != nil && a.login.cluster != nil && a.login.cluster.Config.TokenReviewCacheTTL > 0 {
		notes = append(notes, fmt.Sprintf("the API server was asked anew; a login may go by an answer up to %s old (token_review_cache_ttl)",
			a.login.cluster.Config.TokenReviewCacheTTL))
	}
	if a.login != nil && a.login.granted != nil && len(a.login.granted.Services) > 1 {
		notes = append(notes, "it is granted several services, which stand in one value of the metadata; a templated policy on consul_service is for none of them")
	}
	if a.login != nil && a.login.granted != nil && len(a.login.granted.Nodes) > 1 {
		notes = append(notes, "it is granted several nodes, which stand in one value of the metadata; a templated policy on consul_node is for none of them")
	}
	return strings.Join(notes, "; ")
}

// addAttributes adds what is known of the identity. There is none before the review
// confirmed it.
func (a *explainAnswer) addAttributes(data map[string]any) {
	if a.login == nil || a.login.attributes == nil {
		return
	}
	known := a.login.attributes.Known()
	const name = "serviceaccount.name"
	if a.role == "" {
		forRules := a.login.attributes.ForRules(a.login.cluster.Config.ServiceNameAnnotation).Known()
		if override, ok := forRules[name]; ok && override != known[name] {
			known[name+" (where a rule has use_service_name_annotation)"] = override
		}
	}
	a.addMap(data, "attributes", known)
}

// addMap adds a bounded copy of a map, and how many entries it leaves out.
func (a *explainAnswer) addMap(data map[string]any, under string, full map[string]string) {
	keys := slices.Sorted(maps.Keys(full))
	if left := len(keys) - maxExplainedEntries; left > 0 {
		keys = keys[:maxExplainedEntries]
		data[under+"_not_listed"] = left
	}
	listed := make(map[string]string, len(keys))
	for _, key := range keys {
		listed[a.text(key, maxExplainedKey)] = a.text(full[key], maxExplainedValue)
	}
	data[under] = listed
}

// secrets are what no text of the answer may hold.
func (a *explainAnswer) secrets() *scrub.Scrubber {
	if a.login != nil && a.login.cluster != nil {
		return a.login.cluster.Client.Secrets(a.sent...)
	}
	return scrub.New(a.sent...)
}

// secrets are the token, and one that was sent as the role by mistake.
func (b loginBody) secrets() []string {
	secrets := asToken(b.jwt)
	if token.LooksLike(b.role) {
		secrets = append(secrets, asToken(b.role)...)
	}
	return secrets
}
