// Package telemetry is what an operator sees of logins without asking: the log, and
// counters. It knows how logins end and nothing of how they go; no word of it is a
// stranger's, and it holds no token.
package telemetry

import (
	"errors"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/scrub"
)

// logEvery is how often one kind of trouble gets a line at the default level.
// The first one always does; lines in between are counted.
const logEvery = 10 * time.Second

// MaxLoggedBytes bounds what a stranger's token, or a strange API server, can
// write into one line.
const MaxLoggedBytes = 1 << 10

// Log writes why logins did not succeed. What a client caused is for the
// debug level; what the operator has to mend is a warning, limited in rate for
// each kind of trouble, so that strangers cannot flood the log. Trouble in which the
// owner of a namespace has a part is limited for each namespace, so that none hides
// another's.
type Log struct {
	mu      sync.Mutex
	kinds   map[troubleKind]*trouble
	tenants map[tenantTrouble]*trouble
	// Logins is whether those that are allowed are logged.
	Logins bool
}

// NewLog makes the log of a mount. Logins that are allowed are in it where Vault's own
// level, by its environment, is debug or below.
func NewLog() *Log {
	level := hclog.LevelFromString(os.Getenv("VAULT_LOG_LEVEL"))
	return &Log{kinds: map[troubleKind]*trouble{}, tenants: map[tenantTrouble]*trouble{}, Logins: level == hclog.Debug || level == hclog.Trace}
}

// Refused logs a login that failed with err. The keys of the line are stable.
func (l *Log) Refused(logger hclog.Logger, mount, role string, err error) {
	r, at := refusal.WhyEnded(err)
	kind := troubleKind{step: at, class: r.Class}
	if at == refusal.StepRequest {
		// No role was found by that name, so it may be anything, such as the
		// token, put there by mistake.
		role = ""
	}
	// Most of these are suppressed, and a reason takes time to put together.
	fields := func() []any {
		return []any{
			"mount", mount, "role", role, "step", string(kind.step),
			"outcome", r.Kind.String(), "class", r.Class, "reason", shorten(r.Error()),
		}
	}
	if !r.Operator {
		logger.Debug("login refused", fields()...)
		return
	}
	l.sometimes(kind, r.Tenant, func(suppressed int64) {
		fields := fields()
		if r.Remedy != "" {
			fields = append(fields, "remedy", r.Remedy)
		}
		if r.Tenant != "" {
			fields = append(fields, "namespace", r.Tenant)
		}
		if suppressed > 0 {
			fields = append(fields, "suppressed", suppressed)
		}
		logger.Warn("logins fail and need an operator", fields...)
	})
}

// Allowed is what the log has of a login that was allowed.
type Allowed struct {
	Namespace, ServiceAccount, UID string
	// Services, Nodes and Rules are as they stand in metadata, joined with commas.
	Services, Nodes, Rules string
	// VerifiedBy is by what; empty where each token is reviewed.
	VerifiedBy string
}

// Allowed logs a login that was allowed, and nothing but names that were confirmed.
// The lines of a plugin go to Vault whatever Vault's own level is, so this one, which
// is of each login, is written only where somebody asked for it.
func (l *Log) Allowed(logger hclog.Logger, mount, role string, a Allowed) {
	l.severalNames(logger, mount, a)
	if !l.Logins {
		return
	}
	fields := []any{
		"mount", mount, "role", role, "outcome", "allowed",
		"namespace", a.Namespace, "service_account", a.ServiceAccount, "uid", a.UID,
	}
	if a.VerifiedBy != "" {
		fields = append(fields, "verified_by", a.VerifiedBy)
	}
	logger.Debug("login allowed", fields...)
}

// ConsulToken is what the log has of a Consul token that was handed out.
type ConsulToken struct {
	Namespace, ServiceAccount, UID string
	// Accessor names the token in Consul, and is no secret.
	Accessor string
	Rules    []string
}

// ConsulToken logs a Consul token that was handed out, where logins are logged.
func (l *Log) ConsulToken(logger hclog.Logger, mount, method string, t ConsulToken) {
	if !l.Logins {
		return
	}
	logger.Debug("consul token handed out", "mount", mount, "auth_method", method, "outcome", "allowed",
		"namespace", t.Namespace, "service_account", t.ServiceAccount, "uid", t.UID,
		"accessor", t.Accessor, "rules", shorten(strings.Join(t.Rules, ",")))
}

// severalNames warns of a login that was granted several services or nodes. They stand
// in one value of the metadata, so a templated policy for a path of one of them is for
// none of them any more, and the client only sees that it lost its access.
func (l *Log) severalNames(logger hclog.Logger, mount string, a Allowed) {
	if !strings.Contains(a.Services+a.Nodes, ",") {
		return
	}
	fields := []any{
		"mount", mount, "namespace", a.Namespace, "service_account", a.ServiceAccount,
		"services", shorten(a.Services), "nodes", shorten(a.Nodes), "rules", shorten(a.Rules),
		"remedy", "policies of bind_type=policy, such as svc-${serviceaccount.name}, add up; metadata does not",
	}
	l.sometimes(troubleKind{step: refusal.StepSeveralNames}, a.Namespace, func(suppressed int64) {
		if suppressed > 0 {
			fields = append(fields, "suppressed", suppressed)
		}
		logger.Warn("a login was granted several services or nodes, which no templated policy takes apart", fields...)
	})
}

// RenewalRefused logs the end of a token's renewals.
func (l *Log) RenewalRefused(logger hclog.Logger, mount, role string, over refusal.RenewalOver) {
	logger.Debug("renewal refused",
		"mount", mount, "role", role, "step", string(refusal.StepRenewal), "outcome", refusal.Denied.String(), "class", refusal.ClassDenied, "reason", over.Error())
}

// Unchecked logs a renewal that was granted without a look at the cluster, since
// that could not be asked.
func (l *Log) Unchecked(logger hclog.Logger, mount, role string, err error) {
	class, remedy := refusal.ClassConfiguration, ""
	var r *refusal.Refusal
	if errors.As(err, &r) {
		class, remedy = r.Class, r.Remedy
	}
	of := "service accounts"
	var failed *kube.Error
	if errors.As(err, &failed) && failed.Op == kube.OpPod {
		of = "pods"
	}
	fields := []any{
		"mount", mount, "role", role, "step", string(refusal.StepRenewal),
		"outcome", "renewed", "class", class, "reason", shorten(err.Error()), "remedy", remedy,
	}
	l.sometimes(troubleKind{step: refusal.StepRenewal, class: class}, "", func(suppressed int64) {
		if suppressed > 0 {
			fields = append(fields, "suppressed", suppressed)
		}
		logger.Warn("tokens are renewed without a look at their "+of, fields...)
	})
}

// NotFollowed logs why verification=live does not know of late who is gone. Logins go on:
// the API server is asked about each.
func (l *Log) NotFollowed(logger hclog.Logger, host string, err error) {
	class, remedy := refusal.ClassConfiguration, ""
	var failed *kube.Error
	if errors.As(err, &failed) {
		class, remedy = string(failed.Failure), failed.Remedy()
		if failed.Op == kube.OpFollow && failed.Failure == kube.Forbidden {
			remedy = "let the reviewer list and watch pods and serviceaccounts (deploy/components/live)"
		}
	}
	fields := []any{"step", string(refusal.StepFollowing), "class", class, "kubernetes_host", host, "reason", shorten(err.Error()), "remedy", remedy}
	l.sometimes(troubleKind{step: refusal.StepFollowing, class: class}, "", func(suppressed int64) {
		if suppressed > 0 {
			fields = append(fields, "suppressed", suppressed)
		}
		logger.Warn("the cluster cannot be followed, and the API server is asked about each login", fields...)
	})
}

// ReviewerReplaced logs that the mount made another token for the reviewer.
func (l *Log) ReviewerReplaced(logger hclog.Logger, mount, account string, ends time.Time) {
	logger.Info("the reviewer's token was replaced", "mount", mount, "service_account", account, "ends", ends.UTC().Format(time.RFC3339))
}

// ReviewerNotReplaced logs why there is no other token for the reviewer, and for how long the
// one that there is goes on.
func (l *Log) ReviewerNotReplaced(logger hclog.Logger, mount, account string, left time.Duration, err error) {
	class, remedy := refusal.ClassConfiguration, ""
	var r *refusal.Refusal
	if errors.As(err, &r) {
		class, remedy = r.Class, r.Remedy
	}
	fields := []any{
		"mount", mount, "service_account", account, "step", string(refusal.StepReviewerToken), "class", class,
		"reason", shorten(err.Error()), "remedy", remedy, "seconds_left", int64(left.Seconds()),
	}
	l.sometimes(troubleKind{step: refusal.StepReviewerToken, class: class}, "", func(suppressed int64) {
		if suppressed > 0 {
			fields = append(fields, "suppressed", suppressed)
		}
		logger.Warn("the reviewer's token could not be replaced", fields...)
	})
}

func shorten(text string) string { return scrub.Bounded(text, MaxLoggedBytes) }
