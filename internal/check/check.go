// Package check says whether the configuration of a mount can work, and what to do where it
// cannot. It asks and changes nothing.
package check

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/hashicorp/vault/sdk/logical"
	"golang.org/x/sync/errgroup"

	"vault-plugin-auth-kubernetes/internal/cluster"
	"vault-plugin-auth-kubernetes/internal/config"
	"vault-plugin-auth-kubernetes/internal/consultoken"
	"vault-plugin-auth-kubernetes/internal/role"
	"vault-plugin-auth-kubernetes/internal/rules"
	"vault-plugin-auth-kubernetes/internal/scrub"
	"vault-plugin-auth-kubernetes/internal/shell"
	"vault-plugin-auth-kubernetes/internal/telemetry"
)

// verdict is what one check came to.
type verdict string

const (
	checkPass verdict = "pass"
	checkWarn verdict = "warn" // logins work, and something is about to keep them from it
	checkFail verdict = "fail" // some or all logins cannot work
	checkSkip verdict = "skip" // there is nothing to check, or no way to
)

// finding is the outcome of one check. Its texts are for operators; they pass
// checker.safe before anybody reads them.
type finding struct {
	verdict verdict
	text    string
	// remedy is one line, of warn and fail only: a command, with what else there is
	// to say in a comment behind it, or words where there is no command.
	remedy string
}

func passed(format string, args ...any) finding {
	return finding{verdict: checkPass, text: fmt.Sprintf(format, args...)}
}

func skipped(format string, args ...any) finding {
	return finding{verdict: checkSkip, text: fmt.Sprintf(format, args...)}
}

func warned(remedy, format string, args ...any) finding {
	return finding{verdict: checkWarn, remedy: remedy, text: fmt.Sprintf(format, args...)}
}

func failed(remedy, format string, args ...any) finding {
	return finding{verdict: checkFail, remedy: remedy, text: fmt.Sprintf(format, args...)}
}

// The checks.
const (
	checkConfiguration = "configuration"
	checkRules         = "binding_rules"
	checkPosture       = "token_posture"
	checkReachable     = "reachable"
	checkTLS           = "tls"
	checkServer        = "server"
	checkClock         = "clock"
	checkReviewer      = "reviewer"
	checkReviewerToken = "reviewer_token"
	checkMayReview     = "permission_tokenreviews"
	checkMayRenew      = "permission_reviewer_token"
	checkMayAccounts   = "permission_serviceaccounts"
	checkMayNamespaces = "permission_namespaces"
	checkMayPods       = "permission_pods"
	checkVerification  = "verification"
	checkIssuer        = "issuer"
	checkPEMKeys       = "pem_keys"
)

// Names are those of the checks in the order in which one depends on another, which is
// that of failed and warned in the answer.
var Names = []string{
	checkConfiguration, checkRules, checkPosture, checkReachable, checkTLS, checkServer, checkClock, checkReviewer, checkReviewerToken,
	checkMayReview, checkMayRenew, checkMayAccounts, checkMayNamespaces, checkMayPods, checkVerification, checkIssuer, checkPEMKeys,
	checkConsul, checkMayMint, checkConsulNames,
}

// Mount is what is looked at.
type Mount struct {
	Path    string // without a slash at the end
	Storage logical.Storage
	Cluster *cluster.Current
	Rules   *rules.Store
	// LoadRole reads a role past what is remembered, which is for roles that logins use;
	// nil if there is none.
	LoadRole func(ctx context.Context, name string) (*role.Role, error)
	// Consul is where Consul tokens are made; nil if there is none.
	Consul func(ctx context.Context) (*consultoken.Mint, error)
	Now    func() time.Time
}

// Run makes all checks, and returns what reading the path returns. The error is one of the
// host's storage, and all else is a finding.
func Run(ctx context.Context, m *Mount) (map[string]any, error) {
	c := &checker{mount: m, findings: map[string]finding{}}
	var consul sync.WaitGroup
	consul.Go(func() { c.checkConsulSide(ctx) })
	err := c.run(ctx)
	consul.Wait()
	if err != nil {
		return nil, err
	}
	return c.responseData(), nil
}

// checker is one run of the checks of a mount.
type checker struct {
	mount *Mount

	cluster *cluster.Cluster
	// credential is the reviewer's, or "" if there is none.
	credential string
	needs      needs
	taking     taking
	// ruleRole is the one that logins by rules go through; nil if there is none.
	ruleRole *role.Role
	// version asks the API server what it is, once.
	version func() serverVersion

	mu       sync.Mutex
	findings map[string]finding
	// The reviewer's names and what they replace in remedies, and namespace/name of its account.
	named   []string
	account string
}

// What stands for the reviewer in remedies: in a name, as the subject of a binding, as
// a user, and as an argument of kubectl create token.
const (
	anySuffix  = "NAMESPACE-NAME"
	anySubject = "--serviceaccount=NAMESPACE:NAME"
	anyUser    = "--as=system:serviceaccount:NAMESPACE:NAME"
	anyAccount = "NAME -n NAMESPACE"
)

func (c *checker) note(name string, f finding) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.findings[name] = f
}

// skipRest gives a verdict to the checks that came to none.
func (c *checker) skipRest(format string, args ...any) {
	for _, name := range Names {
		if !slices.Contains(consulChecks, name) {
			c.skip(name, fmt.Sprintf(format, args...))
		}
	}
}

// run makes all checks.
//
// Checks that depend on each other follow each other; the others run at the same
// time, so that one request that hangs leaves the rest their time.
func (c *checker) run(ctx context.Context) error {
	if err := c.checkConfiguration(ctx); err != nil || c.cluster == nil {
		c.skipRest("there is no configuration that can be used")
		return err
	}
	ctx, cancel := c.cluster.Deadline(ctx)
	defer cancel()
	if err := c.checkStored(ctx); err != nil {
		return err
	}
	c.note(checkReviewerToken, c.reviewerToken())
	if !c.checkWay(ctx) {
		c.skipRest("the API server is not asked before reachable and tls pass")
		return nil
	}
	c.version = sync.OnceValue(func() serverVersion {
		gitVersion, seen, err := c.cluster.Client.Version(ctx)
		return serverVersion{gitVersion, seen, err}
	})
	var group errgroup.Group
	for _, check := range []func(context.Context){c.checkServer, c.checkReviewer, c.checkKeys, c.checkVerification, c.checkIssuer} {
		group.Go(func() error {
			check(ctx)
			return nil
		})
	}
	return group.Wait()
}

// responseData is what reading the path returns.
func (c *checker) responseData() map[string]any {
	byVerdict := map[verdict][]string{checkWarn: {}, checkFail: {}}
	data := map[string]any{"checked_at": c.mount.Now().UTC().Format(time.RFC3339)}
	if c.cluster != nil {
		data["kubernetes_host"] = c.safe(c.cluster.Config.Host)
	}
	named, ofKubectl := strings.NewReplacer(c.named...), false
	for _, name := range Names {
		f := c.findings[name]
		byVerdict[f.verdict] = append(byVerdict[f.verdict], name)
		data[name] = fmt.Sprintf("%s: %s", f.verdict, c.safe(f.text))
		if f.remedy != "" {
			data[name+"_remedy"] = c.safe(named.Replace(f.remedy))
			ofKubectl = ofKubectl || strings.Contains(f.remedy, "kubectl ")
		}
	}
	if ofKubectl && c.cluster != nil {
		data["note"] = c.safe("kubectl goes to the cluster of its current context, whichever that is; see that it is the one of " +
			c.cluster.Config.Host + ": kubectl config view --minify")
	}
	data["roles_taking_long_lived_tokens"], data["roles_taking_unbound_tokens"] = c.names(c.taking.longLived), c.names(c.taking.unbound)
	data["failed"], data["warned"] = byVerdict[checkFail], byVerdict[checkWarn]
	status := checkPass
	for _, worse := range []verdict{checkWarn, checkFail} {
		if len(byVerdict[worse]) > 0 {
			status = worse
		}
	}
	data["status"] = string(status)
	return data
}

// safe makes a text fit to be read: on one line, of bounded length, and without the
// reviewer's credential and the proxy's password.
func (c *checker) safe(text string) string {
	if c.cluster != nil {
		text = c.cluster.Client.Secrets(c.credential).Text(text)
	}
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	return scrub.Bounded(text, telemetry.MaxLoggedBytes)
}

// patch is the command that changes fields of the configuration and keeps the
// others, the reviewer's token among them.
func (c *checker) patch(fields ...string) string {
	return "vault patch " + shell.Word(c.mount.Path+"/"+config.Path) + " " + strings.Join(fields, " ")
}
