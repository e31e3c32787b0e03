package kube_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/internal/kube"
	"vault-plugin-auth-kubernetes/internal/kubetest"
)

func TestListUIDsInPages(t *testing.T) {
	s := kubetest.Start(t)
	var want []string
	for i := range 1201 {
		want = append(want, s.AddPod("apps", fmt.Sprintf("web-%04d", i), ""))
	}
	s.BeginDeletion(kubetest.Pods, "apps", "web-0007", time.Hour)
	s.Forget()
	var got []string
	var deleting int
	version, seen, err := newClient(t, s).ListUIDs(t.Context(), kube.Pods, func(e kube.Event) {
		got = append(got, e.UID)
		if e.Deleting {
			deleting++
		}
	})
	if err != nil || version == "" || seen.Date.IsZero() {
		t.Fatalf("version %q, date %s, error %v", version, seen.Date, err)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) || deleting != 1 || s.Count(kubetest.PodWatch) != 3 {
		t.Errorf("%d of %d objects, %d being deleted, in %d requests", len(got), len(want), deleting, s.Count(kubetest.PodWatch))
	}
}

func TestWatchUIDs(t *testing.T) {
	s := kubetest.Start(t)
	c := newClient(t, s)
	uid := s.AddServiceAccount("apps", "web")
	from, _, err := c.ListUIDs(t.Context(), kube.ServiceAccounts, func(kube.Event) {})
	if err != nil {
		t.Fatal(err)
	}
	s.BeginDeletion(kubetest.ServiceAccounts, "apps", "web", 0)
	s.DeleteServiceAccount("apps", "web")
	other := s.AddServiceAccount("apps", "web")
	s.AddPod("apps", "unrelated", "")
	var got []kube.Event
	seen, err := c.WatchUIDs(t.Context(), kube.ServiceAccounts, from, 2*time.Second, func(e kube.Event) { got = append(got, e) })
	if err != nil || seen.Date.IsZero() {
		t.Fatalf("date %s, error %v", seen.Date, err)
	}
	if len(got) != 4 || got[0].UID != uid || !got[0].Deleting || got[0].Gone || got[1].UID != uid || !got[1].Gone ||
		got[2].UID != other || got[2].Gone || got[2].Deleting || !got[3].Bookmark {
		t.Errorf("told %+v", got)
	}
}

func TestWatchUIDsThatFail(t *testing.T) {
	for name, row := range map[string]struct {
		before func(*kubetest.Server)
		during func(*kubetest.Server)
		want   kube.Failure
		old    bool
	}{
		"history forgotten": {before: (*kubetest.Server).ForgetHistory, old: true},
		"not permitted": {before: func(s *kubetest.Server) {
			s.Revoke(kubetest.ReviewerNamespace, kubetest.ReviewerName, kubetest.PodWatch)
		}, want: kube.Forbidden},
		"another kind":    {before: func(s *kubetest.Server) { s.Fail(kubetest.WrongKind()) }, want: kube.ServerError},
		"a page":          {before: func(s *kubetest.Server) { s.Fail(kubetest.HTML(http.StatusOK)) }, want: kube.Malformed},
		"server error":    {before: func(s *kubetest.Server) { s.Fail(kubetest.Status(http.StatusInternalServerError)) }, want: kube.ServerError},
		"cut":             {during: (*kubetest.Server).CutWatches},
		"connections cut": {during: (*kubetest.Server).CloseConnections},
	} {
		t.Run(name, func(t *testing.T) {
			s := kubetest.Start(t)
			c := newClient(t, s)
			from := s.List(kubetest.PodWatch).ResourceVersion
			if row.before != nil {
				row.before(s)
			}
			if row.during != nil {
				s.AddPod("apps", "web-1", "")
			}
			bookmarks := 0
			_, err := c.WatchUIDs(t.Context(), kube.Pods, from, 8*time.Second, func(e kube.Event) {
				if e.Bookmark {
					bookmarks++
				} else if row.during != nil {
					row.during(s)
				}
			})
			if bookmarks != 0 {
				t.Error("a bookmark, although nothing vouches for one")
			}
			var failed *kube.Error
			if row.want != "" && (!errors.As(err, &failed) || failed.Failure != row.want) {
				t.Errorf("error %v, want %s", err, row.want)
			}
			if errors.Is(err, kube.ErrTooOld) != row.old {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestWatchEndsWithItsContext(t *testing.T) {
	s := kubetest.Start(t)
	s.SilenceWatches(true)
	ctx, cancel := context.WithCancel(t.Context())
	from := s.List(kubetest.PodWatch).ResourceVersion
	s.AddPod("apps", "web-1", "")
	go func() { cancel() }()
	var failed *kube.Error
	if _, err := newClient(t, s).WatchUIDs(ctx, kube.Pods, from, time.Minute, func(kube.Event) { t.Error("told although silent") }); !errors.As(err, &failed) || failed.Failure != kube.Canceled {
		t.Errorf("error %v", err)
	}
}

func TestPod(t *testing.T) {
	s := kubetest.Start(t)
	uid := s.AddPod("apps", "web-1", "node-1")
	c := newClient(t, s)
	pod, err := c.Pod(t.Context(), "", "apps", "web-1")
	if err != nil || pod.UID != uid || pod.Deleting {
		t.Errorf("%+v, %v", pod, err)
	}
	s.BeginDeletion(kubetest.Pods, "apps", "web-1", time.Hour)
	if pod, err := c.Pod(t.Context(), "", "apps", "web-1"); err != nil || !pod.Deleting {
		t.Errorf("being deleted: %+v, %v", pod, err)
	}
	var failed *kube.Error
	if _, err := c.Pod(t.Context(), "", "apps", "web-2"); !errors.As(err, &failed) || failed.Failure != kube.NotFound {
		t.Errorf("error %v", err)
	}
}

// A name is never more than one part of a path.
func TestPodOfANameThatLeadsElsewhere(t *testing.T) {
	s := kubetest.Start(t)
	s.AddPod("apps", "web-1", "")
	c := newClient(t, s)
	for _, name := range []string{"", ".", "..", "../web-1", "web-1/log", "web%2f1", "../../pods/web-1"} {
		for _, in := range [][2]string{{"apps", name}, {name, "web-1"}} {
			if pod, err := c.Pod(t.Context(), "", in[0], in[1]); err == nil {
				t.Errorf("%q in %q: %+v", in[1], in[0], pod)
			}
		}
	}
	for _, r := range s.Requests() {
		t.Errorf("asked for %s", r.Path)
	}
}
