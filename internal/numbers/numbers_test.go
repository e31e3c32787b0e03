package numbers

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestDurationReadAs(t *testing.T) {
	for _, row := range []struct {
		written any
		read    time.Duration
		want    string
	}{
		{"60", time.Minute, ""},
		{60, time.Minute, ""},
		{json.Number("60"), time.Minute, ""},
		{"1m", time.Minute, ""},
		{"1.5h", 90 * time.Minute, ""},
		{"1d", 24 * time.Hour, ""},
		{"", 0, ""},
		{nil, 0, ""},
		{"0", 0, ""},
		{"0s", 0, ""},
		{"500ms", 0, "token_ttl: 500ms was read as 0s; whole seconds are kept, and none means the mount's."},
		{"1500ms", time.Second, "token_ttl: 1500ms was read as 1s; whole seconds are kept."},
		{1.5, time.Second, "token_ttl: 1.5 was read as 1s; whole seconds are kept."},
		{"010", 8 * time.Second, "token_ttl: 010 was read as 8s; whole seconds are kept."},
		{true, time.Second, "token_ttl: what was sent was read as 1s; whole seconds are kept."},
		{"eyJhbGciOiJFUzI1NiJ9.e30.c2ln", 0, "token_ttl: what was sent was read as 0s; whole seconds are kept, and none means the mount's."},
	} {
		if got := DurationReadAs(map[string]any{"token_ttl": row.written}, "token_ttl", row.read, "the mount's"); got != row.want {
			t.Errorf("%v read as %s: %q, want %q", row.written, row.read, got, row.want)
		}
	}
}

func TestCountReadAs(t *testing.T) {
	for _, row := range []struct {
		written any
		read    int
		want    string
	}{
		{5, 5, ""}, {"5", 5, ""}, {json.Number("5"), 5, ""}, {"", 0, ""}, {nil, 0, ""}, {0, 0, ""},
		{1.5, 1, "n: 1.5 was read as 1."},
		{0.5, 0, "n: 0.5 was read as 0, which means no limit."},
		{"0x10", 16, ""},
		{"0b11", 3, ""},
		{"010", 8, "n: 010 was read as 8."},
		{true, 1, "n: what was sent was read as 1."},
	} {
		if got := CountReadAs(map[string]any{"n": row.written}, "n", row.read, "no limit"); got != row.want {
			t.Errorf("%v read as %d: %q, want %q", row.written, row.read, got, row.want)
		}
	}
}

func TestShown(t *testing.T) {
	for text, want := range map[string]string{
		"1.5h": "1.5h", "-1": "-1", "0x10": "0x10", "": "what was sent", strings.Repeat("1", 40): "what was sent", "hvs.abc": "what was sent",
	} {
		if got := Shown(text); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}
