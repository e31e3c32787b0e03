package kubetest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	codecs "k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/watch"
)

// bookmarkBefore is how long before the end of a watch kube-apiserver sends a bookmark.
const bookmarkBefore = 2 * time.Second

// history is what happened to pods and service accounts, for those who watch.
type history struct {
	version uint64 // of the newest object
	events  []event
	// since is the version before the first event; a watch from an older one is told to
	// list again.
	since uint64
	// news is closed at each event, and made anew.
	news chan struct{}
	// cut ends all watches that are under way.
	cut chan struct{}
	// silent keeps everything from those who watch, and their watches open.
	silent bool
}

type event struct {
	resource Resource
	version  uint64
	watch.Event
}

func newHistory() history {
	return history{news: make(chan struct{}), cut: make(chan struct{})}
}

// happened notes an event of an object whose resourceVersion is the newest. s.mu is held.
func (s *Server) happened(resource Resource, kind watch.EventType, object *metav1.ObjectMeta) {
	partial := &metav1.PartialObjectMetadata{ObjectMeta: *object.DeepCopy()}
	partial.SetGroupVersionKind(metav1.SchemeGroupVersion.WithKind("PartialObjectMetadata"))
	s.events = append(s.events, event{resource, s.version, watch.Event{Type: kind, Object: partial}})
	close(s.news)
	s.news = make(chan struct{})
}

// changed gives an object a new resourceVersion.
func (s *Server) changed(resource Resource, object *metav1.ObjectMeta) {
	s.version++
	object.ResourceVersion = strconv.FormatUint(s.version, 10)
	s.happened(resource, watch.Modified, object)
}

// deleted notes that an object is gone, with a resourceVersion of its own.
func (s *Server) deleted(resource Resource, object *metav1.ObjectMeta) {
	last := object.DeepCopy()
	s.version++
	last.ResourceVersion = strconv.FormatUint(s.version, 10)
	s.happened(resource, watch.Deleted, last)
}

// CutWatches ends all watches that are under way.
func (s *Server) CutWatches() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.cut)
	s.cut = make(chan struct{})
}

// SilenceWatches keeps events and bookmarks from those who watch, now and from now on,
// until it is called with false. What happened meanwhile is then told.
func (s *Server) SilenceWatches(silent bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silent = silent
	close(s.news)
	s.news = make(chan struct{})
}

// ForgetHistory makes watches from before now end with 410, so that clients list anew.
func (s *Server) ForgetHistory() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++ // as other kinds of objects change it
	s.events, s.since = nil, s.version
}

// List is what a list of PodWatch or ServiceAccountWatch holds now.
func (s *Server) List(resource Resource) *metav1.PartialObjectMetadataList {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := &metav1.PartialObjectMetadataList{ListMeta: metav1.ListMeta{ResourceVersion: strconv.FormatUint(s.version, 10)}}
	list.SetGroupVersionKind(metav1.SchemeGroupVersion.WithKind("PartialObjectMetadataList"))
	add := func(object metav1.ObjectMeta) {
		item := metav1.PartialObjectMetadata{ObjectMeta: *object.DeepCopy()}
		item.SetGroupVersionKind(metav1.SchemeGroupVersion.WithKind("PartialObjectMetadata"))
		list.Items = append(list.Items, item)
	}
	if resource == PodWatch {
		for _, pod := range s.pods {
			add(pod.ObjectMeta)
		}
	} else {
		for _, account := range s.serviceAccounts {
			add(account.ObjectMeta)
		}
	}
	slices.SortFunc(list.Items, func(a, b metav1.PartialObjectMetadata) int {
		return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	})
	return list
}

// Follow tells of what happens after a version, and sends a bookmark two seconds before
// it ends. It ends after timeout, when watches are cut, or with an error of ctx.
func (s *Server) Follow(ctx context.Context, resource Resource, after string, timeout time.Duration, tell func(watch.Event) error) error {
	from, err := strconv.ParseUint(after, 10, 64)
	if err != nil {
		return apierrors.NewBadRequest("invalid resource version")
	}
	end := time.NewTimer(timeout)
	defer end.Stop()
	bookmark := time.NewTimer(max(timeout-bookmarkBefore, 0))
	defer bookmark.Stop()
	s.mu.Lock()
	cut := s.cut
	s.mu.Unlock()
	due, told := false, from
	for {
		events, now, news, silent, err := s.eventsAfter(resource, from)
		if err != nil {
			return err
		}
		if !silent {
			for _, e := range events {
				if err := tell(e); err != nil {
					return err
				}
				told = versionOf(e)
			}
			from = max(from, now)
			if due {
				due = false
				if from == told {
					continue // kube-apiserver tells nobody of the version that they gave, or have been told
				}
				if err := tell(bookmarkAt(from)); err != nil {
					return err
				}
			}
		}
		select {
		case <-news:
		case <-bookmark.C:
			due = true
		case <-end.C:
			return nil
		case <-cut:
			return errCut
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

var errCut = errors.New("the watch was cut")

func versionOf(e watch.Event) uint64 {
	object, err := meta.Accessor(e.Object)
	if err != nil {
		panic(err) // a mistake of this package
	}
	version, _ := strconv.ParseUint(object.GetResourceVersion(), 10, 64)
	return version
}

func bookmarkAt(version uint64) watch.Event {
	object := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{ResourceVersion: strconv.FormatUint(version, 10)}}
	object.SetGroupVersionKind(metav1.SchemeGroupVersion.WithKind("PartialObjectMetadata"))
	return watch.Event{Type: watch.Bookmark, Object: object}
}

// eventsAfter also returns the newest version, what is closed at the next event, and
// whether nobody is to be told.
func (s *Server) eventsAfter(resource Resource, from uint64) (events []watch.Event, now uint64, news <-chan struct{}, silent bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if from < s.since {
		return nil, 0, nil, false, apierrors.NewResourceExpired(fmt.Sprintf("too old resource version: %d (%d)", from, s.since))
	}
	for _, e := range s.events {
		if e.resource == resource && e.version > from {
			events = append(events, e.Event)
		}
	}
	return events, s.version, s.news, s.silent, nil
}

// serveCollection answers a list or a watch, as metadata alone if that is asked for.
func (s *Server) serveCollection(w http.ResponseWriter, r *http.Request, resource Resource) {
	query := r.URL.Query()
	if query.Get("watch") == "" {
		s.serveList(w, r, resource)
		return
	}
	seconds, err := strconv.Atoi(query.Get("timeoutSeconds"))
	if err != nil || query.Get("allowWatchBookmarks") != "true" {
		writeStatus(w, r, apierrors.NewBadRequest("the server knows watches with timeoutSeconds and bookmarks"))
		return
	}
	info := negotiateMetadata(r)
	framer := info.StreamSerializer.NewFrameWriter(w)
	w.Header().Set("Content-Type", info.MediaType+";stream=watch")
	if info.MediaType == runtime.ContentTypeJSON {
		w.Header().Set("Content-Type", info.MediaType)
	}
	w.WriteHeader(http.StatusOK)
	w.(http.Flusher).Flush()
	tell := func(e watch.Event) error {
		version := metav1.SchemeGroupVersion
		if e.Type == watch.Error {
			version = coreVersion // that of Status
		}
		raw, err := runtime.Encode(metadataCodecs.EncoderForVersion(info.Serializer, version), e.Object)
		if err != nil {
			return err
		}
		outer := &metav1.WatchEvent{Type: string(e.Type), Object: runtime.RawExtension{Raw: raw}}
		if err := metadataCodecs.EncoderForVersion(info.StreamSerializer.Serializer, coreVersion).Encode(outer, framer); err != nil {
			return err
		}
		w.(http.Flusher).Flush()
		return nil
	}
	err = s.Follow(r.Context(), resource, query.Get("resourceVersion"), time.Duration(seconds)*time.Second, tell)
	var status *apierrors.StatusError
	switch {
	case errors.As(err, &status):
		failed := status.Status()
		_ = tell(watch.Event{Type: watch.Error, Object: &failed}) // the client may be gone
	case err != nil:
		panic(http.ErrAbortHandler)
	}
}

// serveList answers in pages if a limit is asked for. A page after the first is cut from
// what is there by then.
func (s *Server) serveList(w http.ResponseWriter, r *http.Request, resource Resource) {
	list := s.List(resource)
	query := r.URL.Query()
	begin, _ := strconv.Atoi(query.Get("continue")) // 0 for the first page
	limit, _ := strconv.Atoi(query.Get("limit"))    // 0 for all
	list.Items = list.Items[min(begin, len(list.Items)):]
	if limit > 0 && limit < len(list.Items) {
		list.Items = list.Items[:limit]
		list.Continue = strconv.Itoa(begin + limit)
	}
	encodeMetadata(w, r, list)
}

// writeMetadata answers with an object of which nothing else is asked for.
func writeMetadata(w http.ResponseWriter, r *http.Request, meta metav1.ObjectMeta) {
	object := &metav1.PartialObjectMetadata{ObjectMeta: meta}
	object.SetGroupVersionKind(metav1.SchemeGroupVersion.WithKind("PartialObjectMetadata"))
	encodeMetadata(w, r, object)
}

func encodeMetadata(w http.ResponseWriter, r *http.Request, object runtime.Object) {
	info := negotiateMetadata(r)
	body, err := runtime.Encode(metadataCodecs.EncoderForVersion(info.Serializer, metav1.SchemeGroupVersion), object)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", info.MediaType)
	_, _ = w.Write(body) // the client may be gone
}

// verbOf is the verb of the permission for a resource.
func verbOf(resource Resource) string {
	switch resource {
	case TokenReviews, SelfReviews, AccessReviews, TokenRequests:
		return "create"
	case PodWatch, ServiceAccountWatch:
		return "list"
	}
	return "get"
}

// nameOf is the resource as Kubernetes names it.
func nameOf(resource Resource) string {
	_, name, ok := strings.Cut(string(resource), "/")
	if !ok {
		return string(resource)
	}
	return name
}

// coreVersion is the one of Status and WatchEvent.
var coreVersion = schema.GroupVersion{Version: "v1"}

// metadataCodecs are for objects of which no more than the metadata is asked for.
var metadataCodecs = func() codecs.CodecFactory {
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, coreVersion)
	if err := metav1.AddMetaToScheme(scheme); err != nil {
		panic(err) // only for types that are registered twice
	}
	return codecs.NewCodecFactory(scheme)
}()

// negotiateMetadata is negotiate for metadata alone. The server answers nobody who wants
// to have whole pods.
func negotiateMetadata(r *http.Request) runtime.SerializerInfo {
	mediaType := negotiate(r).MediaType
	info, _ := runtime.SerializerInfoForMediaType(metadataCodecs.SupportedMediaTypes(), mediaType)
	return info
}
