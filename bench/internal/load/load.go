// Package load has concurrent clients make one call after the other, and says how
// many they made and how long each took. It does not know what a call is.
package load

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sync/errgroup"
)

// CallTimeout bounds one call of any [Caller]. It is far above what a call takes, and
// only there so that nothing waits for ever.
const CallTimeout = 30 * time.Second

// Caller is one client. It makes one call at a time.
type Caller interface {
	// Call makes the call with the number n. Its error holds no token.
	Call(ctx context.Context, n int64) error
}

// Plan says how long a run goes on: until either bound that is set is reached.
type Plan struct {
	Duration time.Duration `json:"duration,omitempty"` // nanoseconds; calls under way at the end are finished
	Calls    int64         `json:"calls,omitempty"`

	// Rate is how many calls begin each second, evenly spread; 0 means as many as
	// the callers can make.
	Rate float64 `json:"rate,omitempty"`

	// Done, if there is one, counts calls as they end.
	Done *atomic.Int64 `json:"-"`
}

// Result is what a run came to. There are no failed calls in it: the first one ends
// the run with an error.
type Result struct {
	Calls   int64         `json:"calls"`
	Elapsed time.Duration `json:"elapsed"` // nanoseconds, until the last call ended
	P50     time.Duration `json:"p50"`     // nanoseconds, to three digits
	P99     time.Duration `json:"p99"`
}

// PerSecond is the rate of calls.
func (r Result) PerSecond() float64 { return float64(r.Calls) / r.Elapsed.Seconds() }

// Run has all callers call at the same time, each with the next number as soon as
// its last call has ended. The numbers of a run are 0, 1, 2, and so on.
func Run(ctx context.Context, callers []Caller, plan Plan) (Result, error) {
	if plan.Duration <= 0 && plan.Calls <= 0 {
		return Result{}, errors.New("a run without an end")
	}
	r := run{plan: plan, began: time.Now()}
	histograms := make([]*hdrhistogram.Histogram, len(callers))
	group, ctx := errgroup.WithContext(ctx)
	for i, caller := range callers {
		histograms[i] = newHistogram()
		group.Go(func() error { return r.client(ctx, caller, histograms[i]) })
	}
	if err := group.Wait(); err != nil {
		return Result{}, err
	}
	elapsed := time.Since(r.began)
	all := newHistogram()
	for _, h := range histograms {
		all.Merge(h)
	}
	if all.TotalCount() == 0 {
		return Result{}, errors.New("a run without a call")
	}
	return Result{
		Calls:   all.TotalCount(),
		Elapsed: elapsed,
		P50:     time.Duration(all.ValueAtQuantile(50)) * time.Microsecond,
		P99:     time.Duration(all.ValueAtQuantile(99)) * time.Microsecond,
	}, nil
}

// newHistogram counts microseconds, to three digits.
func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, 2*CallTimeout.Microseconds(), 3)
}

type run struct {
	plan   Plan
	began  time.Time
	number atomic.Int64
}

func (r *run) client(ctx context.Context, caller Caller, histogram *hdrhistogram.Histogram) error {
	for ctx.Err() == nil {
		start := time.Now()
		if r.plan.Duration > 0 && start.Sub(r.began) >= r.plan.Duration {
			return nil
		}
		n := r.number.Add(1) - 1
		if r.plan.Calls > 0 && n >= r.plan.Calls {
			return nil
		}
		if r.plan.Rate > 0 {
			inTime, err := r.awaitTurn(ctx, n)
			if err != nil || !inTime {
				return err
			}
			start = time.Now()
		}
		if err := call(ctx, caller, n); err != nil {
			return err
		}
		if err := histogram.RecordValue(time.Since(start).Microseconds()); err != nil {
			return err
		}
		if r.plan.Done != nil {
			r.plan.Done.Add(1)
		}
	}
	return context.Cause(ctx)
}

// awaitTurn waits until the call n is to begin; false if the run is over by then.
func (r *run) awaitTurn(ctx context.Context, n int64) (inTime bool, err error) {
	turn := time.Duration(float64(n) / r.plan.Rate * float64(time.Second))
	if r.plan.Duration > 0 && turn >= r.plan.Duration {
		return false, nil
	}
	select {
	case <-time.After(turn - time.Since(r.began)):
		return true, nil
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
}

func call(ctx context.Context, caller Caller, n int64) error {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	return caller.Call(ctx, n)
}
