package e2e

import (
	"cmp"
	"maps"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	permissionDenied = "permission denied"
	couldNotAsk      = "the Kubernetes API server could not be asked about this token; try again later"
)

// A loginRow is one login, tried on a mount of the built-in and on one of this
// plugin that are configured alike. Functions that are nil leave the defaults: a
// mount that works, a role for the service account, and its token.
type loginRow struct {
	name string

	labels      map[string]string // of the namespace
	annotations map[string]string // of the service account
	// reviewer is what the mount's reviewer may do; nil stands for all that a mount can need.
	reviewer []permission
	config   func(f *fixture) fields
	role     func(f *fixture) fields
	token    func(f *fixture) string
	login    func(f *fixture) fields

	// status is what this plugin answers. So does the built-in, unless differs
	// names a deliberate difference and builtin its answer; a builtin of
	// rejectsRole says that it does not even take the role. How the built-in words
	// its refusals is not compared; that they differ is the difference
	// refusal-wording.
	status  int
	differs string
	builtin int

	// errors are this plugin's; by default the ones that all refusals have.
	errors []string

	// want is part of a success; for the names see success.
	want func(f *fixture) fields
}

const rejectsRole = -1

// fixture is what a row works on.
type fixture struct {
	t       testing.TB
	cluster *cluster
	account account
	pod     string // of the token, if it is bound to one
	podUID  string
	mounts  mounts
	config  fields // of the mounts, as it was written
	// reviewer is the token that config has unless the row says otherwise.
	reviewer string
}

// usualRole is a role for the service account.
func (f *fixture) usualRole() fields {
	return fields{
		"bound_service_account_names":      f.account.name,
		"bound_service_account_namespaces": f.account.namespace,
		"audience":                         audience,
		"token_policies":                   "app",
	}
}

// always is for rows whose fields do not depend on the fixture.
func always(f fields) func(*fixture) fields {
	return func(*fixture) fields { return f }
}

func TestLogin(t *testing.T) {
	t.Parallel()
	t.Run("rows", func(t *testing.T) {
		for _, row := range loginRows() {
			t.Run(row.name, func(t *testing.T) {
				t.Parallel()
				f, body, issued := row.run(t)
				row.byCertificate(t, f, body, issued)
			})
		}
	})
	t.Run("nothing secret is in the log", checkLog)
}

func loginRows() []loginRow {
	return slices.Concat(
		audienceRows(), boundRows(), selectorRows(), aliasRows(), addressRows(), settingRows(),
		tokenRows(), forgeryRows(), requestRows(), reviewerRows(), keyRows(), issuerRows(), outageRows(), strangerRows(),
	)
}

func (r loginRow) run(t *testing.T) (f *fixture, body, issued fields) {
	f = r.prepare(t)
	body = fields{"role": "app", "jwt": f.jwt(r)}
	if r.login != nil {
		body = with(body, r.login(f))
	}
	ours, issued := r.logIn(t, f, body)
	if r.builtin == rejectsRole {
		return f, body, issued
	}
	builtin := f.mounts.builtin.login(t, body)
	if want := cmp.Or(r.builtin, r.status); builtin.Status != want {
		t.Fatalf("the built-in answers %v, want %d\nthis plugin answers %v", builtin, want, ours)
	}
	equal := slices.Equal(builtin.errors(), ours.errors())
	if builtin.Status == http.StatusOK {
		wanted := success(t, f.mounts.builtin, builtin)
		if equal = reflect.DeepEqual(issued, wanted); !equal && r.differs == "" {
			t.Errorf("the built-in issues %s\nthis plugin issues %s", compact(wanted), compact(issued))
		}
	}
	if equal && r.differs != "" {
		t.Errorf("is listed as the difference %q, but both answer %v", r.differs, ours)
	}
	return f, body, issued
}

// logIn is the login at this plugin's mount, and what it results in.
func (r loginRow) logIn(t *testing.T, f *fixture, body fields) (ours answer, issued fields) {
	t.Helper()
	ours = f.mounts.ours.login(t, body)
	if ours.Status != r.status {
		t.Fatalf("this plugin answers %v, want %d\n%s", ours, r.status, f.whyFromLog())
	}
	r.checkErrors(t, ours)
	f.checkExplanation(t, body, ours)
	if ours.Status == http.StatusOK {
		issued = success(t, f.mounts.ours, ours)
		r.checkSuccess(t, f, issued)
	}
	return ours, issued
}

// aboutTheReviewersToken are the rows that a certificate cannot take the place of a token in:
// they are about who that token is of, or that there is none.
var aboutTheReviewersToken = []string{
	"reviewer that is revoked", "reviewer that is garbage", "reviewer with a line break", "reviewer for another audience",
	"reviewer known by a certificate", "another cluster's certificate",
	"no reviewer, the token may review itself", "no reviewer, the token may not review itself",
	"no reviewer, the token is not for the API server", "no reviewer, garbage", "no reviewer, legacy token that may review itself",
	"another cluster and no reviewer", "no configuration",
	"selector without reviewer, the token may get namespaces", "selector without reviewer, the token may not get namespaces",
	"annotations without reviewer, the token may get service accounts",
}

// byCertificate is the same login once more, with a reviewer that is known by a certificate in
// the place of the one with a token: nothing of it may change.
func (r loginRow) byCertificate(t *testing.T, f *fixture, body, issued fields) {
	t.Helper()
	pair, ok := r.certified(t, f)
	if ok == slices.Contains(aboutTheReviewersToken, r.name) {
		t.Fatalf("the row is listed as one about the reviewer's token, or not; a certificate can take its place: %t", ok)
	}
	if !ok {
		return
	}
	t.Run("by certificate", func(t *testing.T) {
		f.mounts.ours.must(t, http.MethodPatch, "config", pair.config())
		if _, again := r.logIn(t, f, body); !reflect.DeepEqual(again, issued) {
			t.Errorf("by certificate a login is issued %s\nby token %s", compact(again), compact(issued))
		}
	})
}

// certified is the certificate of a reviewer that may do what the one may whose token the mount
// has; false if the token is the row's own.
func (r loginRow) certified(t *testing.T, f *fixture) (clientPair, bool) {
	t.Helper()
	switch reviewer := f.config["token_reviewer_jwt"]; {
	case reviewer == secondCluster(t).reviewer:
		return secondCluster(t).certified, true
	case reviewer != f.reviewer:
		return clientPair{}, false
	case r.reviewer != nil:
		return f.cluster.newCertified(t, r.reviewer...), true
	}
	return f.cluster.certified, true
}

// prepare makes what the row needs in the cluster and in Vault.
func (r loginRow) prepare(t *testing.T) *fixture {
	c := mainCluster(t)
	f := &fixture{t: t, cluster: c, mounts: newMounts(t)}
	f.account = c.newAccount(t, c.newNamespace(t, r.labels), "app", r.annotations)
	config := c.config()
	if r.reviewer != nil {
		_, config["token_reviewer_jwt"] = c.newReviewer(t, r.reviewer...)
	}
	f.reviewer = config["token_reviewer_jwt"].(string)
	if r.config != nil {
		config = with(config, r.config(f))
	}
	f.config = config
	if len(config) > 0 {
		f.mounts.must(t, http.MethodPost, "config", config)
	}
	role := f.usualRole()
	if r.role != nil {
		role = with(role, r.role(f))
	}
	f.mounts.ours.must(t, http.MethodPost, "role/app", role)
	if a := f.mounts.builtin.send(t, http.MethodPost, "role/app", role); (a.Status >= 400) != (r.builtin == rejectsRole) {
		t.Fatalf("the built-in answers to the role: %v", a)
	}
	return f
}

func (f *fixture) jwt(r loginRow) string {
	if r.token == nil {
		return f.cluster.newToken(f.t, f.account, audience)
	}
	return r.token(f)
}

func (r loginRow) checkErrors(t *testing.T, ours answer) {
	t.Helper()
	want := r.errors
	switch {
	case want != nil:
	case r.status == http.StatusForbidden:
		want = []string{permissionDenied}
	case r.status == http.StatusServiceUnavailable:
		want = []string{couldNotAsk}
	}
	if got := ours.errors(); !slices.Equal(got, want) {
		t.Errorf("the errors are %q, want %q", got, want)
	}
}

func (r loginRow) checkSuccess(t *testing.T, f *fixture, got fields) {
	t.Helper()
	if r.want == nil {
		return
	}
	for key, want := range r.want(f) {
		if !reflect.DeepEqual(got[key], asJSON(t, want)) {
			t.Errorf("%s is %s, want %s", key, compact(got[key]), compact(want))
		}
	}
}

// success is all that a login results in, but for what is random: the answer to
// the login under the names there, the token as Vault knows it under "token …", and
// the entity alias under "alias …".
func success(t *testing.T, m mount, a answer) fields {
	t.Helper()
	all := fields{}
	for key, value := range a.auth() {
		all[key] = value
	}
	delete(all, "accessor")
	delete(all, "client_token")
	delete(all, "entity_id")
	clientToken := secret("Vault token", a.auth()["client_token"].(string))
	for key, value := range must(t, http.MethodPost, "auth/token/lookup", fields{"token": clientToken}).data() {
		all["token "+key] = value
	}
	for _, key := range []string{"accessor", "creation_time", "entity_id", "expire_time", "id", "issue_time", "ttl"} {
		delete(all, "token "+key)
	}
	all["metadata"], all["token meta"] = withoutCredentialID(t, all["metadata"]), withoutCredentialID(t, all["token meta"])
	for _, key := range []string{"path", "display_name"} {
		all["token "+key] = strings.ReplaceAll(all["token "+key].(string), m.path, "<mount>")
	}
	alias := aliasOf(t, a.auth()["entity_id"].(string))
	for _, key := range []string{"name", "metadata", "custom_metadata"} {
		all["alias "+key] = alias[key]
	}
	return all
}

var credentialID = regexp.MustCompile(`^JTI=[0-9a-f]{8}-[0-9a-f-]{27}$`)

// withoutCredentialID is the metadata of a token without what names the very token of the
// login, which is another one each time. Vault's own method does not have it.
func withoutCredentialID(t *testing.T, metadata any) any {
	t.Helper()
	all, _ := metadata.(map[string]any)
	id, there := all["credential_id"]
	if !there {
		return metadata
	}
	if text, _ := id.(string); !credentialID.MatchString(text) {
		t.Errorf("credential_id is %v", id)
	}
	all = maps.Clone(all)
	delete(all, "credential_id")
	return all
}

// aliasOf is the one alias of an entity that a login made.
func aliasOf(t *testing.T, entity string) fields {
	t.Helper()
	aliases := must(t, http.MethodPost, "identity/lookup/entity", fields{"id": entity}).data()["aliases"].([]any)
	if len(aliases) != 1 {
		t.Fatalf("the entity has %d aliases: %v", len(aliases), aliases)
	}
	return aliases[0].(fields)
}

// whyFromLog is what Vault's log has about the plugin's mount, for a failure.
func (f *fixture) whyFromLog() string { return whyFromLog(f.mounts.ours) }

func whyFromLog(m mount) string {
	log, err := os.ReadFile(bed.Vault.LogPath)
	if err != nil {
		return err.Error()
	}
	var lines strings.Builder
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, m.path) && strings.Contains(line, "outcome=") {
			lines.WriteString(line)
		}
	}
	return lines.String()
}

// longRun matches what a token, a part of one or a line of a key looks like.
var longRun = regexp.MustCompile(`[A-Za-z0-9_+/=-]{40,}`)

// checkLog looks in Vault's log, in which the plugin's is, for anything secret that
// the tests have handled so far, be it only a part. So it goes by what is in the log.
func checkLog(t *testing.T) {
	content, err := os.ReadFile(bed.Vault.LogPath)
	if err != nil {
		t.Fatal(err)
	}
	// Without this the check could pass on an empty log.
	if !strings.Contains(string(content), "login refused") {
		t.Error("the log has no line of the plugin about a refused login")
	}
	secrets.Lock()
	defer secrets.Unlock()
	if len(secrets.kinds) < 10 {
		t.Errorf("only %d secrets to look for", len(secrets.kinds))
	}
	for line := range strings.Lines(string(content)) {
		for _, run := range longRun.FindAllString(line, -1) {
			for value, kind := range secrets.kinds {
				if strings.Contains(value, run[:40]) || strings.Contains(value, run[len(run)-40:]) {
					t.Fatalf("a part of a %s is in the log: %.1000s", kind, line)
				}
			}
		}
	}
}
