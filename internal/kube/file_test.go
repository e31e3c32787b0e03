package kube_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/internal/kube"
)

// clock is a clock that tests set.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func wantContent(t *testing.T, f *kube.File, want string) {
	t.Helper()
	if got, err := f.Read(); err != nil || got != want {
		t.Errorf("read %q, error %v; want %q", got, err, want)
	}
}

func wantNoFile(t *testing.T, f *kube.File) {
	t.Helper()
	content, err := f.Read()
	var path *fs.PathError
	if content != "" || !errors.Is(err, fs.ErrNotExist) || !errors.As(err, &path) {
		t.Errorf("read %q, error %v; want fs.ErrNotExist", content, err)
	}
}

func TestFileFollowsChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	f := kube.NewFile(path, nil)
	wantNoFile(t, f)
	write(t, path, "first")
	wantContent(t, f, "first")
	write(t, path, "another length")
	wantContent(t, f, "another length")
	write(t, path, "")
	wantContent(t, f, "")
}

// A credential that was taken away must not be used any longer.
func TestFileIsRemovedAndComesBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	f := kube.NewFile(path, nil)
	write(t, path, "first")
	wantContent(t, f, "first")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	wantNoFile(t, f)
	wantNoFile(t, f)
	write(t, path, "first")
	wantContent(t, f, "first")
}

// A change that the file's metadata does not show is seen when the content is a
// minute old, and not before: the file is not read for every request.
func TestFileIsReadAgainAfterAMinute(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	c := &clock{at: time.Now()}
	f := kube.NewFile(path, c.now)
	modified := time.Now().Add(-time.Hour).Truncate(time.Second)
	overwrite := func(content string) {
		write(t, path, content)
		if err := os.Chtimes(path, modified, modified); err != nil {
			t.Fatal(err)
		}
	}
	overwrite("old")
	wantContent(t, f, "old")
	overwrite("new")
	c.advance(time.Minute - time.Nanosecond)
	wantContent(t, f, "old")
	c.advance(time.Nanosecond)
	wantContent(t, f, "new")
	overwrite("NEW")
	c.advance(time.Minute - time.Nanosecond)
	wantContent(t, f, "new")
}

// projection lays files out as the kubelet does: token -> ..data/token, and ..data
// -> a folder that is replaced as a whole.
type projection struct {
	t        *testing.T
	folder   string
	versions int
}

func (p *projection) publish(content string) {
	p.t.Helper()
	p.versions++
	version := filepath.Join(p.folder, "..version_"+string(rune('a'+p.versions)))
	if err := os.Mkdir(version, 0o700); err != nil {
		p.t.Fatal(err)
	}
	token := filepath.Join(version, "token")
	write(p.t, token, content)
	sameTime := time.Unix(1_700_000_000, 0) // so that only the file's identity tells
	if err := os.Chtimes(token, sameTime, sameTime); err != nil {
		p.t.Fatal(err)
	}
	temporary := filepath.Join(p.folder, "..data_tmp")
	if err := os.Symlink(version, temporary); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Rename(temporary, filepath.Join(p.folder, "..data")); err != nil {
		p.t.Fatal(err)
	}
	if p.versions == 1 {
		if err := os.Symlink(filepath.Join("..data", "token"), filepath.Join(p.folder, "token")); err != nil {
			p.t.Fatal(err)
		}
	}
}

func TestFileFollowsProjection(t *testing.T) {
	p := &projection{t: t, folder: t.TempDir()}
	p.publish("token-1")
	f := kube.NewFile(filepath.Join(p.folder, "token"), nil)
	wantContent(t, f, "token-1")
	p.publish("token-2")
	wantContent(t, f, "token-2")
	p.publish("token-3")
	wantContent(t, f, "token-3")
	if err := os.Remove(filepath.Join(p.folder, "..data")); err != nil {
		t.Fatal(err)
	}
	wantNoFile(t, f)
}

func TestFileThatCannotBeRead(t *testing.T) {
	content, err := kube.NewFile(t.TempDir(), nil).Read() // a folder
	var path *fs.PathError
	if content != "" || !errors.As(err, &path) {
		t.Errorf("read %q, error %v", content, err)
	}
}

// Whatever is read while the kubelet replaces a token is one of the tokens.
func TestFileIsReadWhileItChanges(t *testing.T) {
	p := &projection{t: t, folder: t.TempDir()}
	p.publish("token-0")
	f := kube.NewFile(filepath.Join(p.folder, "token"), nil)
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for range 200 {
				if content, err := f.Read(); err != nil || content != "token-0" && content != "token-1" {
					t.Errorf("read %q, error %v", content, err)
				}
			}
		})
	}
	p.publish("token-1")
	readers.Wait()
	wantContent(t, f, "token-1")
}
