package kube

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
)

// Kind is a kind of objects, as paths have it.
type Kind string

// What can be followed.
const (
	Pods            Kind = "pods"
	ServiceAccounts Kind = "serviceaccounts"
)

// OpFollow is how errors and the Meter name lists and watches.
const OpFollow = "follow objects"

// ErrTooOld is wrapped where the API server does not know any more what happened since
// the version that a watch was to begin at: everything has to be listed anew.
var ErrTooOld = errors.New("the API server has forgotten what happened since")

const (
	// pageSize is how many objects are asked for at a time. The metadata of a pod is
	// about 3 KiB; a page that is too long is asked for in halves.
	pageSize = 500
	// maxPageBytes and maxWatchBytes bound a page, and one watch.
	maxPageBytes  = 16 << 20
	maxWatchBytes = 256 << 20
)

// Metadata is asked for alone, so that no pod's spec is sent. A server that does not know
// how to (none since Kubernetes 1.15) answers with another kind of object, which is an error.
const (
	acceptList = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1," +
		"application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
	acceptOne = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1," +
		"application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
)

// Event is what a watch tells.
type Event struct {
	// Bookmark says that everything up to Version was told, and nothing of an object.
	Bookmark bool
	// UID is the object's. Gone says that it does not exist any more, Deleting that it
	// has a deletionTimestamp.
	UID            string
	Gone, Deleting bool
	// Version is a resourceVersion, from which a watch may go on.
	Version string
	// Seen is, with a bookmark, what the beginning of the answer showed.
	Seen Observation
}

// newMetadataClient makes the client for metadata alone.
func newMetadataClient(config *rest.Config, httpClient *http.Client) (rest.Interface, error) {
	config = metadata.ConfigFor(config)
	config.GroupVersion = &metav1.SchemeGroupVersion
	config.APIPath = "/unused"
	return rest.RESTClientForConfigAndClient(config, httpClient)
}

// ListUIDs tells of all objects of a kind, as they are at the version that it returns,
// which is none from before it was called. The errors are of type *Error.
func (c *Client) ListUIDs(ctx context.Context, kind Kind, each func(Event)) (version string, seen Observation, err error) {
	ctx = context.WithValue(ctx, observationKey{}, &seen)
	ctx = context.WithValue(ctx, bodyLimitKey{}, int64(maxPageBytes))
	next, limit := "", pageSize
	for {
		var page *metav1.PartialObjectMetadataList
		err := c.do(ctx, OpFollow, "", func(ctx context.Context) (err error) {
			page, err = c.page(ctx, kind, next, limit)
			return err
		})
		switch {
		case errors.Is(err, errTooLong) && limit > 1:
			limit /= 2
			continue
		case err != nil:
			return "", seen, tooOld(err)
		}
		for i := range page.Items {
			each(eventOf(&page.Items[i]))
		}
		if next = page.Continue; next == "" {
			return page.ResourceVersion, seen, nil
		}
	}
}

// NewestVersion is that of when it was called, of all that the API server stores: that of
// a list of objects of a kind which is not older.
func (c *Client) NewestVersion(ctx context.Context, kind Kind) (version string, seen Observation, err error) {
	ctx = context.WithValue(ctx, observationKey{}, &seen)
	var page *metav1.PartialObjectMetadataList
	err = c.do(ctx, OpFollow, "", func(ctx context.Context) (err error) {
		page, err = c.page(ctx, kind, "", 1)
		return err
	})
	if err != nil {
		return "", seen, err
	}
	return page.ResourceVersion, seen, nil
}

func (c *Client) page(ctx context.Context, kind Kind, next string, limit int) (*metav1.PartialObjectMetadataList, error) {
	request := c.metadata.Get().AbsPath("/api/v1", string(kind)).SetHeader("Accept", acceptList).Param("limit", strconv.Itoa(limit)).MaxRetries(0)
	if next != "" {
		request = request.Param("continue", next)
	}
	object, err := request.Do(ctx).Get()
	if err != nil {
		return nil, err
	}
	page, ok := object.(*metav1.PartialObjectMetadataList)
	if !ok || page.ResourceVersion == "" {
		return nil, errOtherObject
	}
	return page, nil
}

// WatchUIDs tells of what happens to objects of a kind after a version, until the API
// server ends the watch, which it is asked to do after a while. It takes no turn: it is
// under way all the time, and asks for next to nothing. The errors are of type *Error; the
// end that was asked for is none.
func (c *Client) WatchUIDs(ctx context.Context, kind Kind, after string, while time.Duration, each func(Event)) (seen Observation, err error) {
	known := &sent{secrets: c.Secrets()}
	began := time.Now()
	defer func() { c.meter.done(OpFollow, time.Since(began), err, false) }()
	if may, last := c.circuit.Ask(c.now()); !may {
		return seen, known.cleaned(notAsked(OpFollow, last))
	}
	ctx, cancel := context.WithTimeout(ctx, while+c.timeout)
	defer cancel()
	ctx = context.WithValue(ctx, sentKey{}, known)
	ctx = context.WithValue(ctx, observationKey{}, &seen)
	ctx = context.WithValue(ctx, bodyLimitKey{}, int64(maxWatchBytes))
	a := newAttempt(ctx, c.now())
	defer a.letGo()
	defer a.end()
	err = c.watch(a.ctx, kind, after, while, each)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	if err = wrap(OpFollow, err); classed(err, Canceled) && seen.Answered {
		c.learn(a, nil) // whoever follows ends a watch that told all it is there for
	} else {
		c.learn(a, err)
	}
	return seen, known.cleaned(tooOld(err))
}

func (c *Client) watch(ctx context.Context, kind Kind, after string, while time.Duration, each func(Event)) error {
	stream, err := c.metadata.Get().AbsPath("/api/v1", string(kind)).SetHeader("Accept", acceptOne).
		Param("watch", "true").Param("allowWatchBookmarks", "true").Param("resourceVersion", after).
		Param("timeoutSeconds", strconv.Itoa(int(while/time.Second))).
		MaxRetries(0).Watch(ctx)
	if err != nil {
		return err
	}
	defer stream.Stop()
	for {
		select {
		case told, ok := <-stream.ResultChan():
			if !ok {
				return ctx.Err()
			}
			if told.Type == watch.Error {
				return apierrors.FromObject(told.Object)
			}
			object, ok := told.Object.(*metav1.PartialObjectMetadata)
			if !ok || object.ResourceVersion == "" {
				return errOtherObject
			}
			event := eventOf(object)
			if event.Bookmark, event.Gone = told.Type == watch.Bookmark, told.Type == watch.Deleted; event.Bookmark {
				event.Seen = *ctx.Value(observationKey{}).(*Observation)
			}
			each(event)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func eventOf(object *metav1.PartialObjectMetadata) Event {
	return Event{UID: string(object.UID), Deleting: object.DeletionTimestamp != nil, Version: object.ResourceVersion}
}

// tooOld marks the error that only a list heals.
func tooOld(err error) error {
	var failed *Error
	if errors.As(err, &failed) && (apierrors.IsResourceExpired(err) || apierrors.IsGone(err)) {
		failed.Err = fmt.Errorf("%w: %w", ErrTooOld, failed.Err)
	}
	return err
}

type bodyLimitKey struct{}

// bodyLimit is how long an answer may be.
func bodyLimit(ctx context.Context) int64 {
	if limit, ok := ctx.Value(bodyLimitKey{}).(int64); ok {
		return limit
	}
	return maxResponseBytes
}
