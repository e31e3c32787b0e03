// Package clock tells how old something is, by both clocks of a machine. The one that
// never steps stands still while a virtual machine is suspended, and the one on the wall
// can be set: what must not be older than some seconds is asked of both.
package clock

import "time"

// Steps is by how much the two clocks may come apart before neither is believed.
const Steps = 5 * time.Second

// Moment is a time by both clocks.
type Moment struct {
	// Wall is what the machine takes for the time.
	Wall time.Time
	// Running is what passed since some time before, and never steps.
	Running time.Duration
}

// Clock tells what time it is now.
type Clock func() Moment

// Of makes a clock of a function such as time.Now. One whose times have no monotonic
// reading, as tests use it, makes a clock whose two sides are one.
func Of(now func() time.Time) Clock {
	first := now()
	return func() Moment {
		at := now()
		return Moment{Wall: at.Round(0), Running: at.Sub(first)}
	}
}

// Within tells whether a moment lies no longer than d before now, by both clocks. If they
// came apart since, nobody knows, and the answer is no.
func (m Moment) Within(d time.Duration, now Moment) bool {
	running, wall := now.Running-m.Running, now.Wall.Sub(m.Wall)
	return running >= 0 && running <= d && wall <= d && (wall-running).Abs() <= Steps
}
