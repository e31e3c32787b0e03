package explain

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"vault-plugin-auth-kubernetes/internal/config"
	"vault-plugin-auth-kubernetes/internal/identity"
	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/metadata"
	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/role"
	"vault-plugin-auth-kubernetes/internal/secondtoken"
	"vault-plugin-auth-kubernetes/internal/shell"
	"vault-plugin-auth-kubernetes/internal/token"
)

// maxRemedyList bounds a list in a command that is there to be pasted, in bytes.
const maxRemedyList = 300

// permissions are the commands that let a reviewer do what it was forbidden to, by
// the request.
var permissions = map[string]string{
	kube.OpReview:         "let the reviewer ask about tokens: kubectl create clusterrolebinding vault-reviewer-NAMESPACE-NAME --clusterrole=system:auth-delegator --serviceaccount=NAMESPACE:NAME",
	kube.OpNamespace:      "let the reviewer read namespaces: " + letGet("namespaces"),
	kube.OpServiceAccount: "let the reviewer read service accounts: " + letGet("serviceaccounts"),
}

func letGet(resource string) string {
	return fmt.Sprintf("kubectl create clusterrole vault-get-%[1]s --verb=get --resource=%[1]s; "+
		"kubectl create clusterrolebinding vault-get-%[1]s-NAMESPACE-NAME --clusterrole=vault-get-%[1]s --serviceaccount=NAMESPACE:NAME", resource)
}

// remedy is one line on what to do about the refusal, with a command where there is
// one. What stands in commands is the operator's own or was confirmed: a claim that
// nobody verified must not get into a shell by being pasted.
func (a *Answer) remedy() string {
	var failed *kube.Error
	var r *refusal.Refusal
	lacksReviewer := errors.As(a.Err, &r) && r.Class == refusal.ClassNoReviewer
	if errors.As(a.Err, &failed) && failed.Failure == kube.Forbidden && !failed.CredentialLost() && permissions[failed.Op] != "" && !lacksReviewer &&
		!errors.Is(a.Err, secondtoken.ErrNotTaken) {
		return a.forReviewer(permissions[failed.Op])
	}
	if errors.As(a.Err, &r) && r.Remedy != "" {
		return strings.ReplaceAll(r.Remedy, "kubectl create token NAME -n NAMESPACE", a.newToken())
	}
	switch refusal.StepOf(a.Err) {
	case refusal.StepRequest:
		return a.remedyForRequest()
	case refusal.StepAddress:
		return "log in from an address in token_bound_cidrs, or change it: vault read " + a.rolePaths()
	case refusal.StepConfiguration:
		return fmt.Sprintf("vault write %s kubernetes_host=…", a.path("config"))
	case refusal.StepTokenForm:
		return "send the whole token, as a file: jwt=@FILE; a new one: " + a.newToken()
	case refusal.StepClaims:
		if remedy := a.remedyForIssuer(); remedy != "" {
			return remedy
		}
		return fmt.Sprintf("use a token that is current (the clock here says %s), of the issuer and for the audience asked for: %s",
			a.Now.UTC().Format(time.RFC3339), a.newToken())
	case refusal.StepSignature:
		return "use a token of this mount's cluster; if it is one, see whether pem_keys still are the cluster's: vault read " + a.path("config")
	case refusal.StepReview:
		if errors.Is(a.Err, identity.ErrNotServiceAccount) {
			return "use the token of a service account: " + a.newToken()
		}
		if a.byRules() && a.Outcome != nil && len(a.Outcome.RuleAudiences()) == 0 {
			by := "without a role"
			if a.Role != "" {
				by = "by binding rules"
			}
			return fmt.Sprintf("%s, and with no binding_rule_audiences, use a token for the API server's own audience: %s; or name the audience of such tokens: vault patch %s binding_rule_audiences=…",
				by, a.newToken(), a.path("config"))
		}
		return "see that the service account, and what the token is bound to, still exist, and that the token is of this cluster; a new one: " + a.newToken()
	case refusal.StepSupposed:
		return "see which service accounts there are: kubectl get serviceaccounts -A; or give audiences that are asked for"
	case refusal.StepAlias:
		return fmt.Sprintf("take the annotation away: kubectl annotate serviceaccount %s -n %s %sKEY-",
			a.Outcome.Who.Name(), a.Outcome.Who.Namespace(), metadata.AnnotationPrefix)
	case refusal.StepRuleRole:
		return "see whom the role is for that the login goes through: vault read " + a.rolePaths()
	case refusal.StepRules:
		return "see which rules there are: vault list -detailed " + a.path("binding-rule")
	}
	return a.remedyForBounds()
}

// forReviewer names the reviewer in a command, where it is known by a certificate: who a token
// is of, check has asked.
func (a *Answer) forReviewer(command string) string {
	user := ""
	if a.Outcome != nil && a.Outcome.Cluster != nil {
		user = a.Outcome.Cluster.Config.ClientUser()
	}
	if user == "" {
		return command
	}
	return strings.NewReplacer("-NAMESPACE-NAME", "-user", "--serviceaccount=NAMESPACE:NAME", "--user="+shell.Word(user)).Replace(command)
}

// remedyForIssuer is about a token of another issuer than the configuration asks for; ""
// if it was not for that that the token was refused. The issuer of the token is a claim that
// nobody verified, and not repeated.
func (a *Answer) remedyForIssuer() string {
	var refused *token.IssuerError
	if !errors.As(a.Err, &refused) {
		return ""
	}
	leave := fmt.Sprintf("vault patch %s disable_iss_validation=true", a.path("config"))
	if a.Outcome.Cluster.Config.EnforcesDefaultIssuer {
		return "issuers are checked, and none is named, so only tokens of " + config.DefaultIssuer + " pass, which those of pods are not; leave it to the API server: " + leave
	}
	return "use a token of the issuer that the configuration names; if the cluster's is another by now, leave it to the API server: " + leave
}

func (a *Answer) remedyForRequest() string {
	if a.Role == "" {
		return fmt.Sprintf("name a role, or write a binding rule: vault write %s selector=… bind_type=policy bind_name=…", a.path("binding-rule/NAME"))
	}
	return "see which roles there are: vault list " + a.path("role")
}

// remedyForBounds is about a confirmed identity that the role is not for. A write of
// a role changes only what it names, and replaces lists as a whole.
func (a *Answer) remedyForBounds() string {
	if a.Outcome == nil || a.Outcome.Role == nil {
		return ""
	}
	r, id := a.Outcome.Role, a.Outcome.Who
	role := a.path("role/" + a.Role)
	switch refusal.StepOf(a.Err) {
	case refusal.StepAudience:
		return "use a token for the role's audience: " + a.newToken()
	case refusal.StepName:
		if r.OnlyByBindingRules {
			return "log in without naming a role: a binding rule gives this one; see which there are: vault list -detailed " + a.path("binding-rule")
		}
		if onlyPairs(r) {
			return a.addPair()
		}
		return "if this service account is meant: " + listCommand(role, "bound_service_account_names", r.ServiceAccountNames, id.Name())
	case refusal.StepNamespace:
		if r.NamespaceSelector != nil {
			return fmt.Sprintf("if this namespace is meant, label it as the selector asks: kubectl label namespace %s KEY=VALUE", id.Namespace())
		}
		if onlyPairs(r) {
			return a.addPair()
		}
		return "if this namespace is meant: " + listCommand(role, "bound_service_account_namespaces", r.ServiceAccountNamespaces, id.Namespace())
	case refusal.StepSelector:
		return fmt.Sprintf("change the selector, or what it looks at: vault read -field=selector %s", role)
	}
	return ""
}

// onlyPairs tells a role that is bound by pairs alone: names without namespaces would be
// refused, and both together would let in more than is meant.
func onlyPairs(r *role.Role) bool {
	return len(r.BoundServiceAccounts) > 0 && len(r.ServiceAccountNames) == 0
}

func (a *Answer) addPair() string {
	pair := a.Outcome.Who.Namespace() + "/" + a.Outcome.Who.Name()
	return "if this service account is meant: " + listCommand(a.path("role/"+a.Role), "bound_service_accounts", a.Outcome.Role.BoundServiceAccounts, pair)
}

// listCommand sets a field of a role to its list and one value more.
func listCommand(path, field string, list []string, more string) string {
	joined := strings.Join(append(slices.Clone(list), more), ",")
	if len(joined) > maxRemedyList {
		return fmt.Sprintf("add %s to its %s: vault read %s", more, field, path)
	}
	return fmt.Sprintf("vault write %s %s=%s", path, field, shell.Word(joined))
}

// newToken is the command that makes a token for the login.
func (a *Answer) newToken() string {
	name, namespace, audience := "NAME", "NAMESPACE", ""
	if a.Outcome != nil && a.Outcome.Attributes != nil {
		name, namespace = a.Outcome.Who.Name(), a.Outcome.Who.Namespace()
	}
	if audiences := a.audiencesAskedFor(); len(audiences) > 0 {
		audience = " --audience=" + shell.Word(audiences[0])
	}
	return fmt.Sprintf("kubectl create token %s -n %s%s", name, namespace, audience)
}

// audiencesAskedFor are those of which the token must have one, as far as they are
// configured.
func (a *Answer) audiencesAskedFor() []string {
	switch {
	case a.Outcome == nil:
		return nil
	case a.Outcome.ByRules && a.Outcome.Cluster != nil:
		return a.Outcome.RuleAudiences()
	case a.Outcome.Role != nil:
		return a.Outcome.Role.Audiences()
	}
	return nil
}

// rolePaths are those of the roles whose bounds the login has to be within.
func (a *Answer) rolePaths() string {
	if !a.Outcome.ByRules {
		return a.path("role/" + a.Role)
	}
	var paths []string
	for _, r := range a.Outcome.Through {
		paths = append(paths, a.path("role/"+r.Name))
	}
	return strings.Join(paths, " && vault read ")
}

// path is a path of the mount as it is given to the vault command.
func (a *Answer) path(below string) string { return shell.Word(a.Mount + below) }
