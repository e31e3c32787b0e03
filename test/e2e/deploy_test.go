package e2e

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	authv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"vault-plugin-auth-kubernetes/test/testbed"
)

// What features need, in the words of atom.String.
const (
	createTokenReviews = "create tokenreviews.authentication.k8s.io"
	getServiceAccounts = "get serviceaccounts"
	getNamespaces      = "get namespaces"
	getPods            = "get pods"
	getClusterKeys     = "get /openid/v1/jwks"
	getDiscovery       = "get /.well-known/openid-configuration"
)

// A feature is something that a mount can do if its reviewer has some permissions.
type feature struct {
	needs []string
	try   func(v *vaultOf) error // nil if it works
}

var features = map[string]feature{
	"login":                         {[]string{createTokenReviews}, tryLogin},
	"self-review":                   {[]string{createTokenReviews}, trySelfReview},
	"selector on labels":            {[]string{createTokenReviews, getServiceAccounts}, tryServiceAccountSelector},
	"annotations as alias metadata": {[]string{createTokenReviews, getServiceAccounts}, tryAliasMetadata},
	"service-name annotation":       {[]string{createTokenReviews, getServiceAccounts}, tryServiceName},
	"renewal check":                 {[]string{createTokenReviews, getServiceAccounts}, tryRenewalCheck},
	"renewal check of pods":         {[]string{createTokenReviews, getPods}, tryRenewalCheckOfPods},
	"namespace selector":            {[]string{createTokenReviews, getNamespaces}, tryNamespaceSelector},
	"rule on namespace labels":      {[]string{createTokenReviews, getNamespaces}, tryNamespaceRule},
	"keys, then review":             {[]string{createTokenReviews, getClusterKeys}, tryKeysThenReview},
	"keys":                          {[]string{getClusterKeys, getDiscovery}, tryKeys},
	"live":                          {[]string{getClusterKeys, getDiscovery, "list pods", "watch pods", "list serviceaccounts", "watch serviceaccounts"}, tryLive},
}

// withReviewer are the features that a reviewer can serve, but for those that let it read
// the specs of pods.
var withReviewer = slices.DeleteFunc(slices.Sorted(maps.Keys(features)), func(name string) bool {
	return slices.Contains([]string{"self-review", "live", "renewal check of pods"}, name)
})

// deployments are the folders under deploy/ that can be applied: what each is for,
// and who has the permissions then.
var deployments = map[string]struct {
	features []string
	subject  account
	// reviewer gets the token that is written to the configuration; nil if none is.
	reviewer func(t *testing.T, c *cluster, subject account) string
}{
	"base":                      {[]string{"login"}, account{namespace: "vault-auth", name: "reviewer"}, requestedToken},
	"overlays/all":              {withReviewer, account{namespace: "vault-auth", name: "reviewer"}, requestedToken},
	"overlays/renewed-token":    {withReviewer, account{namespace: "vault-auth", name: "reviewer"}, requestedToken},
	"overlays/long-lived-token": {withReviewer, account{namespace: "vault-auth", name: "reviewer"}, secretsToken},
	"overlays/vault-pod":        {withReviewer, account{namespace: "vault", name: "vault"}, requestedToken},
	"overlays/live":             {[]string{"login", "keys, then review", "keys", "live", "renewal check of pods"}, account{namespace: "vault-auth", name: "reviewer"}, requestedToken},
	"overlays/self-review":      {[]string{"self-review"}, account{namespace: "shop", name: "app"}, nil},
}

// TestDeploy applies each folder to a cluster of its own and lets a mount use what
// it gives: all of that works, and nothing works without each single permission.
func TestDeploy(t *testing.T) {
	t.Parallel()
	c := newHardenedCluster(t)
	for folder, row := range deployments {
		t.Run(folder, func(t *testing.T) {
			d := c.deploy(t, folder, row.subject)
			v := &vaultOf{t: t, c: c, m: newMount(t, testbed.PluginName, bed.PluginVersion)}
			if row.reviewer != nil {
				v.reviewer = row.reviewer(t, c, row.subject)
			}
			v.expect("with all that it gives", row.features, func(feature) bool { return true })
			for _, name := range row.features {
				d.grant(only(features[name].needs))
				v.expect("with no more than it needs", []string{name}, func(feature) bool { return true })
			}
			for _, a := range d.atoms {
				d.grant(except(a))
				needsIt := func(f feature) bool { return slices.Contains(f.needs, a.String()) }
				v.expect("without permission to "+a.String(), row.features, func(f feature) bool { return !needsIt(f) })
				if !slices.ContainsFunc(row.features, func(name string) bool { return needsIt(features[name]) }) {
					t.Errorf("nothing needs the permission to %s", a)
				}
			}
		})
	}
}

// TestDeploymentsAreComplete keeps folders from being left out of TestDeploy, be it
// that no overlay uses a component.
func TestDeploymentsAreComplete(t *testing.T) {
	t.Parallel()
	overlays, err := os.ReadDir(filepath.Join(deployFolder(t), "overlays"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"base"}
	for _, overlay := range overlays {
		want = append(want, "overlays/"+overlay.Name())
	}
	if got := slices.Sorted(maps.Keys(deployments)); !slices.Equal(got, sorted(want)) {
		t.Errorf("tested are %q, in deploy/ are %q", got, want)
	}
	var used strings.Builder
	for _, text := range contents(t, filepath.Join(deployFolder(t), "overlays", "*", "kustomization.yaml")) {
		used.WriteString(text)
	}
	components, err := os.ReadDir(filepath.Join(deployFolder(t), "components"))
	if err != nil {
		t.Fatal(err)
	}
	for _, component := range components {
		if !strings.Contains(used.String(), "- ../../components/"+component.Name()+"\n") {
			t.Errorf("no overlay uses the component %s", component.Name())
		}
	}
}

// newHardenedCluster lets service accounts read the cluster's keys only if they are
// given the permission. Kubernetes gives it to all of them.
func newHardenedCluster(t *testing.T) *cluster {
	t.Helper()
	started, err := testbed.StartCluster(t.Context(), bed.Tools, filepath.Join(t.TempDir(), "cluster"), testbed.ClusterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := started.Stop(); err != nil {
			t.Error(err)
		}
	})
	c, err := newCluster(started)
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the binding to take away", func() (bool, error) {
		err := c.client.RbacV1().ClusterRoleBindings().Delete(t.Context(), "system:service-account-issuer-discovery", metav1.DeleteOptions{})
		return err == nil, nil
	})
	for _, a := range []account{{namespace: "vault", name: "vault"}, {namespace: "shop", name: "app"}} {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: a.namespace}}
		_, err1 := c.client.CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{})
		_, err2 := c.makeAccount(t.Context(), a.namespace, a.name, nil)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func requestedToken(t *testing.T, c *cluster, subject account) string {
	return c.newToken(t, subject)
}

// secretsToken is what is in the secret reviewer-token once the controller has seen
// it that test beds do not have.
func secretsToken(t *testing.T, c *cluster, subject account) string {
	secret, err := c.client.CoreV1().Secrets(subject.namespace).Get(t.Context(), "reviewer-token", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	who, err := c.client.CoreV1().ServiceAccounts(subject.namespace).Get(t.Context(), secret.Annotations[corev1.ServiceAccountNameKey], metav1.GetOptions{})
	if err != nil || secret.Type != corev1.SecretTypeServiceAccountToken {
		t.Fatalf("the secret is of type %s and for %q: %v", secret.Type, who.Name, err)
	}
	const claim = "kubernetes.io/serviceaccount/"
	token := c.sign(t, fields{
		"iss": "kubernetes/serviceaccount", "sub": "system:serviceaccount:" + who.Namespace + ":" + who.Name,
		claim + "namespace": who.Namespace, claim + "secret.name": secret.Name,
		claim + "service-account.name": who.Name, claim + "service-account.uid": string(who.UID),
	})
	secret.Annotations[corev1.ServiceAccountUIDKey] = string(who.UID)
	secret.Data = map[string][]byte{"token": []byte(token), "ca.crt": []byte(c.CAPEM), "namespace": []byte(who.Namespace)}
	if _, err := c.client.CoreV1().Secrets(subject.namespace).Update(t.Context(), secret, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	return token
}

// vaultOf is a mount that has nothing in the cluster but what was deployed.
type vaultOf struct {
	t        *testing.T
	c        *cluster
	m        mount
	reviewer string // "" if tokens review themselves
}

func (v *vaultOf) expect(when string, names []string, works func(feature) bool) {
	v.t.Helper()
	for _, name := range names {
		f := features[name]
		if err := f.try(v); (err == nil) != works(f) {
			v.t.Errorf("%s: %s: works is %t, want %t: %v", when, name, err == nil, works(f), err)
		}
	}
}

// configure writes the configuration anew, since settings of an earlier one would stay,
// and a role or a rule at path.
func (v *vaultOf) configure(config fields, path string, entry fields) {
	v.t.Helper()
	base := with(v.c.config(), fields{"token_reviewer_jwt": v.reviewer, "binding_rule_audiences": audience})
	if v.reviewer == "" {
		base = with(base, fields{"token_reviewer_jwt": nil})
	}
	v.m.must(v.t, http.MethodDelete, "config", nil)
	v.m.must(v.t, http.MethodPost, "config", with(base, config))
	v.m.must(v.t, http.MethodPost, path, entry)
}

// bound is a role for the service account, with more fields.
func bound(a account, more fields) fields {
	return with(fields{
		"bound_service_account_names": a.name, "bound_service_account_namespaces": a.namespace, "audience": audience,
	}, more)
}

func (v *vaultOf) logIn(a account, body fields) (answer, error) {
	v.t.Helper()
	got := v.m.login(v.t, with(fields{"jwt": v.c.newToken(v.t, a, audience)}, body))
	if got.Status != http.StatusOK {
		return got, fmt.Errorf("login: %v", got)
	}
	return got, nil
}

func tryLogin(v *vaultOf) error {
	a := v.c.newAccount(v.t, "", "app", nil)
	v.configure(nil, "role/app", bound(a, nil))
	_, err := v.logIn(a, fields{"role": "app"})
	return err
}

// trySelfReview logs in with a token for both Vault and the API server.
func trySelfReview(v *vaultOf) error {
	a := account{namespace: "shop", name: "app"}
	v.configure(fields{"renewal_check": "none"}, "role/app", bound(a, nil))
	token, err := v.c.makeToken(v.t.Context(), a, authv1.TokenRequestSpec{Audiences: []string{audience, v.c.Issuer}})
	if err != nil {
		v.t.Fatal(err)
	}
	_, err = v.logIn(a, fields{"role": "app", "jwt": token})
	return err
}

func tryServiceAccountSelector(v *vaultOf) error {
	a := v.c.newAccount(v.t, "", "app", nil)
	v.label(a, map[string]string{"team": "ci"})
	v.configure(nil, "role/labels", bound(a, fields{"selector": `serviceaccount.labels.team == "ci"`}))
	_, err := v.logIn(a, fields{"role": "labels"})
	return err
}

func (v *vaultOf) label(a account, labels map[string]string) {
	v.t.Helper()
	accounts := v.c.client.CoreV1().ServiceAccounts(a.namespace)
	object, err := accounts.Get(v.t.Context(), a.name, metav1.GetOptions{})
	if err == nil {
		object.Labels = labels
		_, err = accounts.Update(v.t.Context(), object, metav1.UpdateOptions{})
	}
	if err != nil {
		v.t.Fatal(err)
	}
}

func tryAliasMetadata(v *vaultOf) error {
	a := v.c.newAccount(v.t, "", "app", map[string]string{"vault.hashicorp.com/alias-metadata-team": "ci"})
	v.configure(fields{"use_annotations_as_alias_metadata": true}, "role/app", bound(a, nil))
	got, err := v.logIn(a, fields{"role": "app"})
	if err != nil {
		return err
	}
	alias := aliasOf(v.t, got.auth()["entity_id"].(string))
	if alias["metadata"].(fields)["team"] != "ci" {
		return fmt.Errorf("the alias is %v", alias)
	}
	return nil
}

func tryServiceName(v *vaultOf) error {
	a := v.c.newAccount(v.t, "", "app", map[string]string{serviceNameAnnotation: "web"})
	return v.byRule(a, fields{"service_name_annotation": serviceNameAnnotation}, `serviceaccount.name == "web"`)
}

// tryRenewalCheck works if a token is not renewed whose service account is gone.
func tryRenewalCheck(v *vaultOf) error {
	a := v.c.newAccount(v.t, "", "app", nil)
	v.configure(nil, "role/app", bound(a, fields{"token_ttl": 600}))
	got, err := v.logIn(a, fields{"role": "app"})
	if err != nil {
		return err
	}
	token := secret("Vault token", got.auth()["client_token"].(string))
	if renewed := renew(v.t, token, 0); renewed.Status != http.StatusOK {
		v.t.Fatalf("a token whose service account is there is not renewed: %v", renewed)
	}
	v.c.deleteAccount(v.t, a)
	if renewed := renew(v.t, token, 0); renewed.Status != http.StatusBadRequest {
		return fmt.Errorf("renewal after the service account was deleted: %v", renewed)
	}
	return nil
}

// tryRenewalCheckOfPods works if a token is not renewed whose pod is gone.
func tryRenewalCheckOfPods(v *vaultOf) error {
	a := v.c.newAccount(v.t, "", "app", nil)
	jwt, pod := v.c.newPodToken(v.t, a)
	v.configure(fields{"renewal_check": "pod"}, "role/app", bound(a, fields{"token_ttl": 600}))
	got, err := v.logIn(a, fields{"role": "app", "jwt": jwt})
	if err != nil {
		return err
	}
	token := secret("Vault token", got.auth()["client_token"].(string))
	if renewed := renew(v.t, token, 0); renewed.Status != http.StatusOK {
		v.t.Fatalf("a token whose pod is there is not renewed: %v", renewed)
	}
	v.c.deletePod(v.t, a, pod)
	if renewed := renew(v.t, token, 0); renewed.Status != http.StatusBadRequest {
		return fmt.Errorf("renewal after the pod was deleted: %v", renewed)
	}
	return nil
}

func tryNamespaceSelector(v *vaultOf) error {
	a := v.c.newAccount(v.t, v.c.newNamespace(v.t, map[string]string{"team": "ci"}), "app", nil)
	v.configure(nil, "role/selector", fields{
		"bound_service_account_names": "app", "audience": audience,
		"bound_service_account_namespace_selector": `{"matchLabels": {"team": "ci"}}`,
	})
	_, err := v.logIn(a, fields{"role": "selector"})
	return err
}

func tryNamespaceRule(v *vaultOf) error {
	a := v.c.newAccount(v.t, v.c.newNamespace(v.t, map[string]string{"team": "ci"}), "app", nil)
	return v.byRule(a, nil, `namespace.labels.team == "ci"`)
}

// byRule logs in without a role, by one rule with the selector.
func (v *vaultOf) byRule(a account, config fields, selector string) error {
	v.t.Helper()
	v.configure(config, "binding-rule/only", fields{
		"selector": selector, "bind_type": "policy", "bind_name": "by-rule",
		"use_service_name_annotation": config["service_name_annotation"] != nil,
	})
	got, err := v.logIn(a, nil)
	if err == nil && !slices.Contains(stringsOf(got.auth()["policies"]), "by-rule") {
		err = fmt.Errorf("no policy by the rule: %v", got)
	}
	return err
}
