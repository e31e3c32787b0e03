package report

import (
	"slices"
	"time"
)

// Spread is several measurements of the same thing.
type Spread struct{ Median, Min, Max float64 }

// SpreadOf returns the spread of values, of which there must be one at least. The
// median of an even number is the mean of the two in the middle.
func SpreadOf(values []float64) Spread {
	sorted := slices.Sorted(slices.Values(values))
	half := len(sorted) / 2
	s := Spread{Median: sorted[half], Min: sorted[0], Max: sorted[len(sorted)-1]}
	if len(sorted)%2 == 0 {
		s.Median = (sorted[half-1] + sorted[half]) / 2
	}
	return s
}

// milliseconds returns times as numbers.
func milliseconds(times []time.Duration) []float64 {
	values := make([]float64, len(times))
	for i, d := range times {
		values[i] = float64(d) / float64(time.Millisecond)
	}
	return values
}

// Figure is a number that a round comes to.
type Figure func(Round) float64

// PerSecond is the logins a second of a round.
func PerSecond(r Round) float64 { return r.Result.PerSecond() }

// P50 is the median of how long the calls of a round took, in milliseconds.
func P50(r Round) float64 { return float64(r.Result.P50) / float64(time.Millisecond) }

// P99 is what 99 of 100 calls of a round did not exceed, in milliseconds.
func P99(r Round) float64 { return float64(r.Result.P99) / float64(time.Millisecond) }

// CPU is the microseconds a call of one or several processes together.
func CPU(processes ...string) Figure {
	return func(r Round) float64 {
		sum := 0.0
		for _, process := range processes {
			sum += r.CPU[process]
		}
		return sum
	}
}

// Spread of a figure over the rounds of a subject; false if there were none.
func spreadOver(rounds []Round, subject Subject, clients int, figure Figure) (Spread, bool) {
	var values []float64
	for _, r := range rounds {
		if r.Subject == subject && r.Clients == clients {
			values = append(values, figure(r))
		}
	}
	if len(values) == 0 {
		return Spread{}, false
	}
	return SpreadOf(values), true
}

// Side is one side of a ratio.
type Side struct {
	Subject Subject
	Figure  Figure
}

// RatioOver divides a by b within each round and returns the spread of that; false
// if no round has both, or b is 0 in one.
func RatioOver(rounds []Round, clients int, a, b Side) (Spread, bool) {
	divisors := map[int]float64{}
	for _, r := range rounds {
		if r.Subject == b.Subject && r.Clients == clients {
			divisors[r.Round] = b.Figure(r)
		}
	}
	var ratios []float64
	for _, r := range rounds {
		if r.Subject != a.Subject || r.Clients != clients {
			continue
		}
		divisor, ok := divisors[r.Round]
		if !ok {
			continue
		}
		if divisor == 0 {
			return Spread{}, false
		}
		ratios = append(ratios, a.Figure(r)/divisor)
	}
	if len(ratios) == 0 {
		return Spread{}, false
	}
	return SpreadOf(ratios), true
}

// SpreadFor is the spread of a figure over the rounds of a section.
func (t *Throughput) SpreadFor(subject Subject, clients int, figure Figure) (Spread, bool) {
	return spreadOver(t.Rounds, subject, clients, figure)
}

// Concurrencies are the numbers of clients that rounds were made with, in their order.
func Concurrencies(rounds []Round) []int {
	var clients []int
	for _, r := range rounds {
		if !slices.Contains(clients, r.Clients) {
			clients = append(clients, r.Clients)
		}
	}
	return clients
}

// Window is the median of what samples show of a process between two counts of
// logins; false if there is no sample.
func (e *Endurance) Window(from, to int64) (_ Sizes, ok bool) {
	var memory, threads, files, goroutines []float64
	for _, s := range e.Samples {
		if s.Logins >= from && s.Logins <= to {
			memory = append(memory, float64(s.State.RSS))
			threads = append(threads, float64(s.State.Threads))
			files = append(files, float64(s.State.Files))
			goroutines = append(goroutines, float64(s.Goroutines))
		}
	}
	if len(memory) == 0 {
		return Sizes{}, false
	}
	return Sizes{
		RSS: SpreadOf(memory).Median, Threads: SpreadOf(threads).Median,
		Files: SpreadOf(files).Median, Goroutines: SpreadOf(goroutines).Median,
	}, true
}

// Sizes are medians of what a process has: bytes, and numbers.
type Sizes struct{ RSS, Threads, Files, Goroutines float64 }

// windowLogins is how many logins a window has: one sample alone can be just before
// or just after a garbage collection.
func (e *Endurance) windowLogins() int64 { return max(1, e.Result.Calls/20) }
