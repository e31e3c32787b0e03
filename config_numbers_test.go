package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// A number or a duration is kept as it was written, or refused with the right form.
func TestConfigNumbers(t *testing.T) {
	m := newMount(t)
	m.write("config", m.config(nil))
	before := m.storage.text(t, "config")
	var bad []fields
	for _, field := range []string{"request_timeout", "token_review_cache_ttl"} {
		for _, value := range []any{
			"500ms", "900ms", "1500ms", "0.5", 0.5, "0.5s", "1.0", "-500ms", "-1", -1, -1.5, "1e9", "99999999999", json.Number("99999999999999999999"), 1e30,
			"many", "61", "1d", "2h", "1s500ms", "1ns", " 5s", "5 s", "１", true, []string{"5s"}, "0x10", "9223372036854775807d",
		} {
			bad = append(bad, fields{field: value})
		}
	}
	for _, value := range []any{2.5, "2.5", "many", "-1", -1, "0x10", "010", "1_000", "1e3", "10001", 4294967297, true, []int{5}, " 5"} {
		bad = append(bad, fields{"max_concurrent_reviews": value})
	}
	for _, change := range bad {
		for operation, data := range m.writes(change) {
			o := m.do(operation, "config", data)
			if o.status != http.StatusBadRequest || len(o.message) > 300 {
				t.Errorf("%v, %s: %d %s", change, operation, o.status, o.message)
			}
			for field := range change {
				if !strings.Contains(o.message, field) {
					t.Errorf("%v: %s does not name the field", change, o.message)
				}
			}
		}
	}
	if m.storage.text(t, "config") != before {
		t.Error("what was refused is stored")
	}
	for _, row := range []struct {
		field       string
		value, read any
	}{
		{"request_timeout", "2s", int64(2)}, {"request_timeout", "2000ms", int64(2)}, {"request_timeout", "1m", int64(60)}, {"request_timeout", "+5", int64(5)},
		{"request_timeout", 7, int64(7)}, {"request_timeout", 7.0, int64(7)}, {"request_timeout", json.Number("7"), int64(7)}, {"request_timeout", "", int64(10)},
		{"request_timeout", "0", int64(10)}, {"token_review_cache_ttl", "30s", int64(30)}, {"token_review_cache_ttl", "0s", int64(0)},
		{"token_review_cache_ttl", "", int64(0)}, {"max_concurrent_reviews", "5", 5}, {"max_concurrent_reviews", 5.0, 5}, {"max_concurrent_reviews", "", 256},
	} {
		for _, data := range m.writes(fields{row.field: row.value}) {
			m.write("config", m.config(fields{row.field: "3"}))
			m.write("config", m.config(data))
			if got := m.read("config")[row.field]; fmt.Sprint(got) != fmt.Sprint(row.read) {
				t.Errorf("%s=%v is read as %v", row.field, row.value, got)
			}
		}
	}
	o := m.do("update", "config", m.config(fields{"request_timeout": "500ms"}))
	if want := `request_timeout: 500ms cannot be kept; give whole seconds between 1s and 1m0s, such as 2s, or 0 for the default`; o.message != want {
		t.Errorf("%s, want %s", o.message, want)
	}
}
