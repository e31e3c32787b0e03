package kube_test

import (
	"context"
	"net/http"
	"os"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/kubetest"
)

// ended is what a meter was told of one request.
type ended struct {
	op      string
	failure kube.Failure
	had     bool // its turn
}

// metered makes a client with a meter that records.
func metered(t *testing.T, s *kubetest.Server, changes ...func(*kube.Options)) (c *kube.Client, meter *kube.Meter, take func() []ended) {
	t.Helper()
	var mu sync.Mutex
	var told []ended
	meter = &kube.Meter{Done: func(op string, failure kube.Failure, took time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, ended{op, failure, took > 0})
	}}
	c = newClient(t, s, append(changes, func(o *kube.Options) { o.Meter = meter })...)
	return c, meter, func() []ended {
		mu.Lock()
		defer mu.Unlock()
		taken := told
		told = nil
		return taken
	}
}

func TestMeterIsToldOfEachRequestOnce(t *testing.T) {
	s := kubetest.Start(t)
	c, meter, take := metered(t, s)
	for name, row := range map[string]struct {
		fault kubetest.Fault
		times int
		want  kube.Failure
	}{
		"answered":                       {},
		"refused":                        {kubetest.Status(http.StatusForbidden), -1, kube.Forbidden},
		"answered at the second attempt": {kubetest.CloseConnection(), 1, ""},
		"no answer in two attempts":      {kubetest.CloseConnection(), -1, kube.Connection},
	} {
		s.Heal()
		if row.fault != nil {
			s.FailTimes(row.times, row.fault)
		}
		_, err := c.ReviewToken(t.Context(), loginToken, nil)
		if got := take(); len(got) != 1 || got[0] != (ended{"create TokenReview", row.want, true}) || (err != nil) != (row.want != "") {
			t.Errorf("%s: told %v, error %v", name, got, err)
		}
	}
	if waiting, underway := meter.Waiting.Load(), meter.Underway.Load(); waiting != 0 || underway != 0 {
		t.Errorf("afterwards %d wait and %d are under way", waiting, underway)
	}
}

// A request that gave up waiting had no turn, and took no time of the API server's.
func TestMeterOfRequestsThatWait(t *testing.T) {
	s := kubetest.Start(t)
	c, meter, take := metered(t, s, func(o *kube.Options) { o.MaxConcurrent = 1 })
	entered := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	s.Fail(func(_ http.ResponseWriter, r *http.Request) { close(entered); <-r.Context().Done() })
	var first sync.WaitGroup
	first.Go(func() { _, _ = c.ReviewToken(ctx, loginToken, nil) })
	<-entered
	if got := meter.Underway.Load(); got != 1 {
		t.Errorf("%d under way, want 1", got)
	}
	short, stop := context.WithTimeout(t.Context(), soon)
	defer stop()
	_, err := c.ReviewToken(short, loginToken, nil)
	if got := take(); len(got) != 1 || got[0] != (ended{"create TokenReview", kube.Busy, false}) {
		t.Errorf("told %v, error %v", got, err)
	}
	cancel()
	first.Wait()
	if got := take(); len(got) != 1 || got[0] != (ended{"create TokenReview", kube.Canceled, true}) {
		t.Errorf("told %v", got)
	}
}

// The list of failures is that of the constants.
func TestFailuresAreListed(t *testing.T) {
	text, err := os.ReadFile("errors.go")
	if err != nil {
		t.Fatal(err)
	}
	var constants []kube.Failure
	for _, match := range regexp.MustCompile(`Failure += "([^"]+)"`).FindAllStringSubmatch(string(text), -1) {
		constants = append(constants, kube.Failure(match[1]))
	}
	if len(constants) == 0 || !slices.Equal(constants, kube.Failures) {
		t.Errorf("listed are %q, the constants are %q", kube.Failures, constants)
	}
}
