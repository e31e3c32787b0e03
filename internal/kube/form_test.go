package kube_test

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/kubetest"
)

const (
	asJSON     = "application/json"
	asProtobuf = "application/vnd.kubernetes.protobuf"
)

// onlyProtobuf puts a front in the way of reviews in protobuf alone.
func onlyProtobuf(front kubetest.Front) kubetest.Front {
	return func(server http.Handler) http.Handler {
		other := front(server)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Content-Type") == asProtobuf {
				other.ServeHTTP(w, r)
				return
			}
			server.ServeHTTP(w, r)
		})
	}
}

func answers(fault kubetest.Fault) kubetest.Front {
	return func(http.Handler) http.Handler { return http.HandlerFunc(fault) }
}

// inJSON answers in JSON whatever is asked for.
func inJSON(fault kubetest.Fault) kubetest.Front {
	return answers(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Accept", asJSON)
		fault(w, r)
	})
}

// refusers are what stands in between and does not know protobuf, each in its own way.
func refusers(token string) map[string]kubetest.Front {
	return map[string]kubetest.Front{
		"page, 403":                 answers(kubetest.HTML(http.StatusForbidden)),
		"page, 200":                 answers(kubetest.HTML(http.StatusOK)),
		"text, 401":                 answers(kubetest.Text(http.StatusUnauthorized, "text/plain", "who are you")),
		"JSON, 403":                 answers(kubetest.Text(http.StatusForbidden, asJSON, `{"message":"forbidden"}`)),
		"JSON, 200":                 answers(kubetest.Text(http.StatusOK, asJSON, `{}`)),
		"protobuf, and cut":         answers(kubetest.Text(http.StatusCreated, asProtobuf, "k8s\x00\x0a\x04")),
		"protobuf, and none":        answers(kubetest.Text(http.StatusCreated, asProtobuf, "")),
		"API server's 401, in JSON": inJSON(kubetest.Status(http.StatusUnauthorized)),
		"API server's 403, in JSON": inJSON(kubetest.Status(http.StatusForbidden)),
		"no such path":              inJSON(kubetest.Status(http.StatusNotFound)),
		"internal error":            answers(kubetest.Text(http.StatusInternalServerError, "text/plain", "unexpected token k")),
		"bad gateway":               answers(kubetest.HTML(http.StatusBadGateway)),
		"not implemented":           inJSON(kubetest.Status(http.StatusNotImplemented)),
		"unavailable for a moment":  inJSON(kubetest.RetryAfter(http.StatusServiceUnavailable, 0)),
		"bad request":               answers(kubetest.Status(http.StatusBadRequest)),
		"not acceptable":            answers(kubetest.Status(http.StatusNotAcceptable)),
		"unsupported":               answers(kubetest.Status(http.StatusUnsupportedMediaType)),
		"redirected":                answers(kubetest.Redirect(http.StatusFound, "/login")),
		"other object":              answers(kubetest.WrongKind()),
		"hangs":                     answers(kubetest.Hang()),
		"stream reset":              answers(kubetest.ResetStream()),
		"cut in the answer":         answers(kubetest.Truncate()),
		"changes the token":         kubetest.Replacing(token, "[hidden]", false),
		"changes the answer":        kubetest.Replacing(token, strings.Repeat("*", len(token)), true),
		"empties the request":       kubetest.Changing(false, func([]byte) []byte { return nil }),
		"converts it to text":       kubetest.Changing(false, func(body []byte) []byte { return bytes.ToValidUTF8(body, []byte("\uFFFD")) }),
		"converts the answer":       kubetest.Changing(true, func(body []byte) []byte { return bytes.ReplaceAll(body, []byte{0}, nil) }),
		"the answer loses its end":  kubetest.Shortening(20),
	}
}

// meetings are the reviews that went well before: none, or so many that protobuf has been in
// use for long, until an address leads elsewhere, or a new rule holds.
var meetings = map[string]int{"at first": 0, "later": 5}

// TestFrontThatRefusesProtobuf: no login fails for it, none is asked more than twice, and it
// is left alone for as long as formAgain says.
func TestFrontThatRefusesProtobuf(t *testing.T) {
	for meeting, before := range meetings {
		for name, front := range refusers(kubetest.Start(t).Reviewer) {
			t.Run(name+" "+meeting, func(t *testing.T) {
				t.Parallel()
				s := kubetest.Start(t)
				if strings.HasPrefix(name, "changes") {
					front = refusers(s.Reviewer)[name]
				}
				clock := &atomic.Int64{}
				c := newClient(t, s, timeout(soon*20), func(o *kube.Options) {
					o.Now = func() time.Time { return time.Unix(clock.Load(), 0) }
				})
				review := func() []string {
					t.Helper()
					s.Forget()
					status, err := c.ReviewToken(t.Context(), s.Reviewer, nil)
					if err != nil || !status.Authenticated {
						t.Errorf("the review says %+v, error %v", status, err)
					}
					return forms(s)
				}
				for range before {
					review()
				}
				s.Behind(onlyProtobuf(front))
				if before == 0 {
					wantForms(t, "first", review(), asJSON)
				}
				wantForms(t, "tried", review(), asProtobuf, asJSON)
				wantForms(t, "after that", review(), asJSON)
				clock.Add(int64(9*time.Minute/time.Second) + 50)
				wantForms(t, "nearly ten minutes later", review(), asJSON)
				clock.Add(11)
				wantForms(t, "ten minutes later", review(), asProtobuf, asJSON)
				s.Behind(nil)
				wantForms(t, "the front is gone", review(), asJSON)
				clock.Add(601)
				wantForms(t, "ten minutes after that", review(), asProtobuf)
				wantForms(t, "and from then on", review(), asProtobuf)
			})
		}
	}
}

func forms(s *kubetest.Server) (forms []string) {
	for _, r := range s.Requests() {
		forms = append(forms, r.ContentType)
	}
	return forms
}

func wantForms(t *testing.T, when string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: reviews were sent as %q, want %q", when, got, want)
	}
}

// TestOneTriesProtobuf: until it is known to be taken, all others go on in JSON.
func TestOneTriesProtobuf(t *testing.T) {
	s := kubetest.Start(t)
	c := newClient(t, s)
	review := func() {
		if status, err := c.ReviewToken(t.Context(), s.Reviewer, nil); err != nil || !status.Authenticated {
			t.Errorf("the review says %+v, error %v", status, err)
		}
	}
	review()
	s.Forget()
	underway := make(chan struct{})
	s.Behind(onlyProtobuf(func(server http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-underway
			server.ServeHTTP(w, r)
		})
	}))
	var tries, others sync.WaitGroup
	tries.Go(review)
	for s.Count(kubetest.TokenReviews) == 0 {
		time.Sleep(time.Millisecond)
	}
	for range 50 {
		others.Go(review)
	}
	others.Wait()
	close(underway)
	tries.Wait()
	for i, form := range forms(s) {
		if want := map[bool]string{true: asProtobuf, false: asJSON}[i == 0]; form != want {
			t.Errorf("review %d was sent as %s, want %s", i, form, want)
		}
	}
}

// TestWhatTheAPIServerSaysItselfIsNoMatterOfTheForm: it is not asked again for it.
func TestWhatTheAPIServerSaysItselfIsNoMatterOfTheForm(t *testing.T) {
	for meeting, before := range map[string]int{"at first": 1, "later": 5} {
		for name, row := range map[string]struct {
			change func(s *kubetest.Server)
			want   kube.Failure
		}{
			"credential rejected": {func(s *kubetest.Server) { s.Reviewer = "no.such.token" }, kube.Unauthorized},
			"not permitted": {func(s *kubetest.Server) {
				s.Revoke(kubetest.ReviewerNamespace, kubetest.ReviewerName, kubetest.TokenReviews)
			}, kube.Forbidden},
			"throttled": {func(s *kubetest.Server) { s.Fail(kubetest.RetryAfter(http.StatusTooManyRequests, 3600)) }, kube.Throttled},
		} {
			t.Run(name+" "+meeting, func(t *testing.T) {
				s := kubetest.Start(t)
				c := newClient(t, s)
				token := s.Reviewer
				for range before {
					if _, err := c.ReviewToken(t.Context(), token, nil); err != nil {
						t.Fatal(err)
					}
				}
				s.Forget()
				row.change(s)
				_, err := c.ReviewToken(t.Context(), token, nil)
				wantFailure(t, err, row.want)
				wantForms(t, name, forms(s), asProtobuf)
			})
		}
	}
}

// TestProtobufAnsweredInJSON: what costs more than it saves is not gone on with.
func TestProtobufAnsweredInJSON(t *testing.T) {
	s := kubetest.Start(t)
	s.Behind(func(server http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Header.Set("Accept", asJSON)
			server.ServeHTTP(w, r)
		})
	})
	c := newClient(t, s)
	for range 4 {
		if status, err := c.ReviewToken(t.Context(), s.Reviewer, nil); err != nil || !status.Authenticated {
			t.Fatalf("the review says %+v, error %v", status, err)
		}
	}
	wantForms(t, "all", forms(s), asJSON, asProtobuf, asJSON, asJSON)
}
