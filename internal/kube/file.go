package kube

import (
	"os"
	"sync"
	"time"
)

// rereadAfter bounds how long a File trusts an unchanged modification time. The
// Kubernetes documentation asks clients to re-read a projected token about once
// a minute.
const rereadAfter = time.Minute

// File is a small file whose content is remembered and read again when the file
// changes, and at the latest a minute after the last read. It is safe for
// concurrent use.
type File struct {
	path string
	now  func() time.Time

	mu      sync.Mutex
	content string
	info    os.FileInfo
	readAt  time.Time
}

// NewFile returns a File for path. Nothing is read before the first Read, and
// the file need not exist. now tells the time; nil means time.Now.
func NewFile(path string, now func() time.Time) *File {
	if now == nil {
		now = time.Now
	}
	return &File{path: path, now: now}
}

// Read returns the content as it is now. When the file cannot be read, the error
// is the *fs.PathError of the attempt, also if an earlier attempt succeeded:
// a credential that was taken away is not used any longer.
func (f *File) Read() (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()

	info, err := os.Stat(f.path)
	if err == nil && f.fresh(info) {
		return f.content, nil
	}
	content, err := os.ReadFile(f.path)
	if err != nil {
		f.content, f.info = "", nil
		return "", err
	}
	f.content, f.info, f.readAt = string(content), info, f.now()
	return f.content, nil
}

func (f *File) fresh(info os.FileInfo) bool {
	return f.info != nil &&
		os.SameFile(f.info, info) &&
		f.info.ModTime().Equal(info.ModTime()) &&
		f.info.Size() == info.Size() &&
		f.now().Sub(f.readAt) < rereadAfter
}
