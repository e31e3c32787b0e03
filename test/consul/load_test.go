package consul

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
)

// cutLast takes a token apart at its signature.
func cutLast(jwt string) (body, signature string, ok bool) {
	i := strings.LastIndexByte(jwt, '.') + 1
	return jwt[:i], jwt[i:], i > 0
}

// inParallel counts for how many of n something is true.
func inParallel(n, workers int, do func(i int) bool) int {
	var next, count atomic.Int64
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				if do(int(i)) {
					count.Add(1)
				}
			}
		})
	}
	group.Wait()
	return int(count.Load())
}

// requestsToConsul is how many requests about ACLs are in Consul's log, which has each at
// the debug level. This test's own are not among them.
func (f *fixture) requestsToConsul(t *testing.T) int {
	t.Helper()
	log, err := os.ReadFile(f.server.LogPath)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(log), "url=/v1/acl/")
}

// ownTokens are the tokens in Consul that a mount made, by what they say of themselves.
func (f *fixture) ownTokens(t *testing.T, pod string) []*consul.ACLTokenListEntry {
	t.Helper()
	all, _, err := f.consul.ACL().TokenList(nil)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(e *consul.ACLTokenListEntry) bool { return !strings.Contains(e.Description, `"`+pod+`"`) })
}

// Pods that start at once all get their token, and nothing is left that none of them has.
// Consul's own method beside it makes five logins a second.
func TestLoginStorm(t *testing.T) {
	f := servers(t)
	if testing.Short() {
		t.Skip("takes a minute")
	}
	const pods = 2000
	m := f.newShop(t)
	jwt := f.accounts["prod/web"].jwt
	took := make([]time.Duration, pods)
	began := time.Now()
	allowed := inParallel(pods, 100, func(i int) bool {
		start := time.Now()
		_, _, err := m.client.ACL().Login(&consul.ACLLoginParams{
			AuthMethod: "kubernetes", BearerToken: jwt, Meta: map[string]string{"pod": "storm", "n": fmt.Sprint(i)},
		}, nil)
		took[i] = time.Since(start)
		if err != nil {
			t.Error(err)
		}
		return err == nil
	})
	all := time.Since(began)
	rate := float64(pods) / all.Seconds()
	slices.Sort(took)
	if left := len(f.ownTokens(t, "storm")); allowed != pods || left != pods {
		t.Errorf("%d of %d logins are allowed, and Consul has %d tokens of them", allowed, pods, left)
	}

	// Its client of the API server has used up what it may do at once by then.
	own := f.newConsulMethod(t)
	if refusal := own.write(t, service("", "${serviceaccount.name}")); refusal != "" {
		t.Fatal(refusal)
	}
	const few = 60
	began = time.Now()
	inParallel(few, 20, func(int) bool {
		_, _, err := own.client.ACL().Login(&consul.ACLLoginParams{AuthMethod: own.name, BearerToken: jwt}, nil)
		return err == nil
	})
	ownRate := float64(few) / time.Since(began).Seconds()
	t.Logf("%d logins in %s: %.0f a second, median %s, p99 %s; Consul's own method makes %.1f a second, so %.0f times as many",
		pods, all.Round(time.Millisecond), rate, took[pods/2].Round(time.Millisecond), took[pods*99/100].Round(time.Millisecond), ownRate, rate/ownRate)
	for _, e := range f.ownTokens(t, "storm") {
		if _, err := f.consul.ACL().TokenDelete(e.AccessorID, nil); err != nil {
			t.Error(err)
		}
	}
}
