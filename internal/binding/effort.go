package binding

import "context"

// What a comparison costs is counted in steps: a byte that a regular expression looks at
// costs as many as the expression has instructions, which is about 2.5 ns each at worst.
const (
	// lightSteps are free. What ordinary rules take is far below.
	lightSteps = 400_000
	// sliceSteps are how many may be made within one turn, and between two looks at the
	// deadline.
	sliceSteps = 800_000
	// ruleSteps are those of a rule without such an expression.
	ruleSteps = 4
)

// Turn waits for the turn to do what takes long, and returns what gives it back. The
// error is that of the context.
type Turn func(ctx context.Context) (release func(), err error)

// effort counts what one decision costs. What is cheap is done at once; what is not goes
// on in turns, so that others are not kept from what they are entitled to.
type effort struct {
	turn    Turn // nil is one for who has all the time
	steps   int
	next    int    // from how many steps on a turn is needed
	release func() // gives back the turn; nil without one
}

// pay is called between two pieces of work. It ends the decision with its context.
func (e *effort) pay(ctx context.Context) error {
	if e.next == 0 {
		e.next = lightSteps
	}
	if e.steps < e.next {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	e.next = e.steps + sliceSteps
	e.giveBack()
	if e.turn == nil {
		return nil
	}
	release, err := e.turn(ctx)
	if err != nil {
		return err
	}
	e.release = release
	return nil
}

// giveBack gives back the turn, if there is one. Whoever waits for something else has to.
func (e *effort) giveBack() {
	if e.release != nil {
		e.release()
		e.release = nil
	}
}
