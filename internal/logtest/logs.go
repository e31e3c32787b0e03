// Package logtest records what is logged, for tests.
package logtest

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/go-hclog"
)

// Line is a line that was logged.
type Line struct {
	Level   hclog.Level
	Message string
	Keys    []string
	Fields  map[string]string
}

func (l Line) String() string {
	return fmt.Sprintf("[%s] %s %v", l.Level, l.Message, l.Fields)
}

// Logs records what is logged.
type Logs struct {
	hclog.Logger
	mu    sync.Mutex
	lines []Line
}

// New makes a log that writes nothing.
func New() *Logs {
	l := &Logs{}
	logger := hclog.NewInterceptLogger(&hclog.LoggerOptions{Output: io.Discard, Level: hclog.Off})
	logger.RegisterSink(l)
	l.Logger = logger
	return l
}

// Accept implements hclog.SinkAdapter.
func (l *Logs) Accept(_ string, level hclog.Level, message string, args ...any) {
	logged := Line{Level: level, Message: message, Fields: map[string]string{}}
	for pair := range slices.Chunk(args, 2) {
		key := fmt.Sprint(pair[0])
		logged.Keys = append(logged.Keys, key)
		logged.Fields[key] = fmt.Sprint(pair[1])
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, logged)
}

// Take returns what was logged since the last call.
func (l *Logs) Take() []Line {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := l.lines
	l.lines = nil
	return lines
}

// One returns the only line that was logged since the last call.
func (l *Logs) One(t *testing.T) Line {
	t.Helper()
	lines := l.Take()
	if len(lines) != 1 {
		t.Fatalf("%d lines were logged, want 1: %v", len(lines), lines)
	}
	return lines[0]
}

// WantNone fails the test if any line holds one of the texts. It takes no lines.
func (l *Logs) WantNone(t *testing.T, texts ...string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, logged := range l.lines {
		for _, text := range texts {
			if strings.Contains(logged.String(), text) {
				t.Errorf("%q was logged: %s", text, logged)
			}
		}
	}
}
