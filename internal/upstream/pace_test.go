package upstream_test

import (
	"testing"
	"time"

	"vault-plugin-auth-kubernetes/internal/upstream"
)

// admitting is an API server that lets in so many requests in each second.
type admitting struct {
	limit  int
	second time.Time
	in     int
	let    int
	turned int
}

func (a *admitting) ask(p *upstream.Pace, now time.Time) {
	if now.Sub(a.second) >= time.Second {
		a.second, a.in = now, 0
	}
	if a.in++; a.in > a.limit {
		a.turned++
		p.TurnedAway(now)
		return
	}
	a.let++
	p.LetIn(now)
}

// drive has clients that always want more for a while, of whom so many are under way at
// first.
func drive(p *upstream.Pace, server *admitting, begin time.Time, atFirst int, lasting time.Duration) (hopeless int) {
	for range atFirst {
		server.ask(p, begin)
	}
	for now := begin; now.Before(begin.Add(lasting)); now = now.Add(time.Millisecond) {
		for {
			verdict := p.Take(now)
			if verdict.Hopeless {
				hopeless++
			}
			if verdict.Wait > 0 || verdict.Hopeless {
				break
			}
			server.ask(p, now)
			if p.Rate(now) == 0 {
				break
			}
		}
	}
	return hopeless
}

func TestPaceFindsWhatIsLetIn(t *testing.T) {
	for limit, percent := range map[int]int{2: 70, 20: 85, 200: 85} {
		var p upstream.Pace
		server := &admitting{limit: limit}
		drive(&p, server, at(0), 256, 30*time.Second)
		if server.let < limit*30*percent/100 {
			t.Errorf("of %d a second, %d were let in within 30 seconds", limit, server.let)
		}
		if server.turned > 256+server.let/5+30 {
			t.Errorf("of %d a second, %d were turned away and %d let in", limit, server.turned, server.let)
		}
	}
}

// An API server that lets nothing in is asked about once a second, and nobody waits.
func TestPaceOfAnAPIServerThatLetsNothingIn(t *testing.T) {
	var p upstream.Pace
	server := &admitting{}
	hopeless := drive(&p, server, at(0), 256, 30*time.Second)
	if asked := server.turned - 256; asked < 15 || asked > 60 {
		t.Errorf("it was asked %d times in 30 seconds", asked)
	}
	if hopeless == 0 {
		t.Error("everybody was told to wait")
	}
	server.limit = 1000
	drive(&p, server, at(30*time.Second), 0, 15*time.Second)
	if rate := p.Rate(at(46 * time.Second)); rate != 0 {
		t.Errorf("long after it lets in everything, the rate is %v", rate)
	}
}

func TestPaceIsNoneWithoutThrottling(t *testing.T) {
	var p upstream.Pace
	for i := range 10_000 {
		now := at(time.Duration(i) * time.Millisecond)
		if verdict := p.Take(now); verdict != (upstream.Verdict{}) {
			t.Fatalf("the verdict is %+v", verdict)
		}
		p.LetIn(now)
	}
}

// One that is turned away among many that are not slows nobody down.
func TestPaceAfterASingleThrottling(t *testing.T) {
	var p upstream.Pace
	for i := range 100 {
		p.LetIn(at(time.Duration(i) * time.Millisecond))
	}
	p.TurnedAway(at(100 * time.Millisecond))
	if rate := p.Rate(at(100 * time.Millisecond)); rate < 100 {
		t.Errorf("the rate is %v, 100 were let in within a tenth of a second", rate)
	}
	if verdict := p.Take(at(101 * time.Millisecond)); verdict != (upstream.Verdict{}) {
		t.Errorf("the verdict is %+v", verdict)
	}
}
