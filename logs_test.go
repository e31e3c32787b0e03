package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/go-hclog"
)

// line is a line that was logged.
type line struct {
	level   hclog.Level
	message string
	keys    []string
	fields  map[string]string
}

func (l line) String() string {
	return fmt.Sprintf("[%s] %s %v", l.level, l.message, l.fields)
}

// logs records what is logged.
type logs struct {
	hclog.Logger
	mu    sync.Mutex
	lines []line
}

func newLogs() *logs {
	l := &logs{}
	logger := hclog.NewInterceptLogger(&hclog.LoggerOptions{Output: io.Discard, Level: hclog.Off})
	logger.RegisterSink(l)
	l.Logger = logger
	return l
}

// Accept implements hclog.SinkAdapter.
func (l *logs) Accept(_ string, level hclog.Level, message string, args ...any) {
	logged := line{level: level, message: message, fields: map[string]string{}}
	for pair := range slices.Chunk(args, 2) {
		key := fmt.Sprint(pair[0])
		logged.keys = append(logged.keys, key)
		logged.fields[key] = fmt.Sprint(pair[1])
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, logged)
}

// take returns what was logged since the last call.
func (l *logs) take() []line {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := l.lines
	l.lines = nil
	return lines
}

// one returns the only line that was logged since the last call.
func (l *logs) one(t *testing.T) line {
	t.Helper()
	lines := l.take()
	if len(lines) != 1 {
		t.Fatalf("%d lines were logged, want 1: %v", len(lines), lines)
	}
	return lines[0]
}

// wantNone fails the test if any line holds one of the texts. It takes no lines.
func (l *logs) wantNone(t *testing.T, texts ...string) {
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
