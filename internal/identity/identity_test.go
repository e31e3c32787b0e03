package identity

import (
	"errors"
	"slices"
	"strings"
	"testing"

	authv1 "k8s.io/api/authentication/v1"
)

// confirmed is the status of a review that found a service account.
func confirmed() *authv1.TokenReviewStatus {
	return &authv1.TokenReviewStatus{
		Authenticated: true,
		User:          authv1.UserInfo{Username: "system:serviceaccount:apps:web", UID: "uid-1"},
		Audiences:     []string{"vault"},
	}
}

func TestFromReviewRefuses(t *testing.T) {
	user := func(name string) func(*authv1.TokenReviewStatus) {
		return func(s *authv1.TokenReviewStatus) { s.User.Username = name }
	}
	for name, row := range map[string]struct {
		change func(*authv1.TokenReviewStatus)
		want   []string
		err    error
	}{
		"zero status":                         {change: func(s *authv1.TokenReviewStatus) { *s = authv1.TokenReviewStatus{} }, err: ErrNotAuthenticated},
		"not authenticated":                   {change: func(s *authv1.TokenReviewStatus) { s.Authenticated = false }, err: ErrNotAuthenticated},
		"not authenticated, with a reason":    {change: func(s *authv1.TokenReviewStatus) { s.Authenticated, s.Error = false, "expired" }, err: ErrNotAuthenticated},
		"authenticated, with an error":        {change: func(s *authv1.TokenReviewStatus) { s.Error = "webhook timed out" }, err: ErrNotAuthenticated},
		"no audience came back":               {change: func(s *authv1.TokenReviewStatus) { s.Audiences = nil }, want: []string{"vault"}, err: ErrAudience},
		"another audience came back":          {want: []string{"other"}, err: ErrAudience},
		"audience in another case":            {want: []string{"Vault"}, err: ErrAudience},
		"part of an audience":                 {want: []string{"vaul"}, err: ErrAudience},
		"empty audience asked, none came":     {change: func(s *authv1.TokenReviewStatus) { s.Audiences = nil }, want: []string{""}, err: ErrAudience},
		"no user name":                        {change: user(""), err: ErrNotServiceAccount},
		"a person":                            {change: user("jane"), err: ErrNotServiceAccount},
		"a node":                              {change: user("system:node:node-1"), err: ErrNotServiceAccount},
		"anonymous":                           {change: user("system:anonymous"), err: ErrNotServiceAccount},
		"a person named like the prefix":      {change: user("oidc:system:serviceaccount:apps:web"), err: ErrNotServiceAccount},
		"prefix alone":                        {change: user("system:serviceaccount:"), err: ErrNotServiceAccount},
		"prefix in another case":              {change: user("System:ServiceAccount:apps:web"), err: ErrNotServiceAccount},
		"the group's prefix":                  {change: user("system:serviceaccounts:apps:web"), err: ErrNotServiceAccount},
		"namespace only":                      {change: user("system:serviceaccount:apps"), err: ErrNotServiceAccount},
		"empty namespace":                     {change: user("system:serviceaccount::web"), err: ErrNotServiceAccount},
		"empty name":                          {change: user("system:serviceaccount:apps:"), err: ErrNotServiceAccount},
		"a part too many":                     {change: user("system:serviceaccount:apps:web:admin"), err: ErrNotServiceAccount},
		"space around":                        {change: user(" system:serviceaccount:apps:web"), err: ErrNotServiceAccount},
		"newline at the end":                  {change: user("system:serviceaccount:apps:web\n"), err: ErrNotServiceAccount},
		"namespace climbs out of the path":    {change: user("system:serviceaccount:../../../apis/x:web"), err: ErrNotServiceAccount},
		"name climbs out of the path":         {change: user("system:serviceaccount:apps:../../secrets"), err: ErrNotServiceAccount},
		"dots only":                           {change: user("system:serviceaccount:..:.."), err: ErrNotServiceAccount},
		"namespace with a dot":                {change: user("system:serviceaccount:a.b:web"), err: ErrNotServiceAccount},
		"namespace with an upper-case letter": {change: user("system:serviceaccount:Apps:web"), err: ErrNotServiceAccount},
		"name with a wildcard":                {change: user("system:serviceaccount:apps:*"), err: ErrNotServiceAccount},
		"name with a slash":                   {change: user("system:serviceaccount:apps:web/x"), err: ErrNotServiceAccount},
		"namespace too long":                  {change: user("system:serviceaccount:" + strings.Repeat("a", 64) + ":web"), err: ErrNotServiceAccount},
		"name too long":                       {change: user("system:serviceaccount:apps:" + strings.Repeat("a", 254)), err: ErrNotServiceAccount},
		"name not ASCII":                      {change: user("system:serviceaccount:apps:wéb"), err: ErrNotServiceAccount},
		"no uid":                              {change: func(s *authv1.TokenReviewStatus) { s.User.UID = "" }, err: ErrNotServiceAccount},
	} {
		t.Run(name, func(t *testing.T) {
			status := confirmed()
			if row.change != nil {
				row.change(status)
			}
			got, err := FromReview(status, row.want)
			if !errors.Is(err, row.err) {
				t.Errorf("the error is %v, want %v", err, row.err)
			}
			for _, other := range []error{ErrNotAuthenticated, ErrAudience, ErrNotServiceAccount} {
				if other != row.err && errors.Is(err, other) { //nolint:errorlint // sentinels are compared with each other
					t.Errorf("the error is also %v", other)
				}
			}
			if got.Name() != "" || got.Namespace() != "" || got.UID() != "" || got.Audiences() != nil || got.Pod() != (Object{}) || got.Node() != (Object{}) {
				t.Errorf("a refused review made the identity %+v", got)
			}
		})
	}
}

func TestFromReviewAccepts(t *testing.T) {
	for name, row := range map[string]struct {
		change func(*authv1.TokenReviewStatus)
		want   []string
	}{
		"no audience asked for":               {},
		"no audience asked for, none came":    {change: func(s *authv1.TokenReviewStatus) { s.Audiences = nil }},
		"the audience asked for":              {want: []string{"vault"}},
		"one of the audiences asked for":      {want: []string{"other", "vault"}},
		"more audiences came than were asked": {want: []string{"vault"}, change: func(s *authv1.TokenReviewStatus) { s.Audiences = []string{"x", "vault"} }},
		"unknown extra keys and groups": {change: func(s *authv1.TokenReviewStatus) {
			s.User.Extra = map[string]authv1.ExtraValue{"example.com/impersonate": {"root"}, "": {""}}
			s.User.Groups = []string{"system:masters"}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			status := confirmed()
			if row.change != nil {
				row.change(status)
			}
			got, err := FromReview(status, row.want)
			if err != nil {
				t.Fatal(err)
			}
			if got.Namespace() != "apps" || got.Name() != "web" || got.UID() != "uid-1" {
				t.Errorf("got %s/%s with uid %s", got.Namespace(), got.Name(), got.UID())
			}
			if !slices.Equal(got.Audiences(), status.Audiences) {
				t.Errorf("audiences %q, want %q", got.Audiences(), status.Audiences)
			}
			if got.Pod() != (Object{}) || got.Node() != (Object{}) {
				t.Errorf("bound to %+v and %+v, want nothing", got.Pod(), got.Node())
			}
		})
	}
}

func TestFromReviewLongestNames(t *testing.T) {
	namespace, name := strings.Repeat("n", 63), strings.Repeat("a", 63)+".b"
	status := confirmed()
	status.User.Username = "system:serviceaccount:" + namespace + ":" + name
	got, err := FromReview(status, nil)
	if err != nil || got.Namespace() != namespace || got.Name() != name {
		t.Errorf("got %s/%s, error %v", got.Namespace(), got.Name(), err)
	}
}

func TestBoundObjects(t *testing.T) {
	for name, row := range map[string]struct {
		extra     map[string]authv1.ExtraValue
		pod, node Object
	}{
		"pod and node": {
			extra: map[string]authv1.ExtraValue{
				extraPodName: {"web-1"}, extraPodUID: {"p"}, extraNodeName: {"node-1"}, extraNodeUID: {"n"},
			},
			pod:  Object{Name: "web-1", UID: "p"},
			node: Object{Name: "node-1", UID: "n"},
		},
		"pod that is not scheduled": {
			extra: map[string]authv1.ExtraValue{extraPodName: {"web-1"}, extraPodUID: {"p"}},
			pod:   Object{Name: "web-1", UID: "p"},
		},
		"a node alone, which whoever may create tokens chooses": {
			extra: map[string]authv1.ExtraValue{extraNodeName: {"control-plane-1"}, extraNodeUID: {"n"}},
		},
		"a node that does not exist, which a pod may name": {
			extra: map[string]authv1.ExtraValue{extraPodName: {"web-1"}, extraPodUID: {"p"}, extraNodeName: {"control-plane-1"}},
			pod:   Object{Name: "web-1", UID: "p"},
		},
		"a node beside a pod that is not whole": {
			extra: map[string]authv1.ExtraValue{extraPodName: {"web-1"}, extraNodeName: {"node-1"}, extraNodeUID: {"n"}},
		},
		"names that no object has": {
			extra: map[string]authv1.ExtraValue{extraPodName: {"+"}, extraPodUID: {"p"}, extraNodeName: {"node-1"}, extraNodeUID: {"n"}},
		},
		"a name that no node has": {
			extra: map[string]authv1.ExtraValue{extraPodName: {"web-1"}, extraPodUID: {"p"}, extraNodeName: {"a/b"}, extraNodeUID: {"n"}},
			pod:   Object{Name: "web-1", UID: "p"},
		},
		"a uid without the name of the node": {
			extra: map[string]authv1.ExtraValue{extraPodName: {"web-1"}, extraPodUID: {"p"}, extraNodeUID: {"n"}},
			pod:   Object{Name: "web-1", UID: "p"},
		},
		"several values leave open which counts": {
			extra: map[string]authv1.ExtraValue{extraPodName: {"web-1", "other"}, extraPodUID: {"p"}},
		},
		"no value": {
			extra: map[string]authv1.ExtraValue{extraPodName: {}, extraNodeName: nil},
		},
		"key in another case": {
			extra: map[string]authv1.ExtraValue{strings.ToUpper(extraPodName): {"web-1"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			status := confirmed()
			status.User.Extra = row.extra
			got, err := FromReview(status, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got.Pod() != row.pod || got.Node() != row.node {
				t.Errorf("bound to %+v and %+v, want %+v and %+v", got.Pod(), got.Node(), row.pod, row.node)
			}
			leased, err := FromLease(got.ForLease())
			if err != nil || leased.Pod() != row.pod || leased.Node() != row.node {
				t.Errorf("from the lease, bound to %+v and %+v, want %+v and %+v (%v)", leased.Pod(), leased.Node(), row.pod, row.node, err)
			}
		})
	}
}

// A lease that was written before nodes without a pod stopped to count.
func TestLeaseWithANodeAlone(t *testing.T) {
	got, err := FromLease(`{"namespace":"apps","name":"web","uid":"u","pod":{},"node":{"Name":"control-plane-1","UID":"n"}}`)
	if err != nil || got.Node() != (Object{}) {
		t.Errorf("bound to the node %+v (%v)", got.Node(), err)
	}
}

// An identity must not change after it was checked.
func TestIdentityDoesNotShareTheAnswer(t *testing.T) {
	status := confirmed()
	got, err := FromReview(status, nil)
	if err != nil {
		t.Fatal(err)
	}
	status.Audiences[0] = "changed"
	if got.Audiences()[0] != "vault" {
		t.Error("the identity's audiences are those of the answer")
	}
}

func FuzzSplitUsername(f *testing.F) {
	for _, seed := range []string{
		"system:serviceaccount:apps:web", "system:serviceaccount:a:b.c-d", "system:serviceaccount::", "system:serviceaccount:apps:web:x",
		"system:serviceaccount:../x:y", "system:anonymous", "", "system:serviceaccount:apps:web\x00", "system:serviceaccount:apps:\u212a",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, username string) {
		namespace, name, err := splitUsername(username)
		if err != nil {
			if namespace != "" || name != "" || !errors.Is(err, ErrNotServiceAccount) {
				t.Errorf("%q: %q, %q, %v", username, namespace, name, err)
			}
			return
		}
		if username != usernamePrefix+namespace+":"+name {
			t.Errorf("%q was read as %q and %q", username, namespace, name)
		}
		if namespace == "" || name == "" || strings.ContainsFunc(namespace+name, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '.'
		}) || strings.Contains(name, "..") || strings.Contains(namespace, ".") {
			t.Errorf("%q gives %q and %q, which may not stand in a path", username, namespace, name)
		}
	})
}
