package front

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
)

// relist is one kind that is to be listed anew.
type relist struct {
	told   bool // that the API server has forgotten
	listed bool // a list, or a page of one, was answered since
	over   bool
	done   chan error // has room for how it ended
}

var errNotListed = errors.New("was watched on without a list, though the API server has forgotten what happened since")

// forget begins to have kinds listed anew, and no others any more.
func (f *Front) forget(kinds ...string) map[string]*relist {
	begun := map[string]*relist{}
	for _, kind := range kinds {
		begun[kind] = &relist{done: make(chan error, 1)}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.relists = begun
	return begun
}

// await waits until each kind was listed anew.
func await(ctx context.Context, begun map[string]*relist) error {
	for kind, r := range begun {
		select {
		case err := <-r.done:
			if err != nil {
				return fmt.Errorf("%s: %w", kind, err)
			}
		case <-ctx.Done():
			return fmt.Errorf("%s are not listed anew: %w", kind, context.Cause(ctx))
		}
	}
	return nil
}

// watchBegins tells whether a watch of a kind is to hear that the API server has forgotten.
// Who follows watches again once the list is here to its end, so that tells of it.
func (f *Front) watchBegins(kind string) (tooOld bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.relists[kind]
	if r == nil || r.over {
		return false
	}
	if !r.told {
		r.told = true
		return true
	}
	r.over = true
	if r.listed {
		r.done <- nil
	} else {
		r.done <- errNotListed
	}
	return false
}

func (f *Front) listed(kind string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r := f.relists[kind]; r != nil && r.told {
		r.listed = true
	}
}

// answerTooOld answers a watch as kube-apiserver does that does not know any more what
// happened since a version: the watch begins, and the first thing that it tells is an error.
func answerTooOld(w http.ResponseWriter) {
	status := apierrors.NewResourceExpired("too old resource version").Status()
	status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
	object, err := json.Marshal(status)
	if err == nil {
		object, err = json.Marshal(metav1.WatchEvent{Type: string(watch.Error), Object: runtime.RawExtension{Raw: object}})
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", runtime.ContentTypeJSON)
	_, _ = w.Write(append(object, '\n')) // a client that is gone needs no answer
}
