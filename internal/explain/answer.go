package explain

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-sockaddr"

	"vault-plugin-auth-kubernetes/internal/login"
	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/role"
	"vault-plugin-auth-kubernetes/internal/scrub"
)

// Bounds of an answer.
const (
	MaxReason  = 1 << 10 // bytes
	maxKey     = 512     // bytes of the name of an attribute; that of a label is shorter
	maxValue   = 256     // bytes of an attribute or of metadata
	MaxEntries = 200     // attributes, or metadata
	MaxRules   = 200     // in each of the two lists
)

// Answer makes the response of explain. What it takes from the login is
// scrubbed of the token, and bounded.
type Answer struct {
	Mount   string // with a slash at the end
	Role    string
	Rule    string         // a binding rule that is asked for by name; "" if none is
	Outcome *login.Finding // nil if the request was refused before any step
	Account *Account
	Err     error    // that ended the login; nil if it is allowed
	Empty   []string // fields that the request named and left empty
	Sent    []string // the secrets of the request
	// Consul tells that it is a login for a Consul token.
	Consul bool
	Now    time.Time
	// Supposed is whether there was no token; Assumed is then what was assumed for want of
	// one.
	Supposed bool
	Assumed  []string
	// ClientSees is the status and the message of the answer to a login that ends with err;
	// no message if a login does not end so.
	ClientSees func(err error) (status int, message string)

	scrub *scrub.Scrubber
}

// Data is the answer, but for what the host would make a token from.
func (a *Answer) Data() map[string]any {
	a.scrub = a.secrets()
	data := map[string]any{"verdict": "allowed", "client_sees": "200 and a Vault token"}
	if a.Consul {
		data["client_sees"] = "200 and a Consul token"
	}
	if a.Err != nil {
		a.addRefusal(data)
	}
	if a.Supposed {
		data["supposed"] = a.supposed()
	}
	a.addSteps(data)
	a.addAttributes(data)
	if a.Account.rules != nil {
		a.addRules(data)
	}
	if note := a.note(); note != "" {
		data["note"] = note
	}
	return data
}

// supposed says that nobody vouched for what the answer is about, and what was assumed.
func (a *Answer) supposed() string {
	said := "nobody vouched for this service account: it is what a login would come to with a good token of it"
	if len(a.Assumed) > 0 {
		said += "; assumed was " + strings.Join(a.Assumed, ", and ")
	}
	return a.Text(said, MaxReason)
}

// Text is how everything that a login says gets into the answer.
func (a *Answer) Text(text string, maxBytes int) string {
	return scrub.Bounded(a.scrub.Text(text), maxBytes)
}

func (a *Answer) addRefusal(data map[string]any) {
	data["verdict"] = refusal.KindOf(a.Err).String()
	data["failed_step"] = string(refusal.StepOf(a.Err))
	data["reason"] = a.reason(a.Err)
	delete(data, "client_sees")
	if seen := a.clientSees(); seen != "" {
		data["client_sees"] = seen
	}
	if remedy := a.remedy(); remedy != "" {
		data["remedy"] = a.Text(remedy, MaxReason)
	}
}

// reason is why a step ended the login, without the name of the step.
func (a *Answer) reason(err error) string {
	var at *refusal.StepError
	if errors.As(err, &at) {
		err = at.Err
	}
	return a.Text(err.Error(), MaxReason)
}

// clientSees is the status and the message of the login's response, or "" if the
// login says nothing of its own, since more has to be known.
func (a *Answer) clientSees() string {
	status, message := a.ClientSees(a.Err)
	if message == "" {
		return ""
	}
	return fmt.Sprint(status, " ", a.Text(message, MaxReason))
}

// addSteps adds one key a step, in the order of the login.
func (a *Answer) addSteps(data map[string]any) {
	throughRole := a.Role != "" || a.Outcome != nil && len(a.Outcome.Through) > 0
	steps := login.Steps(a.byRules(), throughRole)
	switch {
	case a.Consul:
		steps = login.ConsulSteps(throughRole)
	case a.Supposed:
		steps = login.SupposedSteps(a.byRules(), throughRole)
	}
	for i, step := range steps {
		key := fmt.Sprintf("step_%02d_%s", i+1, strings.ReplaceAll(string(step), " ", "_"))
		data[key] = a.verdict(step)
	}
}

// byRules tells whether binding rules decide about the login.
func (a *Answer) byRules() bool {
	if a.Outcome == nil {
		return a.Role == ""
	}
	return a.Outcome.ByRules
}

func (a *Answer) verdict(name refusal.Step) string {
	at := slices.IndexFunc(a.Account.steps, func(v stepVerdict) bool { return v.step == name })
	if at < 0 {
		return "not reached"
	}
	switch v := a.Account.steps[at]; {
	case v.err != nil:
		return refusal.KindOf(v.err).String() + ": " + a.reason(v.err)
	case v.open:
		return "not judged: " + openAddress(a.Account.open)
	}
	return "allowed"
}

// openAddress says what was not judged for want of an address.
func openAddress(roles []*role.Role) string {
	return fmt.Sprintf("the role allows logins from %s only; give remote_addr", Addresses(roles[0].TokenBoundCIDRs))
}

// Addresses are blocks of them in one line.
func Addresses(blocks []*sockaddr.SockAddrMarshaler) string {
	texts := make([]string, len(blocks))
	for i, block := range blocks {
		texts[i] = block.String()
	}
	return strings.Join(texts, ", ")
}

// addAttributes adds what is known of the identity. There is none before the review
// confirmed it.
func (a *Answer) addAttributes(data map[string]any) {
	if a.Outcome == nil || a.Outcome.Attributes == nil {
		return
	}
	known := a.Outcome.Attributes.Known()
	const name = "serviceaccount.name"
	if a.byRules() {
		forRules := a.Outcome.Attributes.ForRules(a.Outcome.Cluster.Config.ServiceNameAnnotation).Known()
		if override, ok := forRules[name]; ok && override != known[name] {
			known[name+" (use_service_name_annotation)"] = override
		}
	}
	a.AddMap(data, "attributes", known)
}

// AddMap adds the entries of a map, bounded, and how many it leaves out. Each has a key of
// its own: the vault command prints a map or a list within an answer as one line, in which
// nobody sees where a text ends.
func (a *Answer) AddMap(data map[string]any, under string, full map[string]string) {
	keys := slices.Sorted(maps.Keys(full))
	if left := len(keys) - MaxEntries; left > 0 {
		keys = keys[:MaxEntries]
		data[under+"_not_listed"] = left
	}
	for _, key := range keys {
		data[under+"/"+a.Text(key, maxKey)] = a.Text(full[key], maxValue)
	}
}

// secrets are what no text of the answer may hold.
func (a *Answer) secrets() *scrub.Scrubber {
	if a.Outcome != nil && a.Outcome.Cluster != nil {
		return a.Outcome.Cluster.Client.Secrets(a.Sent...)
	}
	return scrub.New(a.Sent...)
}

// Lines are a list as it stands in the answer.
func (a *Answer) Lines(list []string) []string {
	texts := make([]string, 0, len(list))
	for _, text := range list {
		texts = append(texts, a.Text(text, MaxReason))
	}
	return texts
}
