package clock_test

import (
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/internal/clock"
)

func TestWithin(t *testing.T) {
	start := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	begun := clock.Moment{Wall: start, Running: time.Hour}
	for name, row := range map[string]struct {
		wall, running time.Duration
		want          bool
	}{
		"now":                         {0, 0, true},
		"a moment ago":                {9 * time.Second, 9 * time.Second, true},
		"just":                        {10 * time.Second, 10 * time.Second, true},
		"too long ago":                {11 * time.Second, 11 * time.Second, false},
		"suspended":                   {time.Hour, 3 * time.Second, false},
		"set ahead":                   {9 * time.Second, 3 * time.Second, false},
		"set ahead past the bound":    {12 * time.Second, 9 * time.Second, false},
		"set back":                    {-time.Hour, 3 * time.Second, false},
		"set back, to hide its age":   {3 * time.Second, time.Hour, false},
		"drifts":                      {8 * time.Second, 9 * time.Second, true},
		"from before the clock began": {-time.Second, -time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			now := clock.Moment{Wall: start.Add(row.wall), Running: time.Hour + row.running}
			if got := begun.Within(10*time.Second, now); got != row.want {
				t.Errorf("%t", got)
			}
		})
	}
}

func TestOf(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	c := clock.Of(func() time.Time { return at })
	at = at.Add(time.Minute)
	if got := c(); got.Running != time.Minute || !got.Wall.Equal(at) {
		t.Errorf("%+v", got)
	}
	system := clock.Of(time.Now)
	if first := system(); !first.Within(time.Hour, system()) {
		t.Error("the machine's own clocks come apart")
	}
}
