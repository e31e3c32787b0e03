package e2e

import (
	"cmp"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	authv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"vault-plugin-auth-kubernetes/test/testbed"
)

// A diagnosis is one wrong set-up, or one token that is refused, with what check says
// of the mount and what explain says of the login. Functions that are nil leave a
// mount that works, a role for the service account, and its token.
type diagnosis struct {
	name string

	config func(f *fixture) fields
	// reviewer is what the mount's reviewer may do; nil stands for all that a mount can need.
	reviewer []permission
	role     func(f *fixture) fields
	token    func(f *fixture) string
	// rules decide a login without a role: selector, bind type and bind name, by
	// name. None, or byName: the login names the role.
	rules  map[string][3]string
	byName bool

	// finds are what is wrong with the mount. Without any, check passes.
	finds []found

	// certified is the same where the reviewer is known by a certificate; nil if that is no
	// difference.
	certified []found

	// step is where the login ends, by the name that logs have for it, and verdict
	// how.
	step, verdict string

	// unmended says that the remedies cannot be run as they are: they leave
	// something to fill in, or are for another machine.
	unmended bool
}

// found is one check that is not passed.
type found struct {
	check, verdict string
	cause          string // a part of what was found
	remedy         string // a part of the remedy
}

// The verdicts of explain.
const (
	explainDenied      = "denied"
	explainCouldNotAsk = "could not ask"
)

// TestDiagnose gives every wrong set-up to check and to explain, and looks for what is
// in the documentation among what they, the login and the log said.
func TestDiagnose(t *testing.T) {
	t.Parallel()
	said := &sayings{}
	t.Run("rows", func(t *testing.T) {
		for _, row := range slices.Concat(wayRows(), baseRows(), frontRows(), reviewerDiagnoses(), clockRows(), tokenDiagnoses()) {
			t.Run(row.name, func(t *testing.T) {
				t.Parallel()
				row.run(t, said)
			})
		}
	})
	clientMistakes(t, said)
	operatorMistakes(t)
	if !t.Failed() {
		checkTroubleshooting(t, said)
	}
}

// clientMistakes are logins that could not succeed with any token.
func clientMistakes(t *testing.T, said *sayings) {
	t.Helper()
	ours := newMount(t, testbed.PluginName, bed.PluginVersion)
	ours.must(t, http.MethodPost, "role/app", fields{"bound_service_account_names": "app", "bound_service_account_namespaces": "app"})
	for _, body := range []fields{{"jwt": "x"}, {"role": "app"}, {"role": "nobody", "jwt": "x"}, {"role": "app", "jwt": "x"}} {
		a := ours.login(t, body)
		if a.Status < http.StatusBadRequest {
			t.Errorf("the login succeeds: %v", a)
		}
		said.add(fields{"errors": a.errors()})
	}
	// What was read of one proxy, written back for another.
	hidden := ours.send(t, http.MethodPost, "config", with(mainCluster(t).config(), fields{"proxy_url": "http://me:xxxxx@elsewhere:3128"}))
	if hidden.Status != http.StatusBadRequest {
		t.Errorf("the password of another proxy is taken: %v", hidden)
	}
	said.add(fields{"errors": hidden.errors()})
}

// operatorMistakes are those of which the log has a line, and no check or login fails.
func operatorMistakes(t *testing.T) {
	t.Helper()
	c := mainCluster(t)
	another := newMount(t, testbed.PluginName, bed.PluginVersion)
	another.must(t, http.MethodPost, "config", with(c.config(), fields{"token_reviewer_service_account": "vault/reviewer"}))
	m := newRuleMount(t, map[string][3]string{"one": {"", "service", "one"}, "two": {"", "service", "two"}})
	jwt := c.newToken(t, c.newAccount(t, "", "app", nil), audience)
	if a := m.login(t, fields{"jwt": jwt}); a.Status != http.StatusOK {
		t.Errorf("a login that is granted two services: %v", a)
	}
	m.must(t, http.MethodPost, "config", with(c.config(), fields{"token_reviewer_jwt": ""}))
	m.must(t, http.MethodPost, "config", c.config())
	m.must(t, http.MethodPost, "config", with(c.config(), fields{"token_reviewer_jwt": nil}))
	if a := m.login(t, fields{"jwt": jwt}); a.Status != http.StatusForbidden {
		t.Errorf("a login without a reviewer: %v", a)
	}
}

func (d diagnosis) run(t *testing.T, said *sayings) {
	f := d.prepare(t)
	// What a token is bound to may be deleted while it is made, so it comes first.
	jwt := ""
	if d.token != nil {
		jwt = d.token(f)
	} else {
		jwt = f.cluster.newToken(t, f.account, audience)
	}
	checked := f.mounts.ours.must(t, http.MethodGet, "check", nil).data()
	d.wantCheck(t, checked)

	body := fields{"jwt": jwt}
	if d.rules == nil || d.byName {
		body["role"] = "app"
	}
	a := f.mounts.ours.login(t, body)
	if a.Status < http.StatusBadRequest {
		t.Errorf("the login succeeds: %v", a)
	}
	explanation := explain(t, f.mounts.ours, body)
	d.wantExplanation(t, explanation)
	wantGolden(t, f, explanation)
	said.add(checked, explanation, fields{"errors": a.errors()})
	d.byCertificate(t, f, body, explanation)
	if len(d.finds) > 0 && !d.unmended {
		d.mend(f)
	}
}

// ownReviewer are the rows whose reviewer is what is wrong.
var ownReviewer = []string{
	"reviewer token expired", "reviewer of another cluster", "client certificate of another cluster", "client certificate expired",
	"client certificate behind what ends TLS",
}

// byCertificate looks at the same set-up with a reviewer that is known by a certificate and may
// do the same, and puts the token back. What the reviewer lacks, the remedies give it too.
func (d diagnosis) byCertificate(t *testing.T, f *fixture, body, byToken fields) {
	t.Helper()
	own := f.config["token_reviewer_jwt"] != f.reviewer
	if own != slices.Contains(ownReviewer, d.name) {
		t.Fatalf("the row is listed as one about the reviewer, or not; it has one of its own: %t", own)
	}
	if own {
		return
	}
	pair := f.cluster.certified
	if d.reviewer != nil {
		pair = f.cluster.newCertified(t, d.reviewer...)
	}
	t.Run("by certificate", func(t *testing.T) {
		f.mounts.ours.must(t, http.MethodPatch, "config", pair.config())
		by := d
		by.finds = slices.Clone(d.finds)
		if d.certified != nil {
			by.finds = d.certified
		}
		for i := range by.finds {
			by.finds[i].remedy = strings.ReplaceAll(by.finds[i].remedy, "--serviceaccount=test-", "--user=vault-reviewer-")
		}
		by.wantCheck(t, f.mounts.ours.must(t, http.MethodGet, "check", nil).data())
		if a := f.mounts.ours.login(t, body); a.Status < http.StatusBadRequest {
			t.Errorf("the login succeeds: %v", a)
		}
		explanation := explain(t, f.mounts.ours, body)
		by.wantExplanation(t, explanation)
		if settled(f, explanation) != settled(f, byToken) {
			wantGolden(t, f, explanation)
		}
		if d.reviewer != nil {
			by.mend(f)
			f.cluster.forgetRemedy(t, d.finds[0].check) // which is run for the token's reviewer below
		}
	})
	f.mounts.ours.must(t, http.MethodPatch, "config", fields{"token_reviewer_jwt": f.reviewer, "kubernetes_client_cert": "", "kubernetes_client_key": ""})
}

func (d diagnosis) wantExplanation(t *testing.T, explanation fields) {
	t.Helper()
	if explanation["failed_step"] != d.step || explanation["verdict"] != d.verdict {
		t.Errorf("explain says %q at %q, want %q at %q: %v",
			explanation["verdict"], explanation["failed_step"], d.verdict, d.step, compact(explanation))
	}
	wantNoSecret(t, compact(explanation))
}

// mend runs the remedies as an operator would who pastes them into a shell, and looks
// again.
func (d diagnosis) mend(f *fixture) {
	f.t.Helper()
	data := f.mounts.ours.must(f.t, http.MethodGet, "check", nil).data()
	var script strings.Builder
	for _, found := range d.finds {
		script.WriteString(data[found.check+"_remedy"].(string) + "\n")
	}
	paste(f.t, script.String())
	// The API server takes a moment to notice a new binding.
	await(f.t, "check to find nothing more", func() (bool, error) {
		data = f.mounts.ours.must(f.t, http.MethodGet, "check", nil).data()
		return len(stringsOf(data["failed"])) == 0, nil
	})
	body := fields{"role": "app", "jwt": f.cluster.newToken(f.t, f.account, audience)}
	if a := f.mounts.ours.login(f.t, body); a.Status != http.StatusOK {
		f.t.Errorf("the login once the remedies were run: %v", a)
	}
}

// forgetRemedy deletes the cluster role that a remedy made, if it did.
func (c *cluster) forgetRemedy(t testing.TB, check string) {
	t.Helper()
	name := "vault-get-" + strings.TrimPrefix(check, "permission_")
	err := c.client.RbacV1().ClusterRoles().Delete(t.Context(), name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
}

// paste runs commands as somebody does who pastes them into a shell, in a new folder, which it
// returns.
func paste(t testing.TB, script string) (dir string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-euxo", "pipefail", "-c", script)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), bed.Env()...)
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("the remedy fails: %v\n%s", err, output)
	}
	return cmd.Dir
}

func (d diagnosis) prepare(t *testing.T) *fixture {
	c := mainCluster(t)
	f := &fixture{t: t, cluster: c, mounts: mounts{ours: newMount(t, testbed.PluginName, bed.PluginVersion)}}
	f.account = c.newAccount(t, "", "app", nil)
	permissions := d.reviewer
	if permissions == nil {
		permissions = []permission{canReview, canGetNamespaces, canGetServiceAccounts}
	}
	f.reviewer = c.lastingReviewer(t, permissions...)
	config := with(c.config(), fields{"token_reviewer_jwt": f.reviewer, "binding_rule_audiences": audience})
	if d.config != nil {
		config = with(config, d.config(f))
	}
	f.config = config
	f.mounts.ours.must(t, http.MethodPost, "config", config)
	role := f.usualRole()
	if d.role != nil {
		role = with(role, d.role(f))
	}
	f.mounts.ours.must(t, http.MethodPost, "role/app", role)
	for name, rule := range d.rules {
		f.mounts.ours.must(t, http.MethodPost, "binding-rule/"+name, fields{"selector": cmp.Or(rule[0], "*"), "bind_type": rule[1], "bind_name": rule[2]})
	}
	return f
}

// lastingReviewer is a reviewer whose token does not end soon.
func (c *cluster) lastingReviewer(t testing.TB, permissions ...permission) string {
	t.Helper()
	reviewer, _ := c.newReviewer(t, permissions...)
	return c.lastingToken(t, reviewer)
}

func (c *cluster) lastingToken(t testing.TB, a account) string {
	t.Helper()
	week := int64(7 * 24 * 60 * 60)
	token, err := c.makeToken(t.Context(), a, authv1.TokenRequestSpec{ExpirationSeconds: &week})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// TestDiagnoseAGoodSetUp shows what both say where nothing is wrong.
func TestDiagnoseAGoodSetUp(t *testing.T) {
	t.Parallel()
	d := diagnosis{config: behind(func() frontOptions { return frontOptions{} })}
	f := d.prepare(t)
	data := f.mounts.ours.must(t, http.MethodGet, "check", nil).data()
	d.wantCheck(t, data)
	if data["status"] != "pass" || data["kubernetes_host"] == f.cluster.Host {
		t.Errorf("not through the front, or not good: %v", compact(data))
	}
	body := fields{"role": "app", "jwt": f.cluster.newToken(t, f.account, audience)}
	if a := f.mounts.ours.login(t, body); a.Status != http.StatusOK {
		t.Errorf("the login: %v", a)
	}
	if explanation := explain(t, f.mounts.ours, body); explanation["verdict"] != "allowed" {
		t.Errorf("explain: %v", compact(explanation))
	}
}

// wantCheck wants the findings of the row, and no other.
func (d diagnosis) wantCheck(t *testing.T, data fields) {
	t.Helper()
	status, listed := "pass", map[string][]string{}
	for _, f := range d.finds {
		listed[f.verdict] = append(listed[f.verdict], f.check)
		text, _ := data[f.check].(string)
		remedy, _ := data[f.check+"_remedy"].(string)
		if !strings.HasPrefix(text, f.verdict+": ") || !strings.Contains(text, f.cause) || !strings.Contains(remedy, f.remedy) {
			t.Errorf("%s is %q with the remedy %q\nwant %s, %q and %q", f.check, text, remedy, f.verdict, f.cause, f.remedy)
		}
	}
	for _, verdict := range []string{"warn", "fail"} {
		if len(listed[verdict]) > 0 {
			status = verdict
		}
	}
	failed, warned := stringsOf(data["failed"]), stringsOf(data["warned"])
	if tls, _ := data["tls"].(string); strings.HasPrefix(tls, "warn: the certificate ends in ") {
		// That of the test bed's API server is good for a week.
		listed["warn"] = append([]string{"tls"}, listed["warn"]...)
		if status == "pass" {
			status = "warn"
		}
	}
	if data["status"] != status || !slices.Equal(failed, listed["fail"]) || !slices.Equal(sorted(warned), sorted(listed["warn"])) {
		t.Errorf("the status is %v, failed %q, warned %q; want %s, %q, %q\n%v",
			data["status"], failed, warned, status, listed["fail"], listed["warn"], compact(data))
	}
	wantNoSecret(t, compact(data))
}

// explain returns what explain says of a login.
func explain(t *testing.T, m mount, body fields) fields {
	t.Helper()
	return m.must(t, http.MethodPost, "explain", body).data()
}

// wantNoSecret looks for anything secret that the tests have handled so far.
func wantNoSecret(t *testing.T, text string) {
	t.Helper()
	secrets.Lock()
	defer secrets.Unlock()
	for _, run := range longRun.FindAllString(text, -1) {
		for value, kind := range secrets.kinds {
			if strings.Contains(value, run[:40]) || strings.Contains(value, run[len(run)-40:]) {
				t.Fatalf("a part of a %s is in the answer: %.1000s", kind, text)
			}
		}
	}
}
